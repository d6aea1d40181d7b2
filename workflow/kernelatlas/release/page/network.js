/** One network, layer by layer, as stacked bars. */

import { composition, together } from './composition.js';
import { h, link, renew } from './dom.js';
import { enter, rove } from './roving.js';
import { rowsOf } from './rows.js';
import { sizesOf } from './selection.js';
import { bar, barKey, nullsOf, NULLS, said, sharesOf, stack, stackKey } from './shares.js';
import { Problem } from './store.js';
import { count, enough, percent, times, whole } from './words.js';

/** A network: what it is, and the kernels of its layers. */
export async function showNetwork(element, state, data) {
  const { index } = data;
  const wanted = state.path[1];
  const network = index.networks.find((own) => own.name === wanted);
  if (!network) throw new Problem(`There is no network ${wanted}: the page “Networks” lists all.`);
  if (network.skipped) throw new Problem(`${wanted} was left out: ${network.skipped}.`);
  const sizes = sizesOf(data).filter((own) =>
    data.size(own).networks.includes(index.networks.indexOf(network)),
  );
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
    h(
      'p',
      { class: 'trail' },
      h('a', { href: link(['networks'], { size: name }), text: 'Networks' }),
      ` / ${wanted}`,
    ),
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
      h('a', {
        class: 'button',
        href: link(['kernels'], { size: name, network: wanted }),
        text: 'See the kernels',
      }),
    ),
    rows.size.studied ? share(index, rows, network) : null,
    bars(index, rows, network, found),
  );
}

function facts(network, told) {
  const entries = [
    [
      'Family',
      h('a', { href: link(['networks'], { family: network.family }), text: network.family }),
    ],
    [
      'Trained on',
      network.trained ? network.trained_on || 'not said' : 'nothing: an untrained control',
    ],
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
    h(
      'p',
      {},
      h('strong', { text: `Identified: ${said(own)}` }),
      texts.length ? `; of the family: ${texts.join(', ')}.` : '',
    ),
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
      link(['kernels'], {
        ...query,
        ...(index.shapes.includes(part) ? { shape: part, identified: 'yes' } : { reason: part }),
      });
    const drawn = rows.size.studied && enough(layer.channels);
    return h(
      'li',
      { data: { layer: layer.name } },
      h(
        'a',
        { class: 'layer', href: link(['kernels'], query) },
        `${layer.index + 1} · ${layer.name}`,
      ),
      h(
        'div',
        { class: 'stack-box' },
        drawn
          ? stack(counts, layer.channels, index, address)
          : h('span', { class: 'small muted', text: count(layer.channels, 'kernel') }),
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
    parts.push(
      h('span', { class: 'bar-interval', title, style: { left: at(low), width: at(high - low) } }),
    );
  }
  if (Number.isFinite(control)) {
    const title = `Identified in untrained controls: ${percent(control)}`;
    parts.push(h('span', { class: 'bar-mark untrained', title, style: { left: at(control) } }));
  }
  return parts;
}
