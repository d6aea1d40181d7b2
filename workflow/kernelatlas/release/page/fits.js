/**
 * Analytic functions that kernels are fitted by, as `kernelatlas.evidence.functions` defines them.
 *
 * x runs to the right and y upwards, in pixels from the kernel's centre; angles are in radians,
 * anticlockwise from x. Images are Float64Array of k·k values, row by row from the top.
 */

const RATIO = 1.6; // of the surrounds of ellipses and of shifted ones
const LEAST = -60; // exponent: what is less is nothing beside the rest

/** @param {number} k @param {(x: number, y: number, column: number, row: number) => number} f */
function image(k, f) {
  const values = new Float64Array(k * k);
  const middle = (k - 1) / 2;
  for (let row = 0; row < k; row++) {
    for (let column = 0; column < k; column++) {
      values[row * k + column] = f(column - middle, middle - row, column, k - 1 - row);
    }
  }
  return values;
}

/** Places of pixels along one axis, (k,). */
const axisOf = (k) => Float64Array.from({ length: k }, (_, i) => i - (k - 1) / 2);

/** exp(−t² / 2σ²) / √(2πσ²) or its first or second derivative. */
function sampled(t, sigma, order) {
  const variance = sigma ** 2;
  const bell = Math.exp(-(t ** 2) / (2 * variance)) / Math.sqrt(2 * Math.PI * variance);
  if (order === 0) return bell;
  return (order === 1 ? -t / variance : (t ** 2 / variance - 1) / variance) * bell;
}

/**
 * The discrete Gaussian T, δT or δ²T at a place, by its Fourier series on a ring of 8·k pixels.
 *
 * Between two pixels, for `halved`, it is the mean of both.
 */
function discrete(t, sigma, order, k, halved) {
  const half = 4 * k;
  let sum = 0;
  for (let i = 0; i <= half; i++) {
    const u = (i * Math.PI) / half;
    let wave = Math.exp((Math.cos(u) - 1) * sigma ** 2);
    if (halved) wave *= Math.cos(u / 2);
    if (i > 0 && i < half) wave *= 2;
    if (order === 0) wave *= Math.cos(t * u);
    else if (order === 1) wave *= -Math.sin(u) * Math.sin(t * u);
    else wave *= (2 * Math.cos(u) - 2) * Math.cos(t * u);
    sum += wave;
  }
  return sum / (2 * half);
}

/** A centred profile along one axis, (k,). */
function profile(k, form, sigma, order = 0) {
  if (form === 'continuous') return axisOf(k).map((t) => sampled(t, sigma, order));
  return axisOf(k).map((t) => discrete(t, sigma, order, k, k % 2 === 0));
}

/** A profile about `centre`, (k,); discrete ones are interpolated linearly between pixels. */
function moved(k, form, centre, sigma, order = 0) {
  if (form === 'continuous') return axisOf(k).map((t) => sampled(t - centre, sigma, order));
  return axisOf(k).map((t) => {
    const below = Math.floor(t - centre);
    const low = discrete(below, sigma, order, k, false);
    const high = discrete(below + 1, sigma, order, k, false);
    return low + (t - centre - below) * (high - low);
  });
}

/** The error function, by a series of positive terms. */
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** A box of height 1 about `centre`, smoothed by a Gaussian, along one axis, (k,). */
function box(k, form, centre, width, sigma) {
  const [low, high] = [centre - width / 2, centre + width / 2];
  const axis = axisOf(k);
  if (form === 'continuous') {
    const edge = Math.SQRT2 * sigma;
    return axis.map((t) => (erf((t - low) / edge) - erf((t - high) / edge)) / 2);
  }
  const covered = axis.map((t) => Math.max(0, Math.min(high, t + 0.5) - Math.max(low, t - 0.5)));
  const impulse = Float64Array.from({ length: k }, (_, n) => discrete(n, sigma, 0, k, false));
  return axis.map((_, i) =>
    covered.reduce((sum, value, j) => sum + impulse[Math.abs(i - j)] * value, 0),
  );
}

/** An elliptic Gaussian, `wider` times as wide, (k·k,). */
function ellipse(k, form, { sigma, aspect, angle }, wider) {
  let [along, across] = [(aspect * sigma) ** 2, sigma ** 2];
  if (form === 'continuous') [along, across] = [1 / along, 1 / across];
  const [mean, half] = [(along + across) / 2, (along - across) / 2];
  const xx = mean + half * Math.cos(2 * angle);
  const yy = mean - half * Math.cos(2 * angle);
  const xy = half * Math.sin(2 * angle);
  if (form === 'discrete')
    return affine(
      k,
      [xx, xy, yy].map((value) => value * wider ** 2),
    );
  return image(k, (x, y) => {
    const exponent = -(xx * x * x) / 2 - xy * x * y - (yy * y * y) / 2;
    return Math.exp(Math.max(exponent, LEAST) / wider ** 2) / wider ** 2;
  });
}

/** The kernel of the discrete affine scale-space, by its Fourier series on a ring, (k·k,). */
function affine(k, [xx, xy, yy]) {
  const half = k + 2;
  const frequencies = Array.from({ length: 2 * half + 1 }, (_, i) => {
    return ((i - half) * 2 * Math.PI) / (2 * half + 1);
  });
  const halves = (u) => (k % 2 === 0 ? Math.cos(u / 2) : 1) / frequencies.length;
  const waves = axisOf(k);
  const cos = frequencies.map((u) => waves.map((t) => Math.cos(u * t)));
  const sin = frequencies.map((u) => waves.map((t) => Math.sin(u * t)));
  const values = new Float64Array(k * k);
  frequencies.forEach((u, i) => {
    // The sums over v of the transform's waves along y, of each row.
    const [even, odd] = [new Float64Array(k), new Float64Array(k)];
    frequencies.forEach((v, j) => {
      const exponent =
        -xx * (1 - Math.cos(u)) - yy * (1 - Math.cos(v)) - xy * Math.sin(u) * Math.sin(v);
      const factor = Math.exp(Math.max(exponent, LEAST)) * halves(u) * halves(v);
      for (let y = 0; y < k; y++) {
        even[y] += factor * cos[j][y];
        odd[y] += factor * sin[j][y];
      }
    });
    for (let y = 0; y < k; y++) {
      for (let x = 0; x < k; x++) {
        values[(k - 1 - y) * k + x] += even[y] * cos[i][x] - odd[y] * sin[i][x];
      }
    }
  });
  return values;
}

/** The image of a sum of products of profiles: each is [weight, along x, along y]. */
const products = (k, ...parts) =>
  image(k, (x, y, column, row) =>
    parts.reduce((sum, [weight, ofX, ofY]) => sum + weight * ofX[column] * ofY[row], 0),
  );

/** First or second derivative along an angle of a Gaussian of profiles `p(axis, order)`. */
function derivative(k, angle, order, p) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  if (order === 1) {
    return products(k, [-cos, p('x', 1), p('y', 0)], [-sin, p('x', 0), p('y', 1)]);
  }
  const second = [cos * cos, p('x', 2), p('y', 0)];
  const mixed = [2 * cos * sin, p('x', 1), p('y', 1)];
  return products(k, second, mixed, [sin * sin, p('x', 0), p('y', 2)]);
}

const centred =
  (order) =>
  (k, form, { sigma, angle }) =>
    derivative(k, angle, order, (_, n) => profile(k, form, sigma, n));

const about = (order) => (k, form, parameters) =>
  derivative(k, parameters.angle, order, (axis, n) =>
    moved(k, form, parameters[axis], parameters.sigma, n),
  );

/** Images before centring and scaling: (k, form, parameters) → (k·k,). */
const SHAPES = {
  gaussian(k, form, { sigma }) {
    const g = profile(k, form, sigma);
    return products(k, [1, g, g]);
  },
  dog(k, form, { sigma, ratio, surround }) {
    const [inner, outer] = [profile(k, form, sigma), profile(k, form, ratio * sigma)];
    return products(k, [1, inner, inner], [-surround, outer, outer]);
  },
  elongated(k, form, parameters) {
    const outer = ellipse(k, form, parameters, RATIO);
    return ellipse(k, form, parameters, 1).map((g, i) => g - parameters.surround * outer[i]);
  },
  first: centred(1),
  second: centred(2),
  cross(k, form, { sigma, ratio }) {
    const [narrow, wide] = [profile(k, form, sigma), profile(k, form, ratio * sigma)];
    return image(k, (x, y, column, row) =>
      Math.abs(y) < Math.abs(x) ? narrow[row] * wide[column] : narrow[column] * wide[row],
    );
  },
  square(k, form, { sigma, width, x, y }) {
    return products(k, [1, box(k, form, x, width, sigma), box(k, form, y, width, sigma)]);
  },
  shifted(k, form, { sigma, x, y }) {
    return products(k, [1, moved(k, form, x, sigma), moved(k, form, y, sigma)]);
  },
  'shifted dog'(k, form, { sigma, surround, x, y }) {
    const g = (centre, scale) => moved(k, form, centre, scale * sigma);
    return products(k, [1, g(x, 1), g(y, 1)], [-surround, g(x, RATIO), g(y, RATIO)]);
  },
  'shifted first': about(1),
  'shifted second': about(2),
  gabor(k, form, { sigma, frequency, angle, phase }) {
    const g = profile(k, form, sigma);
    return image(k, (x, y, column, row) => {
      const along = x * Math.cos(angle) + y * Math.sin(angle);
      return g[column] * g[row] * Math.cos(frequency * along - phase);
    });
  },
};

/** Values minus their mean. */
export function centre(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Float64Array.from(values, (value) => value - mean);
}

export const dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);

/** Centred values of norm 1; zeros if they are all the same. */
export function unit(values) {
  const from = centre(values);
  const norm = Math.max(Math.sqrt(dot(from, from)), 1e-30);
  return from.map((value) => value / norm);
}

/**
 * A function on the pixels, centred and of norm 1.
 *
 * @param {{function: string, form: string}} fit
 * @param {Object<string, number>} parameters by name, in pixels and radians
 * @param {number} k side of the kernel
 * @returns {Float64Array} of k·k values
 */
export const evaluate = (fit, parameters, k) => unit(SHAPES[fit.function](k, fit.form, parameters));

/**
 * A kernel w as amplitude·f + offset, of the function f that was fitted to it.
 *
 * @param {ArrayLike<number>} weights of k·k values
 * @returns {{values: Float64Array, residual: Float64Array, amplitude: number, offset: number,
 *   r2: number}} r2 is the share of the centred weights' variance that f explains
 */
export function fitted(weights, fit, parameters, k) {
  const f = evaluate(fit, parameters, k);
  const from = centre(weights);
  const amplitude = dot(from, f);
  const offset = weights[0] - from[0];
  const values = f.map((value) => amplitude * value + offset);
  const residual = values.map((value, i) => weights[i] - value);
  return { values, residual, amplitude, offset, r2: amplitude ** 2 / dot(from, from) };
}
