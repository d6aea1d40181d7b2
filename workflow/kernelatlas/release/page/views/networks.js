/** The networks of a size, and one network layer by layer, as stacked bars. */

import { composition, together } from '../composition.js';
import { h, link, renew } from '../dom.js';
import { go } from '../main.js';
import { enter, rove } from '../roving.js';
import { rowsOf } from '../rows.js';
import { sizeOf, sizesOf } from '../selection.js';
import { sharesOfShapes } from '../shape_shares.js';
import { bar, barKey, NOT_IDENTIFIED, nullsOf, NULLS, said, sharesOf, stack, stackKey } from '../shares.js';
import { Problem } from '../store.js';
import { table } from '../table.js';
import { count, enough, percent, times, whole } from '../words.js';

const PAUSE = 150; // milliseconds after the last letter

/** Show the view. */
export async function show(element, state, data) {
  await (state.path[1] ? one : list)(element, state, data);
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
  const parts = new Set(shown.flatMap(({ counts }) => Object.keys(counts).filter((part) => counts[part])));
  const to = (changes) => {
    const next = { size: query.get('size'), family, name: query.get('name'), sort: query.get('sort'), order: query.get('order') };
    go(['networks'], { ...next, ...changes }, { replace: true });
  };
  const columns = [
    {
      id: 'network',
      text: 'Network',
      value: ({ network }) => network.name,
      cell: ({ network }) =>
        h('a', { href: link(['networks', network.name], { size: name }), text: network.name }),
    },
    { id: 'family', text: 'Family', value: ({ network }) => network.family, cell: ({ network }) => network.family },
    { id: 'layers', text: 'Layers', number: true, value: ({ layers }) => layers, cell: ({ layers }) => whole(layers) },
    {
      id: 'kernels',
      text: 'Kernels',
      number: true,
      value: ({ kernels }) => kernels,
      cell: ({ network, kernels }) =>
        h('a', { href: link(['kernels'], { size: name, network: network.name }), text: whole(kernels) }),
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
    h('p', { class: 'count', id: 'networks-count', role: 'status', text: count(shown.length, 'network') }),
    stackKey(parts, index),
    table('networks-list', `Networks with ${times(name)} kernels`, columns, shown, sorting, (sort, order) =>
      to({ sort, order }),
    ),
  );
}

/** The fields above the list: size, family, and a part of the name. */
function chooser(data, name, family, query, to) {
  const options = (values) => values.map(([value, text]) => h('option', { value, text }));
  const sizes = h('select', { id: 'networks-size', on: { change: () => to({ size: sizes.value }) } },
    ...options(sizesOf(data).map((own) => [own, times(own)])));
  sizes.value = name;
  const families = h('select', { id: 'networks-family', on: { change: () => to({ family: families.value }) } },
    ...options([['', 'all'], ...data.index.families.map((own) => [own, own])]));
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
    { class: 'filters', 'aria-label': 'Which networks', on: { submit: (event) => event.preventDefault() } },
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

/** A network: what it is, and the kernels of its layers. */
async function one(element, state, data) {
  const { index } = data;
  const wanted = state.path[1];
  const network = index.networks.find((own) => own.name === wanted);
  if (!network) throw new Problem(`There is no network ${wanted}: the page “Networks” lists all.`);
  if (network.skipped) throw new Problem(`${wanted} was left out: ${network.skipped}.`);
  const sizes = sizesOf(data).filter((own) => data.size(own).networks.includes(index.networks.indexOf(network)));
  const name = sizes.includes(state.query.get('size')) ? state.query.get('size') : sizes[0];
  const rows = await rowsOf(data, name);
  const i = rows.numberOf(wanted);
  const [told, layers] = await Promise.all([data.network(wanted), rows.layers(i)]);
  const found = rows.size.studied
    ? await composition(rows, i, state.signal)
    : layers.map((layer) => ({ layer, counts: {} }));
  if (state.signal.aborted) return;
  renew(
    element,
    h('p', { class: 'trail' }, h('a', { href: link(['networks'], { size: name }), text: 'Networks' }), ` / ${wanted}`),
    h('h1', { tabindex: '-1', text: wanted }),
    facts(network, told),
    h(
      'p',
      { class: 'choices', role: 'group', 'aria-label': 'Size' },
      ...sizes.map((own) =>
        h('a', {
          class: 'button',
          href: link(['networks', wanted], { size: own }),
          'aria-current': own === name ? 'true' : null,
          text: times(own),
        }),
      ),
      h('a', { class: 'button', href: link(['kernels'], { size: name, network: wanted }), text: 'See the kernels' }),
    ),
    rows.size.studied ? share(index, rows, network) : null,
    bars(index, rows, network, found),
  );
}

function facts(network, told) {
  const entries = [
    ['Family', h('a', { href: link(['networks'], { family: network.family }), text: network.family })],
    ['Trained on', network.trained ? network.trained_on || 'not said' : 'nothing: an untrained control'],
    ['Kernels', whole(network.kernels)],
    ['Source', told.source],
    ['Commit', told.commit],
  ];
  return h(
    'dl',
    { class: 'facts' },
    ...entries
      .filter(([, value]) => value)
      .map(([term, value]) => h('div', {}, h('dt', { text: term }), h('dd', {}, value))),
  );
}

/** The share identified of a network beside its family's nulls. */
function share(index, rows, network) {
  const own = sharesOf(index, rows.size).get(network.name);
  const nulls = network.trained ? nullsOf(index, rows.size, network.family) : {};
  const kinds = Object.keys(NULLS).filter((kind) => nulls[kind]);
  const texts = kinds.map((kind) => `${NULLS[kind][0]} ${said(nulls[kind])}`);
  return h(
    'section',
    { id: 'network-share' },
    h('p', {}, h('strong', { text: `Identified: ${said(own)}` }), texts.length ? `; of the family: ${texts.join(', ')}.` : ''),
    bar(own, nulls),
    barKey(kinds),
  );
}

/** A stacked bar a layer. */
function bars(index, rows, network, found) {
  const parts = new Set(Object.keys(together(found.map(({ counts }) => counts))));
  const base = { size: rows.name, network: network.name };
  const lines = found.map(({ layer, counts }) => {
    const query = { ...base, layer: layer.name };
    const address = (part) =>
      link(['kernels'], { ...query, ...(index.shapes.includes(part) ? { shape: part, identified: 'yes' } : { reason: part }) });
    const drawn = rows.size.studied && enough(layer.channels);
    return h(
      'li',
      { data: { layer: layer.name } },
      h('a', { class: 'layer', href: link(['kernels'], query) }, `${layer.index + 1} · ${layer.name}`),
      h(
        'div',
        { class: 'stack-box' },
        drawn ? stack(counts, layer.channels, index, address) : h('span', { class: 'small muted', text: count(layer.channels, 'kernel') }),
        ...(drawn ? whiskers(layer) : []),
      ),
      h('span', { class: 'small muted number', text: drawn ? whole(layer.channels) : '' }),
    );
  });
  const own = h('ol', { class: 'layers', id: 'layers' }, ...lines);
  rove(own, 'a.segment');
  enter(own, 'a.segment');
  return h(
    'section',
    { id: 'network-layers' },
    h('h2', { text: `${count(found.length, 'layer')} of ${times(rows.name)} kernels` }),
    h('p', {
      class: 'lead small',
      text:
        'Each bar is a layer: its identified kernels by shape, then those that are not identified, by the ' +
        'first reason that holds. Choose a part to see its kernels; the arrow keys move between parts.',
    }),
    stackKey(parts, index),
    found.some(({ layer }) => Number.isFinite(layer.low)) ? barKey(['untrained']) : null,
    own,
  );
}

/** The interval of the share identified of a layer, and that of its untrained controls. */
function whiskers({ low, high, control }) {
  const at = (x) => `${100 * x}%`;
  const parts = [];
  if (Number.isFinite(low) && Number.isFinite(high)) {
    const title = `95 % interval of the share identified: ${percent(low)} to ${percent(high)}`;
    parts.push(h('span', { class: 'bar-interval', title, style: { left: at(low), width: at(high - low) } }));
  }
  if (Number.isFinite(control)) {
    const title = `Identified in untrained controls: ${percent(control)}`;
    parts.push(h('span', { class: 'bar-mark untrained', title, style: { left: at(control) } }));
  }
  return parts;
}
