/** Bytes of files by HTTP: whole files, and ranges, many in one request where the server can. */

/** What went wrong and what to do, in words for whoever looks at the page. */
export class Problem extends Error {
  name = 'Problem';
}

const MOST_RANGES = 100; // in one request
const AT_ONCE = 6; // requests
// Bytes between two ranges that are rather read than asked for apart: about what the headers of
// a part, and of a request, take.
const GAP = 128;
const GAP_ALONE = 2048;

const NO_RANGES =
  'This web server sends whole files only, and the explorer reads parts of large ones. ' +
  'Show the folder with “kernelatlas explore”, or with a server that answers range requests.';
export const SILENT =
  'The server does not answer. Start it again (“kernelatlas explore”), then reload this page.';

/** Reads files of one server, and remembers what it can. */
export class Reader {
  #multiple = true; // whether the server answers several ranges at once
  #running = 0;
  #waiting = [];

  /**
   * Read a whole file.
   * @returns {Promise<ArrayBuffer>}
   */
  async whole(address, signal) {
    const answer = await this.#ask(address, { cache: 'no-cache', signal });
    if (answer.status !== 200) throw refused(answer, address);
    return body(answer.arrayBuffer());
  }

  /**
   * Read the bytes from `begin` up to, not including, `end`.
   * @returns {Promise<{bytes: Uint8Array, begin: number, size: number}>} size: of the whole file.
   */
  async piece(address, begin, end, signal) {
    const answer = await this.#range(address, [[begin, end]], signal);
    if (answer.status === 200) {
      await answer.body?.cancel();
      throw new Problem(NO_RANGES);
    }
    if (answer.status !== 206) throw refused(answer, address);
    const place = contentRange(answer.headers.get('Content-Range') ?? '');
    const bytes = new Uint8Array(await body(answer.arrayBuffer()));
    if (!place || place.begin !== begin || bytes.length > end - begin) {
      throw new Problem(
        `${address}: the server sent other bytes than were asked for. ${NO_RANGES}`,
      );
    }
    return { bytes, begin, size: place.size };
  }

  /**
   * Read many ranges [begin, end) of bytes, in any order; near ones are read as one.
   * @returns {Promise<Uint8Array[]>} in the order of `ranges`.
   */
  async pieces(address, ranges, signal) {
    const wanted = ranges.filter(([begin, end]) => end > begin).sort((a, b) => a[0] - b[0]);
    const parts = await this.#parts(address, wanted, signal);
    parts.sort((a, b) => a.begin - b.begin);
    return ranges.map(([begin, end]) => {
      if (end <= begin) return new Uint8Array(0);
      const bytes = cut(parts, begin, end);
      if (!bytes) throw new Problem(tooShort(address));
      return bytes;
    });
  }

  async #parts(address, wanted, signal) {
    if (this.#multiple) {
      const joined = join(wanted, GAP);
      const batches = [];
      for (let i = 0; i < joined.length; i += MOST_RANGES) {
        batches.push(joined.slice(i, i + MOST_RANGES));
      }
      const answers = await Promise.all(
        batches.map((batch) =>
          batch.length > 1
            ? this.#together(address, batch, signal)
            : this.piece(address, ...batch[0], signal).then((part) => [part]),
        ),
      );
      if (answers.every(Boolean)) return answers.flat();
      this.#multiple = false;
    }
    return Promise.all(
      join(wanted, GAP_ALONE).map(([begin, end]) => this.piece(address, begin, end, signal)),
    );
  }

  /** Ask for several ranges at once; null if the server does not answer that in full. */
  async #together(address, batch, signal) {
    const answer = await this.#range(address, batch, signal);
    if (answer.status === 404) throw refused(answer, address);
    if (answer.status !== 206) {
      await answer.body?.cancel();
      return null;
    }
    const bytes = new Uint8Array(await body(answer.arrayBuffer()));
    const place = contentRange(answer.headers.get('Content-Range') ?? '');
    const parts = place
      ? [{ bytes, begin: place.begin }]
      : multipart(bytes, answer.headers.get('Content-Type') ?? '');
    parts.sort((a, b) => a.begin - b.begin);
    return batch.every(([begin, end]) => cut(parts, begin, end)) ? parts : null;
  }

  #range(address, ranges, signal) {
    const list = ranges.map(([begin, end]) => `${begin}-${end - 1}`).join(',');
    // The browser's cache would answer ranges of one file one after another.
    return this.#ask(address, { headers: { Range: `bytes=${list}` }, cache: 'no-store', signal });
  }

  async #ask(address, options) {
    if (this.#running === AT_ONCE) await new Promise((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      options.signal?.throwIfAborted();
      return await body(fetch(address, options));
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}

/** Wait for bytes; a connection that breaks is a `Problem`. */
async function body(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof TypeError) throw new Problem(SILENT, { cause: error });
    throw error;
  }
}

function refused(answer, address) {
  const name = decodeURIComponent(new URL(address).pathname);
  if (answer.status === 404) {
    return new Problem(`${name} is missing. Make it again: “snakemake explorer”.`);
  }
  if (answer.status === 416) return new Problem(tooShort(address));
  return new Problem(`${name}: the server answers ${answer.status} ${answer.statusText}.`);
}

function tooShort(address) {
  const name = decodeURIComponent(new URL(address).pathname);
  return (
    `${name} is shorter than the index says: it is incomplete, or was made again. ` +
    'Reload this page; if that does not help, run “snakemake explorer” again.'
  );
}

/** Join sorted ranges that overlap or have at most `gap` bytes between them. */
export function join(ranges, gap) {
  const joined = [];
  for (const [begin, end] of ranges) {
    const last = joined.at(-1);
    if (last && begin <= last[1] + gap) last[1] = Math.max(last[1], end);
    else joined.push([begin, end]);
  }
  return joined;
}

/** Return the bytes of a range from sorted parts of a file, null where no part has them. */
function cut(parts, begin, end) {
  let low = 0;
  let high = parts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (parts[middle].begin <= begin) low = middle + 1;
    else high = middle;
  }
  const part = parts[low - 1];
  if (!part || part.begin + part.bytes.length < end) return null;
  return part.bytes.subarray(begin - part.begin, end - part.begin);
}

function contentRange(text) {
  const found = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(text.trim());
  return found && { begin: Number(found[1]), end: Number(found[2]) + 1, size: Number(found[3]) };
}

/** Return the parts of a multipart/byteranges answer (RFC 9110, 14.6); none if it is not one. */
function multipart(bytes, type) {
  const boundary = /^multipart\/byteranges;.*boundary="?([^";]+)"?/i.exec(type)?.[1];
  const parts = [];
  let at = 0;
  while (boundary) {
    const head = headers(bytes, at);
    const line = head && /^content-range:(.*)$/im.exec(head.text);
    const place = line && contentRange(line[1]);
    if (!place || !head.text.includes(`--${boundary}`)) break;
    at = head.end + place.end - place.begin;
    if (at > bytes.length) break;
    parts.push({ bytes: bytes.subarray(head.end, at), begin: place.begin });
  }
  return parts;
}

/** Read the lines up to an empty one. */
function headers(bytes, begin) {
  for (let i = begin; i + 3 < bytes.length && i < begin + 2000; i += 1) {
    if (bytes[i] === 13 && bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) {
      return { text: new TextDecoder('latin1').decode(bytes.subarray(begin, i)), end: i + 4 };
    }
  }
  return null;
}
