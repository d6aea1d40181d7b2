/** The shapes of a size: their prototypes, their members, and their share in each network. */

import { h, link, renew } from '../dom.js';
import { tile } from '../draw.js';
import { go } from '../main.js';
import { fill, mosaic } from '../mosaic.js';
import { rowsOf } from '../rows.js';
import { described, plainPage } from '../scan.js';
import { REASONS, Selection, sizeOf, sizesOf } from '../selection.js';
import { paint } from '../shares.js';
import { Problem } from '../store.js';
import { count, named, times } from '../words.js';
import { frequency, shapeShares } from '../shape_shares.js';

const OTHER = 'other';

/** Show the view. */
export async function show(element, state, data) {
  const name = sizeOf(data, state.query);
  const size = data.size(name);
  if (!size.studied)
    throw new Problem(`Kernels of ${times(name)} are not studied: they have no shapes.`);
  const shape = state.path[1];
  if (!shape) {
    const parts = await overview(data, name, size);
    if (!state.signal.aborted) renew(element, ...parts);
    return;
  }
  if (!data.index.shapes.includes(shape) && shape !== 'degenerate') {
    throw new Problem(`There is no shape ${shape}: use one of ${data.index.shapes.join(', ')}.`);
  }
  await one(element, state, data, name, shape);
}

/** All shapes of a size. */
async function overview(data, name, size) {
  const { index } = data;
  const rows = await rowsOf(data, name);
  const groups = index.shapes.map((shape) => [shape, cellsOf(size, shape)]);
  const present = groups.filter(([, cells]) => cells.length);
  const texts = await Promise.all(present.map(([shape]) => frequency(rows, shape)));
  return [
    h('h1', { tabindex: '-1', text: `Shapes of ${times(name)} kernels` }),
    h('p', {
      class: 'lead',
      text:
        'A prototype is the mean of the kernels of the zoo with that label, each centred and of unit ' +
        'length. Kernels without a name are shown in clusters, to see what they look like.',
    }),
    choices(data, name, ['shapes']),
    h(
      'ul',
      { class: 'cards', id: 'shapes' },
      ...present.map(([shape, cells], n) => card(index, name, size, shape, cells, texts[n])),
    ),
    reasons(name, size),
  ];
}

/** A card of a shape: prototypes, and how frequent it is. */
function card(index, name, size, shape, cells, texts) {
  const href = link(['shapes', shape], { size: name });
  return h(
    'li',
    { class: 'panel card', data: { shape } },
    h(
      'h2',
      {},
      paint(h('span', { class: 'swatch' }), shape === OTHER ? 'no name' : shape, index),
      h('a', { href, text: shape === OTHER ? 'no name' : shape }),
    ),
    prototypes(index, name, size, shape, cells),
    h('p', { class: 'small muted', text: [...texts, members(cells)].join(' ') }),
  );
}

/** The prototypes of a shape, one a label or cluster, each a link to its kernels. */
function prototypes(index, name, size, shape, cells) {
  const items = cells
    .filter(({ cell }) => cell.prototype)
    .map(({ cell, number }, n) => {
      const text = shape === OTHER ? `cluster ${n + 1}` : direction(cell.label);
      const query = shape === OTHER ? { cell: number } : { label: cell.label };
      const full =
        `${shape === OTHER ? `no name, cluster ${n + 1}` : named(cell.label)}, ` +
        `prototype of ${count(cell.kernels, 'kernel')}; nearest template ${cell.template}, ` +
        `cosine ${cell.template_cosine.toFixed(2)}`;
      return h(
        'li',
        {},
        h(
          'a',
          {
            class: 'kernel',
            href: link(['kernels'], { size: name, ...query }),
            title: full,
            'aria-label': full,
          },
          tile(cell.prototype, size.height, size.width, index.kernel_map),
        ),
        text ? h('span', { class: 'small muted', text }) : null,
      );
    });
  return h('ul', { class: 'prototypes' }, ...items);
}

/** What is not identified, by reason. */
function reasons(name, size) {
  const rows = REASONS.map((reason) => {
    const kernels = size.cells.reduce((n, cell) => n + (cell.reasons[reason] ?? 0), 0);
    return [reason, kernels];
  }).filter(([, kernels]) => kernels);
  const all = size.cells.reduce((n, cell) => n + cell.kernels - cell.identified, 0);
  return h(
    'section',
    { id: 'not-identified' },
    h('h2', { text: `Not identified: ${count(all, 'kernel')}` }),
    h('p', {
      class: 'lead small',
      text: 'By the first reason that holds; untrained controls are among them.',
    }),
    h(
      'ul',
      { class: 'links wrap' },
      ...rows.map(([reason, kernels]) =>
        h(
          'li',
          {},
          h('a', { href: link(['kernels'], { size: name, reason }), text: reason }),
          ` ${count(kernels, 'kernel')}`,
        ),
      ),
    ),
  );
}

/** A shape: prototypes, members, and its share in each network. */
async function one(element, state, data, name, shape) {
  const { index } = data;
  const size = data.size(name);
  const cells = cellsOf(size, shape);
  const title = shape === OTHER ? 'no name' : shape;
  const box = mosaic(`Kernels: ${title}`);
  const of = `${name} ${shape}`;
  const before = element.querySelector('#shape-networks');
  if (before?.dataset.of === of) {
    await showShares(before, state, data, name, shape); // only its order is another one
    return;
  }
  const shares = h('section', { id: 'shape-networks' });
  const isNamed = shape !== OTHER && shape !== 'degenerate';
  const rows = await rowsOf(data, name);
  const texts = shape === 'degenerate' ? [] : await frequency(rows, shape);
  if (state.signal.aborted) return;
  renew(
    element,
    h(
      'p',
      { class: 'trail' },
      h('a', { href: link(['shapes'], { size: name }), text: 'Shapes' }),
      ` / ${title}`,
    ),
    h('h1', { tabindex: '-1', text: `${title}, ${times(name)}` }),
    choices(data, name, ['shapes', shape]),
    h('p', { class: 'lead', id: 'shape-facts', text: [...texts, members(cells)].join(' ') }),
    h('div', { class: 'large' }, prototypes(index, name, size, shape, cells)),
    h(
      'section',
      { id: 'members' },
      h('h2', { text: 'Kernels of trained networks, from everywhere in the zoo' }),
      h(
        'p',
        { class: 'links wrap' },
        h('a', { href: link(['kernels'], { size: name, shape }), text: 'All, with filters' }),
        isNamed
          ? h('a', {
              href: link(['kernels'], { size: name, shape, identified: 'yes' }),
              text: 'Those that are identified',
            })
          : null,
        h('a', {
          href: link(['kernels'], { size: name, shape, trained: 'no' }),
          text: 'Those of untrained controls',
        }),
      ),
      box,
    ),
    shares,
  );
  if (!cells.length) return;
  const query = new URLSearchParams({ size: name, shape, trained: 'yes' });
  const ranges = await new Selection(rows, query).find(state.signal);
  const found = await described(rows, plainPage(ranges, 0, 'spread'), state.signal);
  if (state.signal.aborted) return;
  await fill(box, rows, found, state.signal);
  if (state.signal.aborted || !isNamed) return;
  shares.dataset.of = of;
  await showShares(shares, state, data, name, shape);
}

/** Show the share of a shape in each network. */
async function showShares(section, state, data, name, shape) {
  const onSort = (sort, order) =>
    go(['shapes', shape], { size: name, sort, order }, { replace: true });
  const rows = await rowsOf(data, name);
  renew(section, ...(await shapeShares(rows, shape, state.query, onSort)));
}

/** Say how many kernels have a label, identified or not. */
function members(cells) {
  return `The label of ${count(
    cells.reduce((n, { cell }) => n + cell.kernels, 0),
    'kernel',
  )}.`;
}

/** Return the cells of a shape, with their numbers. */
function cellsOf(size, shape) {
  return size.cells
    .map((cell, number) => ({ cell, number }))
    .filter(({ cell }) => cell.shape === shape);
}

/** Return what a label adds to its shape. */
function direction(label) {
  return named(label).split(/ (.*)/s)[1] ?? '';
}

/** Links to the same page of other sizes. */
function choices(data, name, path) {
  const links = sizesOf(data)
    .filter((own) => data.size(own).studied)
    .map((own) =>
      h('a', {
        class: 'button',
        href: link(path, { size: own }),
        'aria-current': own === name ? 'true' : null,
        text: times(own),
      }),
    );
  return h('p', { class: 'choices', role: 'group', 'aria-label': 'Size' }, ...links);
}
