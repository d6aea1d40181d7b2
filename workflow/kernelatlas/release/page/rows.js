/** Kernels of a size: where they are (row, network, layer, channel), and what the data say of them. */

import { distinct, lastAtMost, nth } from './lookup.js';
import { Problem } from './store.js';

const known = new WeakMap(); // store -> size -> Promise<Rows>

/**
 * Return the kernels of a size, such as 7x7; reads `network_starts` once.
 * @returns {Promise<Rows>}
 */
export async function rowsOf(store, name) {
  const size = store.size(name);
  if (!known.has(store)) known.set(store, new Map());
  const sizes = known.get(store);
  if (!sizes.has(name)) {
    const made = store
      .array(name, 'network_starts')
      .then((array) => array.whole())
      .then((starts) => new Rows(store, name, size, starts));
    made.catch(() => sizes.delete(name));
    sizes.set(name, made);
  }
  return sizes.get(name);
}

/** The kernels of one size. */
export class Rows {
  /**
   * @param {Uint32Array} starts cells × (networks + 1): the first row of each cell of each network.
   */
  constructor(store, name, size, starts) {
    this.store = store;
    this.name = name;
    this.size = size;
    this.starts = starts;
    this.cellStarts = size.cells.map((_, cell) => this.range(cell, 0)[0]);
  }

  /** Return the rows [begin, end) of a cell in the networks from the i-th up to, not with, `to`. */
  range(cell, i, to = i + 1) {
    const at = cell * (this.size.networks.length + 1);
    return [this.starts[at + i], this.starts[at + to]];
  }

  /** Return the cell of a row: its number in `size.cells`. */
  cellOf(row) {
    return lastAtMost(this.cellStarts, row);
  }

  /** Return which network of the size has a row. */
  networkOf(row, cell = this.cellOf(row)) {
    const at = cell * (this.size.networks.length + 1);
    return lastAtMost(this.starts, row, at, at + this.size.networks.length) - at;
  }

  /** Return what the index says of the i-th network of the size. */
  network(i) {
    return this.store.index.networks[this.size.networks[i]];
  }

  /** Return which network of the size has a name. */
  numberOf(name) {
    const i = this.size.networks.findIndex((_, number) => this.network(number).name === name);
    if (i < 0) throw new Problem(`The network ${name} has no kernels of ${this.name}.`);
    return i;
  }

  /** Return the number of kernels of the i-th network, of all cells. */
  kernelsOf(i) {
    return this.size.cells.reduce((sum, _, cell) => {
      const [begin, end] = this.range(cell, i);
      return sum + end - begin;
    }, 0);
  }

  /** Return the layers of the i-th network: name, index, channels, stride, dilation, first. */
  async layers(i) {
    const { name } = this.network(i);
    const layers = (await this.store.network(name)).layers[this.name];
    const expected = this.size.network_layers[i + 1] - this.size.network_layers[i];
    if (layers?.length !== expected) {
      throw new Problem(
        `networks/${name}.json lists ${layers?.length ?? 0} layers of ${this.name}, and the index ` +
          `${expected}. Make them again: “snakemake explorer”.`,
      );
    }
    return layers;
  }

  /**
   * Return the first rows of the layers of networks.
   * @param {number[][]} pairs of a cell and a network of the size.
   * @returns {Promise<Uint32Array[]>} for each pair layers + 1 rows: the last is where it ends.
   */
  async layerStarts(pairs, signal) {
    const { network_layers: layers, cells } = this.size;
    const array = await this.store.array(this.name, 'layer_starts');
    const list = pairs.map(([cell, i]) => {
      const wide = layers[i + 1] - layers[i] + 1;
      const begin = cells.length * (layers[i] + i) + cell * wide;
      return [begin, begin + wide];
    });
    return array.ranges(list, signal);
  }

  /**
   * Find kernels in their networks.
   * @param {number[]} rows
   * @returns {Promise<{network: object, layer: object, channel: number}[]>} network as in the
   *     index, layer as in data/networks/.
   */
  async places(rows, signal) {
    const found = rows.map((row) => {
      const cell = this.cellOf(row);
      return { row, cell, i: this.networkOf(row, cell) };
    });
    const pairs = distinct(found, ({ cell, i }) => `${cell} ${i}`);
    const numbers = distinct(found, ({ i }) => i);
    const [starts, layers] = await Promise.all([
      this.layerStarts(
        pairs.list.map(({ cell, i }) => [cell, i]),
        signal,
      ),
      Promise.all(numbers.list.map(({ i }) => this.layers(i))),
    ]);
    for (const [n, kernel] of found.entries()) {
      const own = starts[pairs.of[n]];
      const l = lastAtMost(own, kernel.row, 0, own.length - 1);
      kernel.layer = layers[numbers.of[n]][l];
      kernel.number = kernel.row - own[l];
    }
    const groups = distinct(found, ({ layer }) => layer.first);
    const cells = await this.store.array(this.name, 'cells');
    const list = groups.list.map(({ layer }) => [layer.first, layer.first + layer.channels]);
    const owners = await cells.ranges(list, signal);
    return found.map(({ cell, i, layer, number }, n) => {
      const channel = nth(owners[groups.of[n]], cell, number);
      if (channel < 0) throw new Problem(`${this.name}: the data contradict one another.`);
      return { network: this.network(i), layer, channel };
    });
  }

  /** Find the kernel of a channel: its row. */
  async rowOf(networkName, layerName, channel, signal) {
    const i = this.numberOf(networkName);
    const layers = await this.layers(i);
    const l = layers.findIndex(({ name }) => name === layerName);
    if (l < 0) throw new Problem(`${networkName} has no layer ${layerName} of ${this.name}.`);
    const { first, channels } = layers[l];
    if (!(Number.isInteger(channel) && channel >= 0 && channel < channels)) {
      throw new Problem(
        `${networkName}, ${layerName} has no channel ${channel}: its channels are 0 to ` +
          `${channels - 1}.`,
      );
    }
    const cells = await this.store.array(this.name, 'cells');
    const before = await cells.rows(first, first + channel + 1, signal);
    const cell = before[channel];
    const [starts] = await this.layerStarts([[cell, i]], signal);
    return starts[l] + before.subarray(0, channel).reduce((n, other) => n + (other === cell), 0);
  }

  /**
   * Read what the columns say of ranges of rows.
   * @param {number[][]} ranges
   * @param {string[]} names of columns: dissimilarity, r2, fit.
   * @returns {Promise<Object<string, Uint8Array[]>>} by name, one array a range.
   */
  async columns(ranges, names, signal) {
    const read = await Promise.all(
      names.map(async (name) => (await this.store.array(this.name, name)).ranges(ranges, signal)),
    );
    return Object.fromEntries(names.map((name, n) => [name, read[n]]));
  }

  /**
   * Describe a kernel from its levels in the columns.
   * @returns {object} row, cell, label, shape, network; of studied sizes also reason (null:
   *     identified), agreement, dissimilarity, r2 (null where they are not known), function, form.
   */
  describe(row, levels) {
    const cell = this.cellOf(row);
    const { label, shape } = this.size.cells[cell];
    const kernel = { row, cell, label, shape, network: this.network(this.networkOf(row, cell)) };
    if (!this.size.studied) return kernel;
    const { agreement } = this.store.index;
    const fit = this.size.fits[Math.floor(levels.fit / agreement.levels.length)];
    const none = label === 'degenerate';
    return Object.assign(kernel, {
      reason: this.reason(cell, levels.dissimilarity, levels.fit),
      agreement: none ? null : agreement.levels[levels.fit % agreement.levels.length],
      dissimilarity: none ? null : this.dissimilarity(levels.dissimilarity),
      r2: this.r2(levels.r2),
      function: fit?.function ?? null,
      form: fit?.form ?? null,
    });
  }

  /** Read and describe kernels. */
  async kernels(rows, signal) {
    const names = this.size.studied ? ['dissimilarity', 'fit', 'r2'] : [];
    const read = await this.columns(
      rows.map((row) => [row, row + 1]),
      names,
      signal,
    );
    return rows.map((row, n) =>
      this.describe(row, Object.fromEntries(names.map((name) => [name, read[name][n][0]]))),
    );
  }

  /** Return why a kernel is not identified: the first reason that holds; null if it is. */
  reason(cell, dissimilarity, fit) {
    const { shape, label } = this.size.cells[cell];
    const { levels, most } = this.store.index.agreement;
    if (label === 'degenerate') return 'degenerate';
    if (dissimilarity >= this.size.dissimilarity.near) return 'too far';
    if (shape === 'other') return 'no name';
    return fit % levels.length < most ? 'seeds disagree' : null;
  }

  /** Return the dissimilarity in the middle of a level. */
  dissimilarity(level) {
    return (level + 0.5) * this.size.dissimilarity.step;
  }

  /** Return R² in the middle of a level; null where there is no fit. */
  r2(level) {
    const { levels, none } = this.size.r2;
    return level === none ? null : Math.min((level + 0.5) / levels, 1);
  }

  /**
   * Read the weights of a kernel, as they are in the network up to the rounding of int8.
   * @returns {Promise<Float32Array>} height · width values by rows; NaN where not finite.
   */
  async weights(row, signal) {
    const [values, scales] = await Promise.all(
      ['weights', 'scale'].map(async (name) =>
        (await this.store.array(this.name, name)).rows(row, row + 1, signal),
      ),
    );
    const { least, ratio } = this.size.scale;
    const scale = least * ratio ** scales[0];
    return Float32Array.from(values, (value) => (value === -128 ? NaN : value * scale));
  }

  /**
   * Read the fitted function of a kernel.
   * @returns {Promise<?{function: string, form: string, parameters: object[]}>} parameters as in
   *     the index, each with its value; null without a fit.
   */
  async fit(row, signal) {
    const each = this.store.index.agreement.levels.length;
    const block = Math.floor(row / this.size.parameter_block);
    const [fits, starts, parameters] = await Promise.all(
      ['fit', 'parameter_starts', 'parameters'].map((name) => this.store.array(this.name, name)),
    );
    const [levels, [begin]] = await Promise.all([
      fits.rows(block * this.size.parameter_block, row + 1, signal),
      starts.rows(block, block + 1, signal),
    ]);
    const found = Array.from(levels, (level) => this.size.fits[Math.floor(level / each)]);
    const fit = found.pop();
    if (!fit) return null;
    const bytes = (one) => (one ? one.bytes * one.parameters.length : 0);
    const first = found.reduce((sum, other) => sum + bytes(other), begin);
    const coded = await parameters.rows(first, first + bytes(fit), signal);
    return {
      function: fit.function,
      form: fit.form,
      parameters: fit.parameters.map((parameter, n) => ({
        ...parameter,
        value: decode(parameter, coded.subarray(n * fit.bytes, (n + 1) * fit.bytes)),
      })),
    };
  }
}

/** Return the value of a parameter from its bytes, of which the lowest is the first. */
function decode({ low, high, scale }, bytes) {
  const level = bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  const levels = 256 ** bytes.length;
  if (scale === 'turn') return (level / levels) * high;
  const share = level / (levels - 1);
  return scale === 'log' ? low * (high / low) ** share : low + (high - low) * share;
}
