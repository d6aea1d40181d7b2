/**
 * A worker of `search.js`: streams rows of a weights array and keeps the nearest ones alone.
 *
 * cos(w − mean(w), u) = ⟨w, u⟩ / √(Σw² − (Σw)²/n) for a centred u of norm 1, so that neither the
 * kernels' means nor the scales of their 8-bit weights are needed.
 */

const NOT_FINITE = -128;
const REPORT = 50; // milliseconds between reports of progress

/** The best rows so far, in falling order; of equal ones the first that came. */
class Nearest {
  constructor(count) {
    this.count = count;
    this.rows = [];
    this.cosines = [];
    this.scores = [];
  }

  /** What a row must exceed. */
  get bound() {
    return this.scores.length < this.count ? -Infinity : this.scores.at(-1);
  }

  add(row, cosine, score) {
    let place = this.scores.length;
    while (place > 0 && this.scores[place - 1] < score) place--;
    [this.rows, this.cosines, this.scores].forEach((list, i) => {
      list.splice(place, 0, [row, cosine, score][i]);
      list.length = Math.min(list.length, this.count);
    });
  }
}

const finite = (bytes, begin, end) => !bytes.subarray(begin, end).includes(NOT_FINITE);

/** Compare rows `first` to `last` of which `bytes` begin at `offset`. */
function compare(bytes, offset, first, last, query, absolute, nearest) {
  const pixels = query.length;
  let { bound } = nearest;
  for (let row = first, at = offset; row < last; row++) {
    let [sum, squares, product] = [0, 0, 0];
    for (let i = 0; i < pixels; i++, at++) {
      const weight = bytes[at];
      sum += weight;
      squares += weight * weight;
      product += weight * query[i];
    }
    const variance = squares - (sum * sum) / pixels; // 0 exactly of constant kernels
    const cosine = product / Math.sqrt(variance);
    const score = absolute && cosine < 0 ? -cosine : cosine;
    if (score > bound && variance > 0 && finite(bytes, at - pixels, at)) {
      nearest.add(row, cosine, score);
      ({ bound } = nearest);
    }
  }
}

/** Runs of rows from `first` to `last` that are not in `excluded`, [begin, end, …] in order. */
function* runs(first, last, excluded) {
  for (let i = 0; i < excluded.length; i += 2) {
    if (excluded[i + 1] <= first) continue;
    if (excluded[i] >= last) break;
    if (excluded[i] > first) yield [first, excluded[i]];
    first = excluded[i + 1];
  }
  if (first < last) yield [first, last];
}

async function search({ url, offset, begin, end, query, count, absolute, excluded }) {
  const pixels = query.length;
  const bytes = `bytes=${offset + begin * pixels}-${offset + end * pixels - 1}`;
  const response = await fetch(url, { headers: { Range: bytes }, cache: "no-store" });
  if (response.status !== 206) throw new Error(`the server answers ${response.status}`);
  const nearest = new Nearest(count);
  const reader = response.body.getReader();
  const pending = new Int8Array(pixels); // of a row that two chunks share
  let [row, filled, reported] = [begin, 0, performance.now()];
  const take = (values, from, rows) => {
    for (const [first, last] of runs(row, row + rows, excluded)) {
      compare(values, from + (first - row) * pixels, first, last, query, absolute, nearest);
    }
    row += rows;
  };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const chunk = new Int8Array(value.buffer, value.byteOffset, value.byteLength);
    let at = 0;
    if (filled > 0) {
      at = Math.min(pixels - filled, chunk.length);
      pending.set(chunk.subarray(0, at), filled);
      filled += at;
      if (filled < pixels) continue;
      take(pending, 0, 1);
    }
    const rows = Math.floor((chunk.length - at) / pixels);
    take(chunk, at, rows);
    const rest = chunk.subarray(at + rows * pixels);
    pending.set(rest);
    filled = rest.length;
    if (performance.now() - reported > REPORT) {
      reported = performance.now();
      postMessage({ searched: row - begin });
    }
  }
  if (row !== end) throw new Error("the file ends early");
  return { searched: row - begin, rows: nearest.rows, cosines: nearest.cosines };
}

addEventListener("message", async ({ data }) => {
  try {
    postMessage({ ...(await search(data)), done: true });
  } catch (error) {
    postMessage({ error: error.message });
  }
});
