/** Which kernels are chosen: the filters of an address, as ranges of rows and a test of levels. */

import { lastAtMost } from './lookup.js';
import { join } from './ranges.js';
import { Problem } from './store.js';

/** What an address may say of a selection, beside its size. */
export const FILTERS = [
  'family',
  'network',
  'layer',
  'trained',
  'shape',
  'label',
  'cell',
  'identified',
  'reason',
  'agreement',
  'r2',
  'r2_to',
  'dissimilarity',
  'dissimilarity_to',
];
export const REASONS = ['degenerate', 'too far', 'no name', 'seeds disagree'];
export const COLUMNS = ['dissimilarity', 'fit', 'r2'];

/** Return the sizes, those that are studied first, the smallest first. */
export function sizesOf(data) {
  const { sizes } = data.index;
  const order = (name) => [!sizes[name].studied, sizes[name].height, sizes[name].width];
  return Object.keys(sizes).sort((a, b) => {
    const [x, y] = [order(a), order(b)];
    return x[0] - y[0] || x[1] - y[1] || x[2] - y[2];
  });
}

/** Return the size that an address asks for, or the studied one with most kernels. */
export function sizeOf(data, query) {
  const asked = query.get('size');
  if (asked) {
    data.size(asked);
    return asked;
  }
  const { sizes } = data.index;
  const most = (a, b) => sizes[b].studied - sizes[a].studied || sizes[b].kernels - sizes[a].kernels;
  return Object.keys(sizes).sort(most)[0];
}

/** The kernels of a size that the filters of an address leave. */
export class Selection {
  /**
   * @param {Rows} rows
   * @param {URLSearchParams} query
   */
  constructor(rows, query) {
    this.rows = rows;
    const given = FILTERS.map((name) => [name, query.get(name)]).filter(([, value]) => value);
    this.filters = Object.fromEntries(given);
    this.key = JSON.stringify([rows.name, given]);
    const { identified, reason } = this.filters;
    const rest = ['agreement', 'r2', 'r2_to', 'dissimilarity', 'dissimilarity_to'].some(
      (name) => name in this.filters,
    );
    const { studied } = rows.size;
    if (!studied && (identified || reason || rest)) {
      throw new Problem(
        `Kernels of ${rows.name} are not studied: take the filters of shapes and fits away.`,
      );
    }
    this.cells = this.#cells(rest);
    this.runs = this.#runs();
    // A kernel of a degenerate cell is degenerate, whatever its columns say.
    this.tests = Boolean(rest || identified || (reason && reason !== 'degenerate'));
    this.test = this.#test();
    this.exact = rest || !this.tests ? null : this.#counted();
  }

  /** Find the ranges of rows, sorted; of a layer they are read. */
  async find(signal) {
    const { layer, network } = this.filters;
    let ranges;
    if (!this.runs.length) {
      ranges = []; // the filters contradict one another
    } else if (layer) {
      if (!network) throw new Problem('A layer is chosen without its network: choose that too.');
      const i = this.rows.numberOf(network);
      const l = (await this.rows.layers(i)).findIndex(({ name }) => name === layer);
      if (l < 0) throw new Problem(`${network} has no layer ${layer} of ${this.rows.name}.`);
      const starts = await this.rows.layerStarts(
        this.cells.map((cell) => [cell, i]),
        signal,
      );
      ranges = starts.map((own) => [own[l], own[l + 1]]);
    } else {
      ranges = this.cells.flatMap((cell) =>
        this.runs.map(([from, to]) => this.rows.range(cell, from, to)),
      );
    }
    return new Ranges(
      join(
        ranges.filter(([begin, end]) => end > begin),
        0,
      ),
    );
  }

  #cells(rest) {
    const { shape, label, cell, identified, reason } = this.filters;
    const { cells, studied } = this.rows.size;
    if (shape && !cells.some((own) => own.shape === shape || own.label === shape)) {
      throw new Problem(`No kernels of ${this.rows.name} have the shape ${shape}.`);
    }
    return [...cells.keys()].filter((number) => {
      const own = cells[number];
      const degenerate = own.label === 'degenerate';
      const nameless = degenerate || own.shape === 'other';
      return (
        (!shape || own.shape === shape || own.label === shape) &&
        (!label || own.label === label) &&
        (!cell || String(number) === cell) &&
        (!rest || !degenerate) &&
        (identified !== 'yes' || (studied && !nameless)) &&
        (!reason || (reason === 'degenerate') === degenerate) &&
        (reason !== 'no name' || own.shape === 'other') &&
        (reason !== 'seeds disagree' || !nameless)
      );
    });
  }

  /** Return the chosen networks as runs [from, to) of their numbers. */
  #runs() {
    const { family, network, trained } = this.filters;
    const { families } = this.rows.store.index;
    if (family && !families.includes(family)) throw new Problem(`There is no family ${family}.`);
    const only = network ? this.rows.numberOf(network) : null;
    const chosen = this.rows.size.networks
      .map((_, i) => [i, this.rows.network(i)])
      .filter(([i]) => only === null || i === only)
      .filter(([, own]) => !family || own.family === family)
      .filter(([, own]) => !trained || own.trained === (trained === 'yes'))
      .map(([i]) => [i, i + 1]);
    return join(chosen, 0);
  }

  /** Return the test of a kernel by its cell and levels. */
  #test() {
    const { identified, reason, agreement } = this.filters;
    const { size, store } = this.rows;
    const levels = store.index.agreement.levels.length;
    const within = [
      this.#levels('dissimilarity', 1 / (size.dissimilarity?.step ?? 1), 255),
      this.#levels('r2', size.r2?.levels ?? 1, (size.r2?.none ?? 255) - 1),
    ];
    return (cell, dissimilarity, fit, r2) => {
      if (dissimilarity < within[0][0] || dissimilarity > within[0][1]) return false;
      if (r2 < within[1][0] || r2 > within[1][1]) return false;
      if (agreement && fit % levels !== Number(agreement)) return false;
      if (!identified && !reason) return true;
      const own = this.rows.reason(cell, dissimilarity, fit);
      return (
        (!reason || own === reason) && (!identified || (own === null) === (identified === 'yes'))
      );
    };
  }

  /** Return the lowest and highest level of a column that the filters let through. */
  #levels(name, perUnit, most) {
    const [from, to] = [this.filters[name], this.filters[`${name}_to`]];
    const number = (text) => {
      if (!Number.isFinite(Number(text))) throw new Problem(`“${text}” is no number.`);
      return Number(text);
    };
    if (!from && !to) return [0, 255];
    // The margin is for numbers such as 0.3 that binary fractions only come near to.
    const low = from ? Math.floor(number(from) * perUnit + 1e-6) : 0;
    const high = to ? Math.ceil(number(to) * perUnit - 1e-6) - 1 : most;
    return [low, name === 'r2' && to && number(to) >= 1 ? most : Math.min(high, most)];
  }

  /** Return the number of kernels where the index tells it, null where it does not. */
  #counted() {
    const { size } = this.rows;
    const { identified, reason } = this.filters;
    const all =
      this.runs.length === 1 && this.runs[0][1] - this.runs[0][0] === size.networks.length;
    if (!all || (identified && reason)) return null;
    return this.cells.reduce((sum, cell) => {
      const own = size.cells[cell];
      if (reason) return sum + (own.reasons[reason] ?? 0);
      return sum + (identified === 'yes' ? own.identified : own.kernels - own.identified);
    }, 0);
  }
}

/** Sorted ranges of rows, counted through: position p is the p-th row of all. */
class Ranges {
  constructor(list) {
    this.list = list;
    this.starts = [];
    this.length = 0;
    for (const [begin, end] of list) {
      this.starts.push(this.length);
      this.length += end - begin;
    }
  }

  /** Return the ranges of rows at the positions [from, to). */
  slice(from, to) {
    const found = [];
    const end = Math.min(to, this.length);
    let position = from;
    for (let n = lastAtMost(this.starts, from); position < end; n += 1) {
      const [begin, last] = this.list[n];
      const row = begin + position - this.starts[n];
      const rows = Math.min(last - row, end - position);
      found.push([row, row + rows]);
      position += rows;
    }
    return found;
  }
}
