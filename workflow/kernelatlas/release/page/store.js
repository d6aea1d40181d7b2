/** The explorer's data: its index, its arrays, and the layers of its networks. */

import { Problem, Reader, SILENT } from './ranges.js';

export { Problem, SILENT };

const VERSION = 1;
const HEADER = 128; // bytes of an array's header, as numpy writes it, if its shape is short
const FLIGHT = 3; // chunks of a stream that are asked for ahead
const AGAIN = 'Make it again: “snakemake explorer”.';
const TYPES = {
  '|i1': Int8Array,
  '|u1': Uint8Array,
  '<i2': Int16Array,
  '<u4': Uint32Array,
  '<f4': Float32Array,
};
// Type and shape of each array; null is a length that the index does not tell.
const ARRAYS = {
  weights: ['|i1', (size) => [size.kernels, size.height, size.width]],
  scale: ['|u1', (size) => [size.kernels]],
  dissimilarity: ['|u1', (size) => [size.kernels]],
  r2: ['|u1', (size) => [size.kernels]],
  fit: ['|u1', (size) => [size.kernels]],
  parameters: ['|u1', () => [null]],
  parameter_starts: ['<u4', (size) => [Math.ceil(size.kernels / size.parameter_block) + 1]],
  cells: ['|u1', (size) => [size.kernels]],
  network_starts: ['<u4', (size) => [size.cells.length, size.networks.length + 1]],
  layer_starts: [
    '<u4',
    (size) => [size.cells.length * (size.network_layers.at(-1) + size.networks.length)],
  ],
  shape_shares: ['<f4', (size) => [null, size.networks.length, 3]],
  curve: ['<i2', (size) => [null, size.points, size.height, size.width]],
  point_labels: ['|u1', (size) => [null, size.points]],
  point_counts: ['<u4', (size) => [null, size.points]],
  point_rows: ['<u4', (size) => [null, size.points, size.examples]],
};

/**
 * Open the data of an explorer.
 * @param {string|URL} base the folder that has index.json, relative to the page.
 * @returns {Promise<Store>}
 */
export async function open(base) {
  if (location.protocol === 'file:') {
    throw new Problem(
      'This page was opened as a file, and so cannot read its data. ' +
        'Show the folder with “kernelatlas explore”, or with any web server.',
    );
  }
  const folder = new URL(base, document.baseURI).href.replace(/\/?$/, '/');
  const reader = new Reader();
  const index = await json(reader, `${folder}index.json`);
  if (index.version !== VERSION) {
    throw new Problem(
      `The data have version ${index.version}, and this page reads version ${VERSION}. ${AGAIN}`,
    );
  }
  return new Store(reader, folder, index);
}

async function json(reader, address) {
  const bytes = await reader.whole(address);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new Problem(`${new URL(address).pathname} is no JSON. ${AGAIN}`, { cause: error });
  }
}

/** Keep a promise under a name, unless it fails. */
function remember(cache, name, make) {
  if (!cache.has(name)) {
    const promise = make();
    cache.set(name, promise);
    promise.catch(() => cache.delete(name));
  }
  return cache.get(name);
}

/** The data of an explorer; `index` is data/index.json. */
class Store {
  #reader;
  #folder;
  #arrays = new Map();
  #networks = new Map();

  constructor(reader, folder, index) {
    this.#reader = reader;
    this.#folder = folder;
    this.index = index;
  }

  /** Return what the index says of a size such as 7x7. */
  size(name) {
    if (!Object.hasOwn(this.index.sizes, name ?? '')) {
      const known = Object.keys(this.index.sizes).join(', ');
      throw new Problem(`There are no kernels of size ${name}: use one of ${known}.`);
    }
    return this.index.sizes[name];
  }

  /**
   * Return an array of a size, such as `weights`.
   * @returns {Promise<NpyArray>}
   */
  array(size, name) {
    const [type, shape] = ARRAYS[name];
    const address = `${this.#folder}${size}/${name}.npy`;
    return remember(this.#arrays, address, async () => {
      const array = new NpyArray(this.#reader, address, await header(this.#reader, address));
      const wanted = shape(this.size(size));
      const fits = wanted.every((length, axis) => length === null || length === array.shape[axis]);
      if (array.descr !== type || wanted.length !== array.shape.length || !fits) {
        throw new Problem(
          `${size}/${name}.npy has type ${array.descr} and shape ${array.shape.join(' × ')}, but ` +
            `the index says ${type} and ${wanted.map((n) => n ?? '?').join(' × ')}. ${AGAIN}`,
        );
      }
      return array;
    });
  }

  /** Return the layers of a network, and where it comes from: data/networks/{name}.json. */
  async network(name) {
    if (!this.index.networks.some((network) => network.name === name)) {
      throw new Problem(`There is no network ${name}: the page “Networks” lists all.`);
    }
    return remember(this.#networks, name, () =>
      json(this.#reader, `${this.#folder}networks/${encodeURIComponent(name)}.json`),
    );
  }
}

/** Read the header of a .npy file (format 1.0), and check that the file is as long as it says. */
async function header(reader, address) {
  const wrong = (what) => new Problem(`${new URL(address).pathname} ${what}. ${AGAIN}`);
  let { bytes, size } = await reader.piece(address, 0, HEADER);
  const magic = String.fromCharCode(...bytes.subarray(1, 6));
  if (bytes[0] !== 0x93 || magic !== 'NUMPY' || bytes[6] !== 1) throw wrong('is no NumPy array');
  const offset = 10 + bytes[8] + 256 * bytes[9];
  if (offset > bytes.length) ({ bytes } = await reader.piece(address, 0, offset));
  const text = new TextDecoder('latin1').decode(bytes.subarray(10, offset));
  const found = /'descr': '([^']+)', 'fortran_order': False, 'shape': \(([\d, ]*)\)/.exec(text);
  if (!found || !TYPES[found[1]]) throw wrong('has a header that this page does not know');
  const shape = found[2]
    .split(',')
    .filter((n) => n.trim())
    .map(Number);
  const bytesPer = TYPES[found[1]].BYTES_PER_ELEMENT;
  const length = offset + shape.reduce((product, n) => product * n, bytesPer);
  if (length !== size) throw wrong(`has ${size} bytes instead of ${length}`);
  return { descr: found[1], shape, offset, bytes: length };
}

/**
 * An array in a .npy file, of which rows (along the first axis) are read.
 * `length` is the number of its rows, `width` that of the values of a row, `bytes` of the file.
 */
export class NpyArray {
  #reader;
  #address;
  #offset;
  #type;
  #whole = new Map();

  constructor(reader, address, { descr, shape, offset, bytes }) {
    this.#reader = reader;
    this.#address = address;
    this.#offset = offset;
    this.#type = TYPES[descr];
    this.descr = descr;
    this.shape = shape;
    this.bytes = bytes;
    this.length = shape[0];
    this.width = shape.slice(1).reduce((product, n) => product * n, 1);
    this.rowBytes = this.width * this.#type.BYTES_PER_ELEMENT;
  }

  /** Read the rows [begin, end): a typed array of (end − begin) · width values. */
  async rows(begin, end, signal) {
    return (await this.ranges([[begin, end]], signal))[0];
  }

  /**
   * Read many ranges [begin, end) of rows, in any order.
   * @returns {Promise<TypedArray[]>} in the order of `list`.
   */
  async ranges(list, signal) {
    const bytes = list.map(([begin, end]) => [this.#place(begin), this.#place(end)]);
    const pieces = await this.#reader.pieces(this.#address, bytes, signal);
    return pieces.map((piece) => this.#typed(piece));
  }

  /** Read everything, once: for small arrays. */
  whole() {
    return remember(this.#whole, '', async () => {
      const bytes = new Uint8Array(await this.#reader.whole(this.#address));
      if (bytes.length !== this.bytes) {
        throw new Problem(`${new URL(this.#address).pathname} has changed. Reload this page.`);
      }
      return this.#typed(bytes.subarray(this.#offset));
    });
  }

  /**
   * Read everything in chunks, in order, the next ones while one is at work.
   * @param {number} rowsPerChunk
   * @param {(values: TypedArray, begin: number) => (void|Promise)} onChunk begin: its first row.
   * @param {AbortSignal} [signal]
   */
  async stream(rowsPerChunk, onChunk, signal) {
    const ahead = [];
    for (let begin = 0; begin < this.length || ahead.length; begin += rowsPerChunk) {
      if (begin < this.length) {
        const values = this.rows(begin, Math.min(begin + rowsPerChunk, this.length), signal);
        values.catch(() => {}); // told when it is waited for
        ahead.push([values, begin]);
        if (ahead.length < FLIGHT) continue;
      }
      const [values, first] = ahead.shift();
      await onChunk(await values, first);
    }
  }

  #place(row) {
    return this.#offset + row * this.rowBytes;
  }

  #typed(bytes) {
    if (this.#type === Uint8Array) return bytes;
    if (this.#type === Int8Array)
      return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    return new this.#type(bytes.slice().buffer);
  }
}
