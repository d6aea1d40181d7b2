/** A selection of kernels as a mosaic, with filters, sorting, pages and a download. */

import { download } from '../csv.js';
import { h, link, renew } from '../dom.js';
import { downAtFirst, form, sorting, summary } from '../filters.js';
import { announce, problem } from '../main.js';
import { begin, empty, fill, mosaic } from '../mosaic.js';
import { rowsOf } from '../rows.js';
import { described, LOOKED, PAGE, plainPage, Scan } from '../scan.js';
import { COLUMNS, Selection, sizeOf } from '../selection.js';
import { Problem } from '../store.js';
import { about, bytes, count, times, whole } from '../words.js';

const KEPT = 4; // scans that are remembered
const LOOKS = 50; // at most until a page far behind is shown, or what is missing is said
const scans = new Map(); // selection and order -> Scan

/** Show the view. */
export async function show(element, state, data) {
  const rows = await rowsOf(data, sizeOf(data, state.query));
  const network = state.query.get('network');
  const layers = network ? await rows.layers(rows.numberOf(network)) : [];
  if (state.signal.aborted) return;
  const parts = frame(element, rows, state.query, layers);
  let selection;
  let ranges;
  try {
    selection = new Selection(rows, state.query);
    ranges = await selection.find(state.signal);
  } catch (error) {
    if (state.signal.aborted || !(error instanceof Problem)) throw error;
    refuse(parts, error); // the form stays, to be set right
    return;
  }
  const page = Math.max(1, Math.floor(Number(state.query.get('page'))) || 1) - 1;
  const chosen = { rows, selection, ranges, state, parts, page };
  if (!state.signal.aborted) await present(chosen);
}

/** Say what is wrong in place of kernels. */
function refuse(parts, error) {
  parts.count.textContent = '';
  parts.download.replaceChildren();
  parts.pages.hidden = true;
  empty(parts.box);
  parts.note.replaceChildren(problem(error));
}

/** Build the view, or renew what depends on the address where it is built already. */
function frame(element, rows, query, layers) {
  if (!element.querySelector('#kernels-results')) {
    element.replaceChildren(
      h('h1', { tabindex: '-1' }),
      h('details', { class: 'fold', open: innerWidth > 700 }, h('summary'), h('div')),
      h(
        'section',
        { id: 'kernels-results', 'aria-label': 'Kernels found' },
        h(
          'div',
          { class: 'bar' },
          h('p', { class: 'count', id: 'kernels-count' }),
          h('div', { id: 'kernels-order' }),
          h('div', { id: 'kernels-download', class: 'download' }),
        ),
        h('div', { id: 'kernels-note', class: 'note' }),
        mosaic('Kernels'),
        h('nav', { id: 'kernels-pages', class: 'pager', 'aria-label': 'Pages of kernels' }),
      ),
    );
  }
  element.querySelector('h1').textContent = `${times(rows.name)} kernels`;
  element.querySelector('summary').textContent = summary(query);
  renew(element.querySelector('details > div'), form(rows, query, layers));
  const part = (name) => element.querySelector(`#kernels-${name}`);
  renew(part('order'), sorting(rows, query));
  const box = element.querySelector('[data-part="mosaic"]');
  begin(box);
  return {
    count: part('count'),
    note: part('note'),
    pages: part('pages'),
    download: part('download'),
    box,
  };
}

/** Find the kernels of the page and show them, with what is known of how many there are. */
async function present(chosen) {
  const { rows, selection, ranges, state, parts, page } = chosen;
  const sort = state.query.get('sort') ?? 'spread';
  const order = state.query.get('order');
  const plain = ['spread', 'table'].includes(sort) && !selection.tests;
  let scan = null;
  let found;
  if (plain) {
    const list = plainPage(ranges, page, sort);
    found = await described(rows, list, state.signal);
  } else {
    const down = order ? order === 'down' : downAtFirst(sort);
    scan = remembered(
      `${selection.key} ${sort} ${down}`,
      () => new Scan(selection, ranges, sort, down),
    );
    for (let n = 0; n <= Math.min(page, LOOKS) && !enough(scan, page); n += 1) {
      await scan.look((page + 1) * PAGE, state.signal);
    }
    found = scan.page(page);
  }
  if (state.signal.aborted) return;
  tell(chosen, scan, found.length);
  paging(parts.pages, state.query, page, scan, ranges.length);
  parts.download.replaceChildren(...download(selection, ranges));
  await fill(parts.box, rows, found, state.signal);
}

function enough(scan, page) {
  if (scan.done) return true;
  return scan.sorted ? scan.looked > 0 : scan.found.length >= (page + 1) * PAGE;
}

function remembered(key, make) {
  if (!scans.has(key)) {
    if (scans.size === KEPT) scans.delete(scans.keys().next().value);
    scans.set(key, make());
  }
  return scans.get(key);
}

/** Say how many kernels there are, and what was looked at. */
function tell(chosen, scan, showing) {
  const { selection, ranges, parts } = chosen;
  let text;
  const note = [];
  if (!scan || (scan.sorted && !selection.tests)) {
    text = count(ranges.length, 'kernel');
  } else if (scan.done) {
    text = count(scan.found.length, 'kernel');
  } else if (selection.exact !== null) {
    text = count(selection.exact, 'kernel');
  } else if (!scan.found.length) {
    text = 'None found so far';
  } else if (scan.estimate === null) {
    text = `${count(scan.found.length, 'kernel')} so far`;
  } else {
    text = `About ${about(scan.estimate)} kernels, estimated from ${whole(scan.looked)} of ${whole(scan.total)}`;
  }
  if (!showing && (!scan || scan.done)) {
    const past = chosen.page > 0;
    const why = past ? 'This is past the last page.' : 'No kernel is left: take a filter away.';
    note.push(h('span', { text: why }));
  }
  if (scan && !scan.done) note.push(...further(chosen, scan));
  parts.count.textContent = text;
  parts.note.replaceChildren(...note);
  announce(`${text}. ${showing} shown.`);
}

/** Offer to look at more than a part. */
function further(chosen, scan) {
  const { selection, parts } = chosen;
  const part = `${whole(scan.looked)} of ${count(scan.total, 'kernel')}`;
  const what = scan.sorted
    ? `Sorted are ${selection.tests ? `those found among ` : ''}${part}, spread evenly over the selection. `
    : `Looked at so far: ${part}. `;
  const on = async (work) => {
    try {
      await work();
      if (!chosen.state.signal.aborted) await present(chosen);
    } catch (error) {
      if (!chosen.state.signal.aborted) parts.note.replaceChildren(problem(error));
    }
  };
  const { signal } = chosen.state;
  const more = h('button', {
    type: 'button',
    id: 'look-further',
    text: `Look at ${whole(Math.min(LOOKED, scan.total - scan.looked))} more`,
    on: { click: () => on(() => scan.look(Infinity, signal)) },
  });
  const all = h('button', {
    type: 'button',
    id: 'look-at-all',
    text: `${scan.sorted ? 'Sort' : 'Look at'} all (${bytes(COLUMNS.length * scan.total)})`,
    on: {
      click: () => {
        const progress = h('progress', { max: 1, value: 0, 'aria-label': 'Read' });
        parts.note.replaceChildren(progress);
        return on(() => scan.all((share) => (progress.value = share), signal));
      },
    },
  });
  return [h('span', { text: what }), more, all];
}

/** Make links to the pages before and after. */
function paging(nav, query, page, scan, total) {
  const length = scan ? scan.found.length : total;
  const pages = Math.max(1, Math.ceil(length / PAGE));
  // More may be found, once this page is full.
  const open = scan && !scan.done && !scan.sorted && length >= (page + 1) * PAGE;
  const to = (number, text, id) => {
    const next = new URLSearchParams(query);
    next.set('page', number + 1);
    const there = number >= 0 && (number < pages || open);
    return there
      ? h('a', { class: 'button', id, href: link(['kernels'], next), text })
      : h('span', { class: 'button off', text });
  };
  const of = scan && !scan.done && !scan.sorted ? '' : ` of ${whole(pages)}`;
  nav.hidden = pages === 1 && !open && page === 0;
  nav.replaceChildren(
    to(page - 1, '← Previous', 'page-previous'),
    h('span', { text: `Page ${whole(page + 1)}${of}` }),
    to(page + 1, 'Next →', 'page-next'),
  );
}
