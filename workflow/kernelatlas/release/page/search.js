/** The kernels of a size that are nearest to one, by cosine: all of them, without keeping them. */

import { Problem } from "./store.js";
import { unit } from "./fits.js";

const WORKERS = 2;
const ALONE = 100_000; // rows that one worker searches at once

/**
 * Search the most similar kernels of a size.
 *
 * @param {{url: string, offset: number, rows: number}} weights where the array of weights is, and
 *   the byte at which its rows begin
 * @param {ArrayLike<number>} kernel of as many values as a row
 * @param {object} options
 * @param {number} options.count kernels that are wanted
 * @param {boolean} [options.absolute] whether those of the opposite sign are as near
 * @param {number[]} [options.excluded] rows that are left out, as [begin, end, …] in order
 * @param {AbortSignal} [options.signal] ends the search
 * @param {(searched: number) => void} [options.progress] takes the number of rows searched
 * @returns {Promise<{rows: number[], cosines: number[]}>} nearest first; cosines of the centred
 *   kernels, of equal ones the first row first
 */
export async function search(weights, kernel, options) {
  const workers = weights.rows > ALONE ? WORKERS : 1;
  const { signal, progress = () => {} } = options;
  const searched = new Array(workers).fill(0);
  const parts = await Promise.all(
    searched.map((_, part) => {
      const begin = Math.floor((weights.rows * part) / workers);
      const end = Math.floor((weights.rows * (part + 1)) / workers);
      return inWorker(weights, begin, end, kernel, options, (rows) => {
        searched[part] = rows;
        if (!signal?.aborted) progress(searched.reduce((sum, value) => sum + value, 0));
      });
    }),
  );
  const { absolute = false, count } = options;
  const score = ([, cosine]) => (absolute ? Math.abs(cosine) : cosine);
  const nearest = parts
    .flatMap(({ rows, cosines }) => rows.map((row, i) => [row, cosines[i]]))
    .sort((one, other) => score(other) - score(one) || one[0] - other[0])
    .slice(0, count);
  return { rows: nearest.map(([row]) => row), cosines: nearest.map(([, cosine]) => cosine) };
}

function inWorker({ url, offset }, begin, end, kernel, options, progress) {
  const { count, absolute = false, excluded = [], signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const worker = new Worker(new URL("search_worker.js", import.meta.url), { type: "module" });
    const stop = () => {
      worker.terminate();
      signal?.removeEventListener("abort", cancel);
    };
    const cancel = () => {
      stop();
      reject(signal.reason);
    };
    const fail = (reason) => {
      stop();
      reject(new Problem(`${url}: the search ended (${reason}): load the page again.`));
    };
    signal?.addEventListener("abort", cancel);
    worker.addEventListener("error", (event) => fail(event.message || "no worker"));
    worker.addEventListener("message", ({ data }) => {
      if (data.error) {
        fail(data.error);
        return;
      }
      progress(data.searched);
      if (data.done) {
        stop();
        resolve(data);
      }
    });
    const query = unit(kernel);
    const address = new URL(url, document.baseURI).href;
    worker.postMessage({ url: address, offset, begin, end, query, count, absolute, excluded });
  });
}
