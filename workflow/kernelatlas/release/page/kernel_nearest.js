/** The nearest kernels in other networks, on the page of a kernel. */

import { h } from './dom.js';
import { problem } from './main.js';
import { mosaic } from './mosaic.js';
import { rowsOfNetwork, searchSample, showRows } from './near.js';
import { search } from './search.js';
import { bytes, count, whole } from './words.js';

const SHOWN = 24;

/**
 * Make the section: nearest of a sample at once, of all kernels on demand.
 *
 * @param {Rows} rows
 * @param {{row: number, cell: number, weights: Float32Array}} kernel
 * @returns {HTMLElement} filled once the sample is searched
 */
export function nearestSection(rows, kernel, signal) {
  const status = h('p', { role: 'status', tabindex: -1, text: 'Searching…' });
  const box = mosaic('Nearest kernels');
  const actions = h('p', { class: 'actions' });
  const section = h(
    'section',
    { 'aria-labelledby': 'nearest', class: 'nearest' },
    h('h2', { id: 'nearest', text: 'Nearest kernels in other networks' }),
    status,
    box,
    actions,
  );
  const own = rows.networkOf(kernel.row);
  const options = { count: SHOWN, excluded: rowsOfNetwork(rows, own) };
  const all = rows.size.kernels - rows.kernelsOf(own);
  const show = async (found, said) => {
    await showRows(box, rows, found, signal);
    status.textContent = found.length
      ? said
      : 'There are no kernels of this size in other networks.';
  };
  const sample = async () => {
    const { found, searched } = await searchSample(
      rows,
      kernel.weights,
      kernel.cell,
      options,
      signal,
    );
    const some = searched < all;
    const whose = some
      ? `${whole(searched)} of ${count(all, 'kernel')}, a sample of this cluster and the nearest ones`
      : `all ${whole(all)}`;
    await show(found, `By cosine, below each picture; nearest of ${whose}.`);
    if (some) actions.append(searchAll(rows, kernel, options, all, show, status, signal));
  };
  box.setAttribute('aria-busy', 'true');
  sample().catch((error) => {
    if (!signal.aborted) status.replaceChildren(problem(error));
  });
  return section;
}

function searchAll(rows, kernel, options, all, show, status, signal) {
  const { kernels, height, width } = rows.size;
  const size = bytes(kernels * height * width);
  const offer = `Search all ${whole(all)} (${size})`;
  const button = h('button', { type: 'button', text: offer });
  const progress = h('progress', { max: kernels, 'aria-label': 'Kernels searched', hidden: true });
  let running = null;
  const run = async () => {
    running = new AbortController();
    button.textContent = 'Cancel the search';
    progress.hidden = false;
    const either = AbortSignal.any([running.signal, signal]);
    try {
      const weights = await rows.store.array(rows.name, 'weights');
      const tell = (searched) => (progress.value = searched);
      const found = await search(weights, kernel.weights, options, tell, either);
      await show(found, `By cosine, below each picture; nearest of all ${whole(all)}.`);
      if (document.activeElement === button) status.focus();
      button.remove();
    } catch (error) {
      button.textContent = offer;
      status.replaceChildren(running.signal.aborted ? 'The search was cancelled.' : problem(error));
    }
    progress.hidden = true;
    running = null;
  };
  button.addEventListener('click', () => (running ? running.abort() : run()));
  return h('span', {}, button, ' ', progress);
}
