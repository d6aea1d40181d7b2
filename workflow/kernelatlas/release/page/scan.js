/** Looking for kernels whose columns pass a test, and sorting them, without reading everything. */

import { COLUMNS } from './selection.js';

export const PAGE = 400; // kernels of a mosaic
const RUN = 20; // kernels beside one another in a page that is spread over a selection
const CHUNK = 256; // rows that are looked at together
const CHUNKS = 24; // in a request
const LOOK = 3; // requests of a column, at most, until something is shown
const SORTED = 512; // rows of a chunk of a sort, of which all of a look is asked for at once
const LARGE = 1 << 18; // rows of a chunk when everything is read
const GOLDEN = 0.6180339887;

/** Rows that one look reads at most; smaller selections are read whole. */
export const LOOKED = CHUNK * CHUNKS * LOOK;

/**
 * Return the rows of a page of a selection without a test.
 * In `table` order they follow one another; else they are short runs from everywhere, so that a
 * page is like the whole, and all pages together are the selection.
 */
export function plainPage(ranges, page, order) {
  if (order === 'table') return expand(ranges.slice(page * PAGE, (page + 1) * PAGE));
  const pages = Math.ceil(ranges.length / PAGE);
  if (page >= pages) return [];
  const runs = Math.ceil(ranges.length / RUN);
  const list = [];
  for (let run = page; run < runs; run += pages) {
    list.push(...ranges.slice(run * RUN, (run + 1) * RUN));
  }
  return expand(list);
}

/** Return the rows of ranges. */
function expand(list) {
  return list.flatMap(([begin, end]) => Array.from({ length: end - begin }, (_, n) => begin + n));
}

/** Read the levels of rows that no scan has read: returns each row with its levels. */
export async function described(rows, list, signal) {
  const ranges = [];
  for (const row of list) {
    if (ranges.at(-1)?.[1] === row) ranges.at(-1)[1] += 1;
    else ranges.push([row, row + 1]);
  }
  const names = rows.size.studied ? COLUMNS : [];
  const read = await rows.columns(ranges, names, signal);
  return ranges.flatMap((range, n) =>
    expand([range]).map((row, at) => ({
      row,
      levels: Object.fromEntries(names.map((name) => [name, read[name][n][at]])),
    })),
  );
}

/** A look through a selection: what was found so far, and how much was looked at. */
export class Scan {
  #chunks; // begins of chunks, as positions, in the order in which they are looked at
  #chunk; // rows of each
  #next = 0;
  #selection;
  #ranges;
  #spread;

  /**
   * @param {Selection} selection
   * @param {Ranges} ranges of the selection.
   * @param {string} sort spread, table, r2, dissimilarity or agreement.
   * @param {boolean} down whether the greatest come first.
   */
  constructor(selection, ranges, sort, down) {
    this.#selection = selection;
    this.#ranges = ranges;
    this.#spread = sort !== 'table';
    this.sort = sort;
    this.down = down;
    this.total = ranges.length;
    this.looked = 0;
    this.found = new Found();
    this.#chunk = this.sorted ? SORTED : CHUNK;
    this.#chunks = shuffled(Math.ceil(ranges.length / this.#chunk), this.#spread);
  }

  get done() {
    return this.looked === this.total;
  }

  get sorted() {
    return !['spread', 'table'].includes(this.sort);
  }

  /** Return about how many pass the test, from the part that was looked at; null if unknown. */
  get estimate() {
    return this.#spread && this.looked ? (this.found.length / this.looked) * this.total : null;
  }

  /** Look on until `wanted` are found (all of a look for a sort) or a look is over. */
  async look(wanted, signal) {
    // Nothing is sorted before the last is known, and little is read whole: at once.
    const whole = this.sorted || this.total <= LOOKED;
    if (!whole && this.found.length >= wanted) return;
    const before = this.found.length;
    let many = whole ? LOOKED / this.#chunk : CHUNKS;
    for (let left = LOOK; left > 0 && !this.done; ) {
      const chunks = this.#chunks.slice(this.#next, this.#next + many);
      const positions = chunks.map((own) => [own * this.#chunk, (own + 1) * this.#chunk]);
      await this.#read(positions, this, signal);
      this.#next += many;
      if (whole || this.found.length >= wanted) return;
      left -= many / CHUNKS;
      // The rest of the look at once, as far as it takes to find the others at this rate.
      const rate = (this.found.length - before) / (LOOK - left);
      many = CHUNKS * Math.min(left, Math.ceil((wanted - this.found.length) / rate));
    }
  }

  /**
   * Look at everything.
   * @param {(share: number) => void} onProgress
   */
  async all(onProgress, signal) {
    const everything = { found: new Found(), looked: 0 };
    for (let begin = 0; begin < this.total; begin += LARGE) {
      await this.#read([[begin, begin + LARGE]], everything, signal);
      onProgress(everything.looked / this.total);
    }
    Object.assign(this, everything); // only now: it may have been given up
  }

  /** Return the page of what was found: rows, and the levels of each. */
  page(number) {
    const order = this.sorted ? this.found.order(this.sort, this.down, this.#selection.rows) : null;
    const from = number * PAGE;
    const to = Math.min(from + PAGE, this.found.length);
    return Array.from({ length: Math.max(to - from, 0) }, (_, n) =>
      this.found.get(order ? order[from + n] : from + n),
    );
  }

  /** Look at the rows at ranges of positions, and add to what was found and looked at. */
  async #read(positions, into, signal) {
    const { rows } = this.#selection;
    const parts = positions.map(([from, to]) => this.#ranges.slice(from, to));
    const { dissimilarity, fit, r2 } = await rows.columns(parts.flat(), COLUMNS, signal);
    signal.throwIfAborted(); // another look may have begun at the same place
    let n = 0;
    const passed = parts.map((part) => {
      const own = [];
      for (const [begin, end] of part) {
        this.#test(begin, end, [dissimilarity[n], fit[n], r2[n]], own);
        into.looked += end - begin;
        n += 1;
      }
      return own;
    });
    // Short runs from each part in turn: so a page is spread over all that was looked at.
    const most = passed.reduce((length, own) => Math.max(length, own.length), 0);
    const step = this.sort === 'spread' ? RUN * 4 : Infinity;
    for (let from = 0; from < most; from += step) {
      for (const own of passed) {
        const to = Math.min(from + step, own.length);
        for (let at = from; at < to; at += 4) {
          into.found.push(own[at], own[at + 1], own[at + 2], own[at + 3]);
        }
      }
    }
  }

  /** Add those rows of [begin, end) to `passed` that pass, each with its three levels. */
  #test(begin, end, [dissimilarity, fit, r2], passed) {
    const { rows, test } = this.#selection;
    let cell = -1;
    let next = begin;
    for (let row = begin; row < end; row += 1) {
      if (row === next) {
        cell = rows.cellOf(row);
        next = rows.range(cell, 0, rows.size.networks.length)[1];
      }
      const n = row - begin;
      if (test(cell, dissimilarity[n], fit[n], r2[n])) {
        passed.push(row, dissimilarity[n], fit[n], r2[n]);
      }
    }
  }
}

/** Rows with their levels, in typed arrays that grow. */
class Found {
  length = 0;
  rows = new Uint32Array(1024);
  dissimilarity = new Uint8Array(1024);
  fit = new Uint8Array(1024);
  r2 = new Uint8Array(1024);
  #order = null;

  push(row, dissimilarity, fit, r2) {
    if (this.length === this.rows.length) {
      for (const name of ['rows', ...COLUMNS]) {
        const longer = new this[name].constructor(2 * this.length);
        longer.set(this[name]);
        this[name] = longer;
      }
    }
    this.rows[this.length] = row;
    this.dissimilarity[this.length] = dissimilarity;
    this.fit[this.length] = fit;
    this.r2[this.length] = r2;
    this.length += 1;
    this.#order = null;
  }

  get(n) {
    const levels = { dissimilarity: this.dissimilarity[n], fit: this.fit[n], r2: this.r2[n] };
    return { row: this.rows[n], levels };
  }

  /** Return the numbers of what was found, sorted by a column; where it says nothing, last. */
  order(column, down, rows) {
    this.#order ??= this.#sorted(column, down, rows);
    return this.#order;
  }

  /** Sort by counting: stable, and quick for millions. */
  #sorted(column, down, rows) {
    const levels = column === 'agreement' ? this.fit : this[column];
    const agreements = rows.store.index.agreement.levels.length;
    const none = column === 'r2' ? rows.size.r2.none : -1;
    const [begin, end] = degenerates(rows);
    const keys = new Uint16Array(this.length);
    const counts = new Uint32Array(258);
    for (let n = 0; n < this.length; n += 1) {
      const level = column === 'agreement' ? levels[n] % agreements : levels[n];
      const without = level === none || (this.rows[n] >= begin && this.rows[n] < end);
      keys[n] = without ? 256 : down ? 255 - level : level;
      counts[keys[n] + 1] += 1;
    }
    for (let key = 1; key < counts.length; key += 1) counts[key] += counts[key - 1];
    const order = new Uint32Array(this.length);
    for (let n = 0; n < this.length; n += 1) {
      order[counts[keys[n]]] = n;
      counts[keys[n]] += 1;
    }
    return order;
  }
}

/** Return the rows [begin, end) of the degenerate kernels of a size. */
function degenerates(rows) {
  const cell = rows.size.cells.findIndex(({ label }) => label === 'degenerate');
  return cell < 0 ? [0, 0] : rows.range(cell, 0, rows.size.networks.length);
}

/** Return the numbers below n, in steps of about the golden ratio: each beginning is spread. */
function shuffled(n, spread) {
  let step = spread ? Math.max(1, Math.round(n * GOLDEN)) : 1;
  while (common(step, n) > 1) step += 1;
  return Array.from({ length: n }, (_, i) => (i * step) % n);
}

/** Return the greatest common divisor. */
function common(a, b) {
  return b ? common(b, a % b) : a;
}
