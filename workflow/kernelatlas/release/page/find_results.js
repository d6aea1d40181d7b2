/** The nearest kernels of one that was painted. */

import { h } from './dom.js';
import { begin, mosaic } from './mosaic.js';
import { searchSample, showRows } from './near.js';
import { search } from './search.js';
import { bytes, count, whole } from './words.js';

const SHOWN = 60;
// Bytes that are read after each change, unless the server is this machine.
const FREELY = 16e6;
const HERE = ['localhost', '127.0.0.1', '[::1]'];

export class ResultsSection {
  /**
   * @param {Rows} rows
   * @param {AbortSignal} signal
   * @param {(either: boolean) => void} chosen is called when the reader chooses whether kernels of
   *   the opposite sign are as near
   */
  constructor(rows, signal, chosen) {
    Object.assign(this, { rows, signal, chosen });
    const { kernels, height, width } = rows.size;
    this.bytes = kernels * height * width;
    this.freely = this.bytes <= FREELY || HERE.includes(location.hostname);
  }

  element(either) {
    const { kernels } = this.rows.size;
    this.sign = h('input', { type: 'checkbox', id: 'sign' });
    this.sign.checked = either;
    this.sign.addEventListener('change', () => this.chosen(this.sign.checked));
    this.status = h('p', { role: 'status' });
    this.progress = h('progress', { max: kernels, 'aria-label': 'Kernels searched', hidden: true });
    this.cancel = h('button', { type: 'button', text: 'Cancel the search', hidden: true });
    this.cancel.addEventListener('click', () => this.running?.abort());
    this.all = h('button', {
      type: 'button',
      text: `Search all ${whole(kernels)} (${bytes(this.bytes)})`,
      hidden: true,
    });
    this.all.addEventListener('click', () => this.show(this.kernel, this.either, true));
    this.box = mosaic('Nearest kernels');
    return h(
      'section',
      { 'aria-labelledby': 'nearest' },
      h('h2', { id: 'nearest', text: 'Nearest kernels' }),
      h('label', { class: 'check' }, this.sign, 'The opposite sign is as near'),
      this.status,
      h('p', { class: 'actions' }, this.all, this.cancel, this.progress),
      this.box,
    );
  }

  /**
   * Show the nearest kernels of one; of a sample first where all are too much to read unasked.
   *
   * @param {?number[]} kernel null if there is none yet
   */
  async show(kernel, either, all = this.freely) {
    this.running?.abort();
    const running = new AbortController();
    Object.assign(this, { kernel, either, running });
    const signal = AbortSignal.any([running.signal, this.signal]);
    this.box.hidden = kernel === null;
    this.all.hidden = true;
    if (kernel === null) {
      this.#told('Paint a kernel of at least two values, or begin with a prototype.');
      return;
    }
    begin(this.box); // what it shows now is of another kernel
    try {
      await (all ? this.#searchAll(kernel, either, signal) : this.#sample(kernel, either, signal));
    } catch (error) {
      if (this.running !== running) return;
      this.#told(signal.aborted ? 'The search was cancelled.' : '');
      if (!signal.aborted) throw error;
    }
  }

  #told(text) {
    this.box.removeAttribute('aria-busy');
    this.progress.hidden = true;
    this.cancel.hidden = true;
    this.status.textContent = text;
  }

  async #searchAll(kernel, either, signal) {
    const { rows } = this;
    const weights = await rows.store.array(rows.name, 'weights');
    const shown = setTimeout(() => {
      this.progress.hidden = false;
      this.cancel.hidden = false;
    }, 300);
    const started = performance.now();
    try {
      const tell = (searched) => (this.progress.value = searched);
      const found = await search(weights, kernel, { count: SHOWN, absolute: either }, tell, signal);
      const seconds = ((performance.now() - started) / 1000).toFixed(2);
      await showRows(this.box, this.rows, found, signal);
      this.#told(
        `By cosine, below each picture; all ${count(rows.size.kernels, 'kernel')} searched in ` +
          `${seconds} s.`,
      );
    } finally {
      clearTimeout(shown);
    }
  }

  async #sample(kernel, either, signal) {
    const options = { count: SHOWN, absolute: either };
    const { found, searched } = await searchSample(this.rows, kernel, null, options, signal);
    await showRows(this.box, this.rows, found, signal);
    const { kernels } = this.rows.size;
    this.#told(
      `By cosine, below each picture; of a sample of ${whole(searched)} of ` +
        `${count(kernels, 'kernel')}.`,
    );
    this.all.hidden = searched >= kernels;
  }
}
