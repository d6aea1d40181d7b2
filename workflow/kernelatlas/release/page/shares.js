/** Shares of kernels: what the index says of them, and how they are drawn. */

import { h } from './dom.js';
import { REASONS } from './selection.js';
import { count, enough, interval, percent } from './words.js';

/** What trained kernels are compared with, in the order of tables, and what it is. */
export const NULLS = {
  covariance: ['same covariance', 'normal noise with the second moments of each network’s kernels'],
  shuffled: ['shuffled pixels', 'trained kernels with their pixels in random order'],
  white: ['white noise', 'normal noise, all pixels alike and independent'],
  untrained: ['untrained controls', 'the same networks before any training'],
};
const DARK = 0.179; // luminance below which white letters have more contrast than black ones
const WORDED = 0.06; // share of a bar from which its part is written in it, if there is room
const ALL_FAMILIES = 'all families';
/** Share of the kernels of a network that are not identified, where the reasons are not known. */
export const NOT_IDENTIFIED = 'not identified';

/** Return the shares of a size by kind (trained, and the nulls) of a family, or of all. */
export function nullsOf(index, size, family = ALL_FAMILIES) {
  const own = size.studied
    ? index.nulls.filter((row) => row.k === size.height && row.family === family)
    : [];
  return Object.fromEntries(own.map((row) => [row.kind, row]));
}

/** Return the shares of the networks of a size, by their names. */
export function sharesOf(index, size) {
  const own = size.studied ? index.shares.filter((row) => row.k === size.height) : [];
  return new Map(own.map((row) => [row.model, row]));
}

/** Say a share with its interval; of too few kernels how many they are. */
export function said(row) {
  if (!row) return '';
  if (!enough(row.kernels)) return count(row.kernels, 'kernel');
  return percent(row.share_identified) + interval(row.low, row.high);
}

/**
 * Draw a share from 0 to 100 %, with its interval and marks of nulls.
 * @param {?object} row share_identified, low, high, kernels.
 * @param {object} nulls by kind.
 */
export function bar(row, nulls = {}) {
  if (!row) return '';
  const parts = [];
  const at = (share) => `${100 * share}%`;
  if (enough(row.kernels)) {
    parts.push(h('span', { class: 'bar-fill', style: { width: at(row.share_identified) } }));
    if (Number.isFinite(row.low) && Number.isFinite(row.high)) {
      const style = { left: at(row.low), width: at(row.high - row.low) };
      parts.push(h('span', { class: 'bar-interval', style }));
    }
  }
  for (const kind of Object.keys(NULLS)) {
    const share = nulls[kind]?.share_identified;
    if (Number.isFinite(share)) {
      parts.push(h('span', { class: `bar-mark ${kind}`, style: { left: at(share) } }));
    }
  }
  return h('span', { class: 'bar-track', 'aria-hidden': 'true' }, ...parts);
}

/** Explain the marks of bars. */
export function barKey(kinds) {
  const entry = (shape, text) => h('li', {}, shape, text);
  return h(
    'ul',
    { class: 'key' },
    entry(h('span', { class: 'key-line' }), '95 % interval'),
    ...kinds.map((kind) =>
      entry(h('span', { class: `bar-mark ${kind}` }), `${NULLS[kind][0]}: ${NULLS[kind][1]}`),
    ),
  );
}

/** Return the parts of stacked bars in the order of the figures. */
function partsOf(index) {
  return [...index.shapes.filter((shape) => shape !== 'other'), ...REASONS, NOT_IDENTIFIED];
}

/** Return the name of a part of stacked bars. */
function partName(part) {
  return REASONS.includes(part) && part !== 'degenerate' ? `${NOT_IDENTIFIED}: ${part}` : part;
}

/** Give an element the colour and pattern of a part. */
export function paint(element, part, index) {
  element.dataset.part = part;
  const colour = index.colours[part];
  if (!colour) return element;
  element.style.setProperty('--part', colour);
  if (luminance(colour) < DARK) element.classList.add('on-dark');
  return element;
}

/** Return the relative luminance of a colour such as #0072b2 (WCAG 2.2). */
function luminance(colour) {
  const [red, green, blue] = [1, 3, 5]
    .map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/**
 * Draw a stacked bar.
 * @param {object} counts kernels by part.
 * @param {number} total
 * @param {(part: string) => ?string} address of what a click on a part shows; null for none.
 */
export function stack(counts, total, index, address) {
  const segments = partsOf(index)
    .filter((part) => counts[part] > 0)
    .map((part) => {
      const share = counts[part] / total;
      const text = `${partName(part)}: ${percent(share)}, ${count(counts[part], 'kernel')}`;
      const href = address(part);
      const own = h(href ? 'a' : 'span', {
        class: 'segment',
        href,
        title: text,
        'aria-label': href ? text : null,
        style: { 'flex-grow': String(counts[part]) },
      });
      if (share > WORDED) own.append(h('span', { class: 'word', text: part }));
      return paint(own, part, index);
    });
  return h('div', { class: 'stack' }, ...segments);
}

/** Explain the colours of stacked bars: those parts that occur. */
export function stackKey(parts, index) {
  const present = partsOf(index).filter((part) => parts.has(part));
  return h(
    'ul',
    { class: 'key', 'aria-label': 'Colours' },
    ...present.map((part) =>
      h('li', {}, paint(h('span', { class: 'swatch' }), part, index), partName(part)),
    ),
  );
}
