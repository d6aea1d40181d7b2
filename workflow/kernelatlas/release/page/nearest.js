/** The most similar of many kernels by cosine, exactly, on this thread. */

const NOT_FINITE = -128; // a weight that is stored so

/**
 * The kernels that are nearest to one.
 *
 * cos(w − mean(w), u) = ⟨w, u⟩ / √(Σw² − (Σw)²/n) for a centred u of norm 1, so that neither the
 * kernels' means nor the scales of their 8-bit weights are needed.
 *
 * @param {Int8Array} values of consecutive rows, those of a row beside each other
 * @param {number} begin number of the first row
 * @param {Float64Array} query centred, of norm 1
 * @param {object} options
 * @param {number} options.count kernels that are wanted
 * @param {boolean} [options.absolute] whether those of the opposite sign are as near
 * @param {number[]} [options.excluded] rows that are left out, [begin, end, …] in order
 * @returns {Near[]} nearest first; without those that are constant or not finite
 *
 * @typedef {{row: number, cosine: number}} Near
 */
export function nearest(values, begin, query, { count, absolute = false, excluded = [] }) {
  const found = [];
  const end = begin + values.length / query.length;
  for (const [first, last] of runs(begin, end, excluded)) {
    compare(values, begin, first, last, query, count, absolute, found);
  }
  return found;
}

function compare(values, begin, first, last, query, count, absolute, found) {
  const pixels = query.length;
  const score = (near) => (absolute ? Math.abs(near.cosine) : near.cosine);
  const bar = () => (found.length < count ? -Infinity : score(found.at(-1)));
  let bound = bar();
  for (let row = first, at = (first - begin) * pixels; row < last; row += 1) {
    let [sum, squares, product] = [0, 0, 0];
    for (let i = 0; i < pixels; i += 1, at += 1) {
      const weight = values[at];
      sum += weight;
      squares += weight * weight;
      product += weight * query[i];
    }
    const variance = squares - (sum * sum) / pixels; // 0 exactly of constant kernels
    const cosine = product / Math.sqrt(variance);
    const own = absolute && cosine < 0 ? -cosine : cosine;
    if (own > bound && variance > 0 && !values.subarray(at - pixels, at).includes(NOT_FINITE)) {
      const place = found.findLastIndex((near) => score(near) >= own) + 1;
      found.splice(place, 0, { row, cosine });
      found.length = Math.min(found.length, count);
      bound = bar();
    }
  }
}

/** Runs [begin, end] of the rows from `first` up to `last` that are not excluded. */
export function* runs(first, last, excluded = []) {
  let begin = first;
  for (let i = 0; i < excluded.length; i += 2) {
    const [from, to] = [excluded[i], excluded[i + 1]];
    if (to <= begin || from >= last) continue;
    if (from > begin) yield [begin, from];
    begin = to;
  }
  if (begin < last) yield [begin, last];
}

/**
 * The nearest of several lists; of equal ones the first row first.
 *
 * @param {Near[][]} lists
 */
export function merge(lists, { count, absolute = false }) {
  const score = ({ cosine }) => (absolute ? Math.abs(cosine) : cosine);
  const all = lists.flat().sort((one, other) => score(other) - score(one) || one.row - other.row);
  return all.slice(0, count);
}
