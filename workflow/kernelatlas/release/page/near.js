/** Mosaics of kernels that were found, and samples in which the nearest ones are sought. */

import { dot, unit } from './fits.js';
import { fill } from './mosaic.js';
import { merge, nearest, runs } from './nearest.js';

const SAMPLE = 140_000; // bytes, so that with what comes with ranges they are below 150 kB
const RANGES = 96; // in one request
const CELLS = 6; // the kernel's own and its neighbours

/**
 * Show kernels in a mosaic.
 *
 * @param {Element} box as `mosaic` makes it
 * @param {Rows} rows
 * @param {{row: number, cosine: ?number}[]} list
 */
export async function showRows(box, rows, list, signal) {
  box.setAttribute('aria-busy', 'true');
  const names = rows.size.studied ? ['dissimilarity', 'fit', 'r2'] : [];
  const columns = await rows.columns(
    list.map(({ row }) => [row, row + 1]),
    names,
    signal,
  );
  const found = list.map((kernel, n) => ({
    ...kernel,
    levels: Object.fromEntries(names.map((name) => [name, columns[name][n][0]])),
  }));
  await fill(box, rows, found, signal);
}

/**
 * Search a sample of the kernels of a size, or all of them if they are few.
 *
 * The sample is spread over the kernel's own cell and those of the most similar prototypes.
 *
 * @param {Rows} rows
 * @param {ArrayLike<number>} kernel
 * @param {?number} cell its own, if it has one
 * @param {object} options as of `nearest`
 * @returns {Promise<{found: Near[], searched: number}>} searched: kernels, without those excluded
 */
export async function searchSample(rows, kernel, cell, options, signal) {
  const weights = await rows.store.array(rows.name, 'weights');
  const query = unit(kernel);
  const ranges = sample(rows, query, cell, Math.floor(SAMPLE / weights.rowBytes));
  const values = await weights.ranges(ranges, signal);
  const lists = ranges.map(([begin], i) => nearest(values[i], begin, query, options));
  const compared = ranges.flatMap(([begin, end]) => [...runs(begin, end, options.excluded)]);
  const searched = compared.reduce((sum, [begin, end]) => sum + end - begin, 0);
  return { found: merge(lists, options), searched };
}

/** Ranges of rows that are spread over the cells most similar to a kernel. */
function sample(rows, query, own, budget) {
  const { kernels, cells } = rows.size;
  if (kernels <= budget) return [[0, kernels]];
  const likeness = (cell) =>
    cell === own ? Infinity : cells[cell].prototype ? dot(unit(cells[cell].prototype), query) : -2;
  const ranked = cells.map((_, cell) => cell).sort((a, b) => likeness(b) - likeness(a));
  const chosen = ranked.filter((cell) => cells[cell].kernels > 0).slice(0, CELLS);
  let left = budget;
  return chosen.flatMap((cell, i) => {
    const [begin, end] = rows.range(cell, 0, rows.size.networks.length);
    // Half of them of the first cell; what a small one leaves goes to the others.
    const most = Math.floor(i === 0 ? left / 2 : left / (chosen.length - i));
    left -= Math.min(most, end - begin);
    return spread(begin, end, most, RANGES / CELLS);
  });
}

/** At most `most` rows of begin to end in so many ranges, evenly spread. */
function spread(begin, end, most, ranges) {
  if (end - begin <= most) return [[begin, end]];
  const rows = Math.floor(most / ranges);
  return Array.from({ length: ranges }, (_, i) => {
    const first = begin + Math.floor((i * (end - begin)) / ranges);
    return [first, first + rows];
  });
}

/** Rows of the i-th network of a size, as `nearest` leaves them out. */
export const rowsOfNetwork = (rows, i) => rows.size.cells.flatMap((_, cell) => rows.range(cell, i));
