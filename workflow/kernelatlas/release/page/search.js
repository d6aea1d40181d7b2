/** The most similar of all kernels of a size by cosine: each is read, and none is kept. */

import { unit } from './fits.js';
import { merge } from './nearest.js';
import { Problem } from './store.js';

const [LEAST, MOST] = [2 ** 18, 2 ** 22]; // bytes of a chunk
const CHUNKS = 16; // if they may be so small: progress is told after each
const WORKERS = 2;
const pool = [];

/** A thread that compares chunks, in the order in which they come. */
class Comparer {
  #waiting = [];

  constructor() {
    this.worker = new Worker(new URL('search_worker.js', import.meta.url), { type: 'module' });
    this.worker.addEventListener('message', ({ data }) => this.#waiting.shift().resolve(data));
    this.worker.addEventListener('error', () => {
      const problem = new Problem('The search has failed: reload this page.');
      this.#waiting.splice(0).forEach(({ reject }) => reject(problem));
    });
  }

  /** @returns {Promise<Near[]>} */
  nearest(message) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.worker.postMessage(message, [message.values.buffer]);
    });
  }
}

/**
 * Search the kernels of a size that are nearest to one.
 *
 * @param {NpyArray} weights of all kernels of the size
 * @param {ArrayLike<number>} kernel of as many values as a row has
 * @param {object} options as of `nearest`
 * @param {(searched: number) => void} progress takes the number of kernels searched
 * @param {AbortSignal} [signal] ends the search
 * @returns {Promise<Near[]>} nearest first
 */
export async function search(weights, kernel, options, progress, signal) {
  while (pool.length < WORKERS) pool.push(new Comparer());
  const query = unit(kernel);
  const running = pool.map(() => Promise.resolve());
  let [found, next, searched] = [[], 0, 0];
  const compare = async (comparer, values, begin) => {
    const rows = values.length / weights.width;
    const near = await comparer.nearest({ values, begin, query, options });
    found = merge([found, near], options);
    searched += rows;
    if (!signal?.aborted) progress(searched);
  };
  const onChunk = async (values, begin) => {
    const place = next;
    next = (next + 1) % WORKERS;
    await running[place];
    running[place] = compare(pool[place], values, begin);
    running[place].catch(() => {}); // told when it is waited for
  };
  const chunk = Math.min(Math.max(weights.bytes / CHUNKS, LEAST), MOST);
  await weights.stream(Math.ceil(chunk / weights.rowBytes), onChunk, signal);
  await Promise.all(running);
  signal?.throwIfAborted();
  return found;
}
