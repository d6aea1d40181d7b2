/** A kernel that is painted or pasted: its numbers as text, and what can be done to it. */

import { Problem } from './store.js';

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const MOST = 4; // significant digits in an address

/**
 * Read a kernel from text: numbers with spaces, commas, lines, or brackets as of JSON and Python.
 *
 * @param {string} text
 * @param {string[]} sizes that the results have, such as "7x7"
 * @returns {{size: string, values: number[]}} the size follows from how many numbers there are, and
 *   of the kernels that are no squares from their lines
 */
export function parseKernel(text, sizes) {
  const plain = text.replace(/\u2212/g, '-').replace(/\b(array|tensor|dtype=[\w.]+)\b/g, ' ');
  const tokens = plain.split(/[\s,;()[\]]+/).filter(Boolean);
  const wrong = tokens.find((token) => !NUMBER.test(token));
  if (wrong !== undefined) {
    throw new Problem(`“${wrong.slice(0, 40)}” is no number: paste numbers alone.`);
  }
  if (tokens.length === 0) throw new Problem('There are no numbers: paste those of a kernel.');
  const values = tokens.map(Number);
  if (!values.every(Number.isFinite)) {
    throw new Problem('A number is too large: paste numbers below 1e308.');
  }
  return { size: sizeOf(values.length, linesOf(plain), sizes), values };
}

/** Height by the lines or inner lists of a text, if all have as many numbers; else null. */
function linesOf(plain) {
  const lines = plain.split(/[\n\]]/).map((line) => line.split(/[\s,;()[\]]+/).filter(Boolean));
  const full = lines.filter((line) => line.length > 0);
  return full.every((line) => line.length === full[0].length) ? full.length : null;
}

function sizeOf(count, height, sizes) {
  const possible = sizes.filter((size) => pixels(size) === count);
  const side = Math.sqrt(count);
  const wanted = [`${height}x${count / height}`, `${side}x${side}`, ...possible];
  const size = wanted.find((name) => possible.includes(name));
  if (size) return size;
  const known = sizes.map((name) => `${pixels(name)} (${name.replace('x', '×')})`).join(', ');
  throw new Problem(
    `${count} ${count === 1 ? 'number' : 'numbers'}: no kernel of these results has as many. ` +
      `They have ${known}: paste as many, row by row.`,
  );
}

/** How many pixels a size such as "7x7" has. */
export function pixels(size) {
  const [height, width] = size.split('x').map(Number);
  return height * width;
}

/** The values as they stand in an address. */
export const toText = (values) =>
  Array.from(values, (value) => String(Number(Number(value).toPrecision(MOST)))).join(',');

/** A square turned by 90° anticlockwise. */
export const rotated = (values, k) =>
  values.map((_, i) => values[(i % k) * k + (k - 1 - Math.floor(i / k))]);

/** Left and right exchanged. */
export const mirrored = (values, width) =>
  values.map((_, i) => values[i - (i % width) + (width - 1 - (i % width))]);

/** Values whose greatest magnitude is 1, rounded to what is seen. */
export function scaled(values) {
  const most = Math.max(...values.map(Math.abs), 1e-30);
  return Array.from(values, (value) => Number((value / most).toFixed(3)));
}
