/** Kernels as a grid of tiles: each is a link with a name. */

import { h, link } from './dom.js';
import { sheet, strip, unscaled } from './draw.js';
import { enter, rove } from './roving.js';
import { named, percent } from './words.js';

const shown = new WeakMap(); // mosaic -> what it shows: {rows, by: kernels by row, images, signal}
const tasks = new WeakMap(); // mosaic -> the last call that began to change it
const HINT = 'Point at a kernel, or move to it with the arrow keys, to see which it is.';
const TILE = 2.7; // side of a tile, about, in font sizes
const WIDE = 0.022; // … and at least, in widths of the window
// Places of kernels are read at once where that moves little: of few runs of neighbours in few
// networks, or of one network that is not huge.
const RUNS = 24;
const NETWORKS = 12;
const KERNELS = 40_000;

/** Return an empty mosaic, with a line that tells of the kernel under the pointer or the focus. */
export function mosaic(name) {
  const list = h('ul', { class: 'mosaic', 'aria-label': name });
  const canvas = h('canvas', { class: 'sheet', width: 0, height: 0, 'aria-hidden': 'true' });
  const caption = h('p', { class: 'caption', 'aria-hidden': 'true', text: HINT });
  const tiles = h('div', { class: 'tiles' }, canvas, list);
  const box = h('div', { class: 'mosaic-box', data: { part: 'mosaic' } }, tiles, caption);
  rove(list, 'a');
  for (const event of ['pointerover', 'focusin']) {
    list.addEventListener(event, ({ target }) => tell(box, target.closest('a')));
  }
  new ResizeObserver(() => draw(box)).observe(list);
  return box;
}

/** Take all kernels out of a mosaic. */
export function empty(box) {
  begin(box);
  shown.delete(box);
  box.querySelector('ul').replaceChildren();
  box.querySelector('canvas').width = 0;
  box.lastElementChild.textContent = '';
  box.setAttribute('aria-busy', 'false');
}

/** Mark a mosaic as about to change, until what is begun here, or later, has ended. */
export function begin(box) {
  const task = {};
  tasks.set(box, task);
  box.setAttribute('aria-busy', 'true');
  return task;
}

/** Draw the kernels where their links are. */
function draw(box) {
  const list = box.querySelector('ul');
  const { images } = shown.get(box) ?? {};
  if (!images) return;
  const boxes = [...list.querySelectorAll('a')].map((own) => ({
    left: own.offsetLeft,
    top: own.offsetTop,
    width: own.offsetWidth,
    height: own.offsetHeight,
  }));
  const size = { width: list.offsetWidth, height: list.offsetHeight };
  sheet(box.querySelector('canvas'), images, boxes, size);
}

/**
 * Show kernels in a mosaic.
 * @param {Element} box made by `mosaic`.
 * @param {Rows} rows
 * @param {{row: number, levels: object, cosine: ?number}[]} found cosine: stands below the tile.
 * @param {AbortSignal} signal
 */
export async function fill(box, rows, found, signal) {
  const task = begin(box);
  const kernels = found.map(({ row, levels, cosine }) => ({
    ...rows.describe(row, levels),
    cosine: cosine === undefined ? null : cosine.toFixed(3).replace('-', '−'),
  }));
  let links;
  try {
    const weights = await rows.store.array(rows.name, 'weights');
    const ranges = kernels.map(({ row }) => [row, row + 1]);
    const values = await weights.ranges(ranges, signal);
    if (signal.aborted) return;
    links = put(box, rows, kernels, signal);
    const { height, width } = rows.size;
    const colours = rows.store.index.kernel_map;
    shown.get(box).images = strip(values.map(unscaled), height, width, colours);
    draw(box);
  } finally {
    if (tasks.get(box) === task) box.setAttribute('aria-busy', 'false');
  }
  if (!near(rows, kernels)) return;
  const places = await rows.places(
    kernels.map(({ row }) => row),
    signal,
  );
  if (signal.aborted) return;
  links.forEach((own, n) => label(own, kernels[n], places[n]));
}

/** Put links to kernels into a mosaic, in place of those that it has. */
function put(box, rows, kernels, signal) {
  const list = box.querySelector('ul');
  const links = kernels.map((kernel) => {
    const own = h('a', {
      class: kernel.reason ? 'kernel faint' : 'kernel',
      href: link(['kernel'], { size: rows.name, row: kernel.row }),
      data: { row: kernel.row },
    });
    label(own, kernel, null);
    return own;
  });
  const { height, width } = rows.size;
  const pixel = pixelSide(height, width);
  list.style.setProperty('--tile', `${width * pixel}px`);
  list.style.setProperty('--high', `${height * pixel}px`);
  list.replaceChildren(
    ...links.map((own, n) => {
      const { cosine } = kernels[n];
      const below = h('span', { class: 'below', 'aria-hidden': 'true', text: cosine });
      return h('li', {}, own, cosine && below);
    }),
  );
  enter(list, 'a');
  box.lastElementChild.textContent = kernels.length ? HINT : '';
  shown.set(box, { rows, signal, by: new Map(kernels.map((kernel) => [kernel.row, kernel])) });
  return links;
}

/** Return whether it moves little to read where all kernels are. */
function near(rows, kernels) {
  const networks = new Set(kernels.map(({ network }) => network.name));
  if (networks.size === 1) return rows.kernelsOf(rows.numberOf(kernels[0].network.name)) <= KERNELS;
  const runs = kernels.filter(({ row }, n) => row !== kernels[n - 1]?.row + 1).length;
  return runs <= RUNS && networks.size <= NETWORKS;
}

/** Return the side of a weight in pixels of the page: a whole number, so that all are alike. */
function pixelSide(height, width) {
  const font = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const side = Math.max(TILE * font, WIDE * innerWidth);
  return Math.max(1, Math.round(side / Math.max(height, width)));
}

/** Tell of the kernel under the pointer or the focus; where its layer is not known, read it. */
async function tell(box, own) {
  if (!own) return;
  const { rows, by, signal } = shown.get(box);
  const kernel = by.get(Number(own.dataset.row));
  const caption = box.lastElementChild;
  caption.textContent = own.title;
  if (own.dataset.placed || signal.aborted) return;
  const [place] = await rows.places([kernel.row], signal).catch(() => []);
  if (!place) return; // whoever follows the link is told what is wrong
  const current = caption.textContent === own.title;
  label(own, kernel, place);
  if (current) caption.textContent = own.title;
}

/** Name a link: after its place too, where that is known. */
function label(own, kernel, place) {
  if (place) {
    own.href = link(['kernel', place.network.name, place.layer.name, place.channel]);
    own.dataset.placed = 'true';
  }
  own.title = describe(kernel, place);
  own.setAttribute('aria-label', own.title);
}

/** Say what a kernel is: `on-centre, net stages.0.dw channel 3, dissimilarity 0.12, R² 0.93`. */
function describe(kernel, place) {
  const where = place
    ? `${place.network.name} ${place.layer.name} channel ${place.channel}`
    : kernel.network.name;
  const texts = [kernel.label === 'other' ? 'no name' : named(kernel.label), where];
  if (kernel.cosine) texts.push(`cosine ${kernel.cosine}`);
  if (kernel.reason && kernel.label !== kernel.reason) {
    texts.push(kernel.reason === 'no name' ? null : `not identified: ${kernel.reason}`);
  }
  if (kernel.dissimilarity !== null && kernel.dissimilarity !== undefined) {
    texts.push(`dissimilarity ${kernel.dissimilarity.toFixed(2)}`);
    texts.push(`${percent(kernel.agreement, 0)} of the seeds agree`);
  }
  if (kernel.function) texts.push(`R² ${kernel.r2.toFixed(2)} (${kernel.function})`);
  return texts.filter(Boolean).join(', ');
}
