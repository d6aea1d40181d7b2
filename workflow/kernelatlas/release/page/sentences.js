/** What the page says about a kernel, in words and numbers. */

/** Symbols of the parameters of fits, and their units where they have one. */
const SYMBOLS = {
  sigma: 'σ',
  ratio: 'ρ',
  surround: 'γ',
  aspect: 'aspect',
  frequency: 'ω',
  phase: 'φ',
  angle: 'θ',
  width: 'width',
  x: 'x',
  y: 'y',
};

/** What the functions are, of a Gaussian g of standard deviation σ. */
export const FORMULAS = {
  gaussian: 'g(σ)',
  dog: 'g(σ) − γ·g(ρσ)',
  elongated: 'g − γ·g(1.6 times as wide) of an ellipse, σ across and aspect·σ along θ',
  first: 'the first derivative of g, increasing along θ',
  second: 'the second derivative of g along θ',
  cross: 'the greater of g(x; σ)·g(y; ρσ) and g(x; ρσ)·g(y; σ)',
  square: 'a box of that width about (x, y), smoothed by g(σ)',
  shifted: 'g(σ) about (x, y)',
  'shifted dog': 'g(σ) − γ·g(1.6σ) about (x, y)',
  'shifted first': 'the first derivative of g about (x, y), increasing along θ',
  'shifted second': 'the second derivative of g about (x, y) along θ',
  gabor: 'g(σ)·cos(ω·(x cos θ + y sin θ) − φ)',
};

const SIGNIFICANT = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** A number with three significant digits. */
export function number(value) {
  const tiny = value !== 0 && Math.abs(value) < 1e-4;
  return (tiny ? value.toExponential(2) : SIGNIFICANT.format(value)).replaceAll('-', '−');
}

/** A parameter of a fit with its symbol and unit; angles in degrees. */
export function parameter({ name, unit }, value) {
  const symbol = SYMBOLS[name];
  if (unit === 'rad') return { symbol, text: `${Math.round((value * 180) / Math.PI)}°` };
  return { symbol, text: unit ? `${number(value)} ${unit}` : number(value) };
}

/** A weight with the digits that a step of `step` resolves, and no more. */
export function weight(value, step) {
  if (!Number.isFinite(value)) return 'not finite';
  const decimals = Math.max(0, Math.ceil(-Math.log10(step)));
  if (decimals > 7) return number(value);
  const text = value.toFixed(decimals);
  return /[1-9]/.test(text) ? text.replace('-', '−') : text.replace('-', '');
}

/**
 * Why a kernel was identified or not, in a sentence.
 *
 * @param {object} kernel
 * @param {?string} kernel.reason as of `Rows.reason`
 * @param {string} kernel.label of its mean reconstruction
 * @param {number} kernel.dissimilarity to the curves
 * @param {number} kernel.agreement share of the seeds that give its shape
 * @param {number[]} kernel.weights
 * @param {object} size of the index
 * @param {object} index
 */
export function why({ reason, label, dissimilarity, agreement, weights }, size, index) {
  const name = `${size.height}×${size.width}`;
  if (!size.studied) return `It has no label: kernels of ${name} are not studied.`;
  if (reason === 'degenerate') {
    return `Not identified, degenerate: ${flat(weights)}, so it has no shape.`;
  }
  const far = `its dissimilarity to the curves, ${beside(dissimilarity, size.threshold)},`;
  const bound = `below the threshold of ${name} kernels, ${size.threshold}`;
  if (reason === 'too far') return `Not identified, too far: ${far} is not ${bound}.`;
  const near = `${far} is ${bound}`;
  const least = index.minimum_cosine;
  if (reason === 'no name') {
    return (
      `Not identified, no name: ${near}, but the cosine of its reconstruction to every template ` +
      `is below the ${least} that a name needs.`
    );
  }
  const named = `its reconstruction is named ${label} (cosine to a template at least ${least})`;
  const give = agreement * index.seeds.length < 1.5 ? 'gives' : 'give';
  const agree = `${agreed(agreement, index)} ${give}`;
  if (reason === 'seeds disagree') {
    return (
      `Not identified, seeds disagree: ${near}, and ${named}, but only ${agree} that shape; ` +
      'more than half must.'
    );
  }
  return `Identified: ${near}, ${named}, and ${agree} that shape.`;
}

/** Return `2 of 3 seeds` of the share of the seeds that give a kernel's shape. */
export function agreed(share, { seeds, agreement }) {
  const exact = agreement.levels.length === seeds.length + 1; // else levels are ranges
  return `${exact ? '' : 'at least '}${Math.round(share * seeds.length)} of ${seeds.length} seeds`;
}

/** A number with as many digits, three or more, as tell on which side of a limit it is. */
export function beside(value, limit) {
  let digits = 3;
  while (digits < 6 && Number(value.toFixed(digits)) < limit !== value < limit) digits += 1;
  return value.toFixed(digits);
}

function flat(weights) {
  const missing = Array.from(weights).filter((value) => !Number.isFinite(value)).length;
  if (missing > 0) return `${missing} of its weights ${missing === 1 ? 'is' : 'are'} not finite`;
  if (Array.from(weights).every((value) => value === 0)) return 'all its weights are zero';
  return 'its weights are all the same up to rounding';
}
