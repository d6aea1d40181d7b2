/** The networks of a size, each as a stacked bar; one of them is shown by network.js. */

import { h, link, renew } from '../dom.js';
import { go } from '../main.js';
import { showNetwork } from '../network.js';
import { rowsOf } from '../rows.js';
import { sizeOf, sizesOf } from '../selection.js';
import { sharesOfShapes } from '../shape_shares.js';
import { NOT_IDENTIFIED, said, sharesOf, stack, stackKey } from '../shares.js';
import { networkColumns, table } from '../table.js';
import { count, enough, times, whole } from '../words.js';

const PAUSE = 150; // milliseconds after the last letter

/** Show the view. */
export async function show(element, state, data) {
  await (state.path[1] ? showNetwork : list)(element, state, data);
}

/** All networks that have kernels of a size. */
async function list(element, state, data) {
  const { index } = data;
  const { query, signal } = state;
  const name = sizeOf(data, query);
  const rows = await rowsOf(data, name);
  const all = rows.size.studied ? await compositions(rows) : plain(rows);
  if (signal.aborted) return;
  const text = (query.get('name') ?? '').toLowerCase();
  const family = query.get('family') ?? '';
  const shown = all
    .filter(({ network }) => !family || network.family === family)
    .filter(({ network }) => network.name.toLowerCase().includes(text));
  const parts = new Set(
    shown.flatMap(({ counts }) => Object.keys(counts).filter((part) => counts[part])),
  );
  const to = (changes) => {
    const next = {
      size: query.get('size'),
      family,
      name: query.get('name'),
      sort: query.get('sort'),
      order: query.get('order'),
    };
    // A letter may be followed by a step to another page.
    if (!signal.aborted) go(['networks'], { ...next, ...changes }, { replace: true });
  };
  const columns = [
    ...networkColumns(name),
    {
      id: 'layers',
      text: 'Layers',
      number: true,
      value: ({ layers }) => layers,
      cell: ({ layers }) => whole(layers),
    },
    {
      id: 'kernels',
      text: 'Kernels',
      number: true,
      value: ({ kernels }) => kernels,
      cell: ({ network, kernels }) =>
        h('a', {
          href: link(['kernels'], { size: name, network: network.name }),
          text: whole(kernels),
        }),
    },
  ];
  if (rows.size.studied) {
    columns.push(
      {
        id: 'identified',
        text: 'Identified',
        number: true,
        value: ({ share }) => share?.share_identified,
        cell: ({ share }) => said(share),
      },
      {
        id: 'stack',
        text: 'Shapes, of all kernels',
        cell: ({ counts, kernels }) =>
          enough(kernels) ? stack(counts, kernels, index, () => null) : count(kernels, 'kernel'),
      },
    );
  }
  const sorting = { sort: query.get('sort'), order: query.get('order') };
  renew(
    element,
    h('h1', { tabindex: '-1', text: `Networks with ${times(name)} kernels` }),
    chooser(data, name, family, query, to),
    h('p', {
      class: 'count',
      id: 'networks-count',
      role: 'status',
      text: count(shown.length, 'network'),
    }),
    stackKey(parts, index),
    table(
      'networks-list',
      `Networks with ${times(name)} kernels`,
      columns,
      shown,
      sorting,
      (sort, order) => to({ sort, order }),
    ),
  );
}

/** The fields above the list: size, family, and a part of the name. */
function chooser(data, name, family, query, to) {
  const options = (values) => values.map(([value, text]) => h('option', { value, text }));
  const sizes = h(
    'select',
    { id: 'networks-size', on: { change: () => to({ size: sizes.value }) } },
    ...options(sizesOf(data).map((own) => [own, times(own)])),
  );
  sizes.value = name;
  const families = h(
    'select',
    { id: 'networks-family', on: { change: () => to({ family: families.value }) } },
    ...options([['', 'all'], ...data.index.families.map((own) => [own, own])]),
  );
  families.value = family;
  let waiting;
  const later = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => to({ name: part.value }), PAUSE);
  };
  const part = h('input', {
    id: 'networks-name',
    type: 'search',
    value: query.get('name'),
    on: { input: later },
  });
  const field = (text, control) => h('label', { class: 'field' }, h('span', { text }), control);
  return h(
    'form',
    {
      class: 'filters',
      'aria-label': 'Which networks',
      on: { submit: (event) => event.preventDefault() },
    },
    field('Size', sizes),
    field('Family', families),
    field('Name contains', part),
  );
}

/** Kernels by part of each network: identified as each shape, degenerate, and the rest. */
async function compositions(rows) {
  const shapes = rows.store.index.shapes.filter((shape) => shape !== 'other');
  const shares = sharesOf(rows.store.index, rows.size);
  const byShape = await Promise.all(shapes.map((shape) => sharesOfShapes(rows, shape)));
  return plain(rows).map((own, i) => {
    const counts = {};
    shapes.forEach((shape, n) => {
      counts[shape] = Math.round((byShape[n][i].share.share_identified || 0) * own.kernels);
    });
    const share = shares.get(own.network.name);
    counts.degenerate = share?.degenerate ?? 0;
    const known = Object.values(counts).reduce((sum, n) => sum + n, 0);
    counts[NOT_IDENTIFIED] = Math.max(own.kernels - known, 0);
    return { ...own, share, counts };
  });
}

function plain(rows) {
  const { networks, network_layers: layers } = rows.size;
  return networks.map((_, i) => ({
    network: rows.network(i),
    kernels: rows.kernelsOf(i),
    layers: layers[i + 1] - layers[i],
    counts: {},
  }));
}
