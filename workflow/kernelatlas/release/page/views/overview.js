/** What there is: sizes, networks, and the share identified beside its nulls. */

import { h, link, renew } from '../dom.js';
import { go } from '../main.js';
import { rowsOf } from '../rows.js';
import { sizesOf, sizeOf } from '../selection.js';
import { bar, barKey, NULLS, nullsOf, said, sharesOf } from '../shares.js';
import { networkColumns, table } from '../table.js';
import { count, times, whole } from '../words.js';

/** Show the view. */
export async function show(element, state, data) {
  const { index } = data;
  const name = sizeOf(data, state.query);
  const rows = await rowsOf(data, name);
  if (state.signal.aborted) return;
  const kept = index.networks.filter((network) => !network.skipped);
  const kernels = kept.reduce((sum, network) => sum + network.kernels, 0);
  renew(
    element,
    h('h1', { tabindex: '-1', text: 'Every depthwise kernel of the zoo' }),
    h('p', {
      class: 'lead',
      id: 'counts',
      text:
        `${count(kernels, 'kernel')} of ${count(kept.length, 'network')} in ` +
        `${words(index.families.length, 'family', 'families')}, as they are stored in the checkpoints. ` +
        'A kernel is identified if it has the name of a shape, lies near its reconstruction, and ' +
        'most seeds agree. The share of identified kernels stands beside that of kernels that nothing ' +
        'was learnt from.',
    }),
    sizes(data, state.query),
    networks(data, rows, state.query),
    leftOut(index),
  );
}

function words(number, one, many) {
  return `${whole(number)} ${number === 1 ? one : many}`;
}

/** A row a size: how many kernels, and the share identified beside each null. */
function sizes(data, query) {
  const { index } = data;
  const rows = sizesOf(data).map((name) => {
    const size = data.size(name);
    return { name, size, shares: nullsOf(index, size) };
  });
  const kinds = Object.keys(NULLS);
  const columns = [
    {
      id: 'size',
      text: 'Size',
      cell: ({ name }) => h('a', { href: link(['kernels'], { size: name }), text: times(name) }),
    },
    { id: 'kernels', text: 'Kernels', number: true, cell: ({ size }) => whole(size.kernels) },
    {
      id: 'networks',
      text: 'Networks',
      number: true,
      cell: ({ size }) => whole(size.networks.length),
    },
    {
      id: 'layers',
      text: 'Layers',
      number: true,
      cell: ({ size }) => whole(size.network_layers.at(-1)),
    },
    {
      id: 'trained',
      text: 'Identified, trained',
      number: true,
      cell: ({ size, shares }) => (size.studied ? said(shares.trained) : 'not studied'),
    },
    { id: 'bar', text: '0 to 100 %', cell: ({ shares }) => bar(shares.trained, shares) },
    ...kinds.map((kind) => ({
      id: kind,
      text: NULLS[kind][0],
      title: NULLS[kind][1],
      number: true,
      cell: ({ shares }) => said(shares[kind]),
    })),
    {
      id: 'pages',
      text: 'See',
      cell: ({ name, size }) =>
        h(
          'span',
          { class: 'links' },
          ...(size.studied ? ['shapes', 'curve'] : []).map((page) =>
            h('a', { href: link([page], { size: name }), text: page }),
          ),
          h('a', { href: link(['networks'], { size: name }), text: 'networks' }),
        ),
    },
  ];
  return h(
    'section',
    { id: 'sizes' },
    h('h2', { text: 'Sizes' }),
    table('sizes-table', 'Sizes of kernels', columns, rows, {}, () => {}),
    barKey(kinds),
    h('p', {
      class: 'muted small',
      text:
        'All networks together, by curves that have not seen the family that is judged; in brackets ' +
        '95 % intervals over layers and seeds.',
    }),
  );
}

/** A row a network that has kernels of the size. */
function networks(data, kernels, query) {
  const { index } = data;
  const { name, size } = kernels;
  const shares = sharesOf(index, size);
  const rows = size.networks.map((number, i) => {
    const network = index.networks[number];
    return {
      network,
      kernels: kernels.kernelsOf(i),
      share: shares.get(network.name),
      nulls: nullsOf(index, size, network.family),
    };
  });
  const kinds = ['covariance', 'untrained'];
  const columns = [
    ...networkColumns(name),
    {
      id: 'trained',
      text: 'Trained on',
      wrap: true,
      value: ({ network }) => trainedOn(network),
      cell: ({ network }) => trainedOn(network),
    },
    {
      id: 'kernels',
      text: 'Kernels',
      number: true,
      value: (row) => row.kernels,
      cell: (row) => whole(row.kernels),
    },
    {
      id: 'identified',
      text: 'Identified',
      number: true,
      value: ({ share }) => share?.share_identified,
      cell: ({ share }) => said(share),
    },
    {
      id: 'bar',
      text: '0 to 100 %',
      cell: ({ network, share, nulls }) => bar(share, network.trained ? nulls : {}),
    },
    ...kinds.map((kind) => ({
      id: kind,
      text: `Family’s ${NULLS[kind][0]}`,
      title: NULLS[kind][1],
      number: true,
      value: ({ network, nulls }) => (network.trained ? nulls[kind]?.share_identified : null),
      cell: ({ network, nulls }) => (network.trained ? said(nulls[kind]) : ''),
    })),
  ];
  const to = (changes) => go([], { size: query.get('size'), ...changes }, { replace: true });
  const choices = sizesOf(data).map((own) =>
    h('a', {
      class: 'button',
      href: link([], { size: own }),
      'aria-current': own === name ? 'true' : null,
      text: times(own),
    }),
  );
  const sorting = { sort: query.get('sort'), order: query.get('order') };
  return h(
    'section',
    { id: 'networks' },
    h('h2', { text: `Networks with ${times(name)} kernels` }),
    h('p', { class: 'choices', 'aria-label': 'Size', role: 'group' }, ...choices),
    table(
      'networks-table',
      `Networks with ${times(name)} kernels`,
      columns,
      rows,
      sorting,
      (sort, order) => to({ sort, order }),
    ),
    h('p', {
      class: 'muted small',
      text:
        'Labels of a network’s own kernels, with curves that were fitted to the zoo; the controls and ' +
        'noise are those of its family.',
    }),
  );
}

function trainedOn({ trained, trained_on: on }) {
  return trained ? on || 'trained' : 'untrained';
}

function leftOut({ networks: all }) {
  const rows = all.filter((network) => network.skipped);
  if (!rows.length) return null;
  const columns = [
    { id: 'network', text: 'Network', cell: ({ name }) => name },
    { id: 'family', text: 'Family', cell: ({ family }) => family },
    { id: 'why', text: 'Why', wrap: true, cell: ({ skipped }) => skipped },
  ];
  return h(
    'section',
    { id: 'left-out' },
    h('h2', { text: `Left out: ${count(rows.length, 'network')}` }),
    table('left-out-table', 'Networks that could not be read', columns, rows, {}, () => {}),
  );
}
