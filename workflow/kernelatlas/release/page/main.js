/** The page: which view an address shows, navigation, errors. */

import { h, link } from './dom.js';
import { rowsOf } from './rows.js';
import { open, Problem, SILENT } from './store.js';

const NAME = 'Kernel Atlas';
// First part of an address -> module in views/ and its name in the navigation.
const PAGES = {
  '': { view: 'overview', name: 'Overview' },
  shapes: { view: 'shapes', name: 'Shapes' },
  curve: { view: 'curve', name: 'Curve' },
  networks: { view: 'networks', name: 'Networks' },
  kernels: { view: 'kernels', name: 'Kernels' },
  find: { view: 'find', name: 'Find' },
  kernel: { view: 'kernel', under: 'kernels' },
};
const SIZED = ['shapes', 'curve', 'kernels', 'find']; // pages that keep the size in their address

const main = document.getElementById('main');
const scrolled = new Map(); // number of an entry of the history -> how far it was scrolled
let data = null;
let shown = null; // {page, path, element, controller, entry, hash}
let entries = 0;

/** Go to a view; with `replace` without a new entry in the history. */
export function go(path, query = {}, { replace = false } = {}) {
  const address = link(path, query);
  if (!replace) {
    location.hash = address;
    return;
  }
  if (location.hash !== shown.hash) return; // the reader has gone on, and this page will follow
  history.replaceState(history.state, '', address);
  route();
}

/** Tell screen readers something that changed. */
export function announce(text) {
  document.getElementById('status').textContent = text;
}

/** Return an element that tells what went wrong. */
export function problem(error) {
  if (!(error instanceof Problem)) reportError(error);
  const text =
    error instanceof Problem ? error.message : `This page met an error: ${error.message}.`;
  return h('p', { class: 'problem', role: 'alert', text });
}

function parse(hash) {
  const [path, query = ''] = hash.replace(/^#?\/?/, '').split(/\?(.*)/s);
  return { path: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is itself
  }
}

async function route() {
  const { path, query } = parse(location.hash);
  const page = Object.hasOwn(PAGES, path[0] ?? '') ? (path[0] ?? '') : null;
  const before = shown;
  before?.controller.abort();
  if (before) scrolled.set(before.entry, scrollY);
  const returned = history.state?.entry;
  const entry = returned ?? (entries += 1);
  entries = Math.max(entries, entry); // after this page was loaded again
  history.replaceState({ entry }, '');
  const same = before && before.page === page && before.path.join('/') === path.join('/');
  const element = same ? before.element : h('div', { class: 'view', data: { view: page ?? '' } });
  const controller = new AbortController();
  shown = { page, path, element, controller, entry, hash: location.hash };
  if (!same) main.replaceChildren(element);
  mark(page, query);
  main.setAttribute('aria-busy', 'true');
  try {
    data ??= await open('data/');
    if (page === null) throw new Problem(`There is no page ${path[0]}: choose one above.`);
    if (page === 'kernel' && query.has('row')) {
      await resolve(query, controller.signal);
      return;
    }
    const view = await load(PAGES[page].view);
    const { signal } = controller;
    if (!signal.aborted) await view.show(element, { path, query, signal }, data);
  } catch (error) {
    if (controller.signal.aborted) return;
    element.replaceChildren(
      h('h1', { tabindex: '-1', text: 'Something is wrong' }),
      problem(error),
    );
  }
  if (controller.signal.aborted) return;
  main.setAttribute('aria-busy', 'false');
  settle(element, before, same, returned);
}

/** Load the module of a view. */
async function load(name) {
  try {
    return await import(`./views/${name}.js`);
  } catch (error) {
    throw error instanceof TypeError ? new Problem(SILENT, { cause: error }) : error;
  }
}

/** Set the title, and put focus and scroll where a reader expects them. */
function settle(element, before, same, returned) {
  const heading = element.querySelector('h1');
  document.title = heading && shown.page !== '' ? `${heading.textContent} · ${NAME}` : NAME;
  if (!before || same) return;
  heading?.focus({ preventScroll: true });
  scrollTo(0, returned ? (scrolled.get(returned) ?? 0) : 0);
}

/** Go on from a row to the network, layer and channel of its kernel. */
async function resolve(query, signal) {
  const rows = await rowsOf(data, query.get('size'));
  const row = Number(query.get('row'));
  if (!(Number.isInteger(row) && row >= 0 && row < rows.size.kernels)) {
    throw new Problem(`${rows.name} has no kernel ${query.get('row')}.`);
  }
  const [{ network, layer, channel }] = await rows.places([row], signal);
  if (!signal.aborted) go(['kernel', network.name, layer.name, channel], {}, { replace: true });
}

/** Draw the navigation: which page this is, and the others with the same size. */
function mark(page, query) {
  const current = PAGES[page]?.under ?? page;
  const size = query.get('size');
  const links = Object.entries(PAGES)
    .filter(([, { name }]) => name)
    .map(([part, { name }]) =>
      h('a', {
        href: link(part ? [part] : [], SIZED.includes(part) ? { size } : {}),
        'aria-current': part === current ? 'page' : null,
        text: name,
      }),
    );
  document.getElementById('pages').replaceChildren(...links);
}

document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('hashchange', route);
route();
