/** Places on a curve: the kernels around a point, and stretches of points of one shape. */

const SHOWN = 192; // kernels
const REACH = 12; // points on each side from which they are taken, at most
const NONE = 4294967295; // no row

/**
 * Rows of kernels whose code is a point, and of those of its neighbours until there are enough.
 *
 * @param {Uint32Array} rows `examples` of each point of a curve
 * @returns {{list: number[], first: number, last: number}} rows, and the points that they are of
 */
export function rowsAround(rows, point, { points, examples }) {
  const at = (one) =>
    [...rows.subarray(one * examples, (one + 1) * examples)].filter((row) => row !== NONE);
  let [first, last, list] = [point, point, at(point)];
  while (list.length < SHOWN && last - first < 2 * REACH && (first > 0 || last < points - 1)) {
    if (first > 0) list = at((first -= 1)).concat(list);
    if (last < points - 1) list = list.concat(at((last += 1)));
  }
  return { list: list.slice(0, SHOWN), first, last };
}

/** The middle of the next stretch of a shape after a point, from the start again after the last. */
export function nextStretch(shapes, shape, point) {
  const stretches = [];
  shapes.forEach((own, i) => {
    if (own !== shape) return;
    if (i > 0 && shapes[i - 1] === shape) stretches.at(-1)[1] = i;
    else stretches.push([i, i]);
  });
  const [first, last] = stretches.find(([begin]) => begin > point) ?? stretches[0];
  return Math.floor((first + last) / 2);
}
