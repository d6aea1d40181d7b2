/** One kernel: its weights, place, label, codes and fit, and the nearest ones. */

import { curves, reconstruct } from '../curve.js';
import { h, link } from '../dom.js';
import { scaleOf, tile } from '../draw.js';
import { centre, dot } from '../fits.js';
import { fitSection, fittedTo } from '../kernel_fit.js';
import { nearestSection } from '../kernel_nearest.js';
import { neighbours, placeOf } from '../kernel_place.js';
import { scaled, toText } from '../painting.js';
import { rowsOf } from '../rows.js';
import { agreed, number, weight, why } from '../sentences.js';
import { named, times } from '../words.js';

export async function show(element, state, data) {
  const [, network, layerName, channelText] = state.path;
  const place = await placeOf(data, network, layerName, channelText);
  const rows = await rowsOf(data, place.size);
  const row = await rows.rowOf(network, place.layer.name, place.channel, state.signal);
  const kernel = await read(rows, row, state.signal);
  const drawn = fittedTo(kernel);
  const nearest = kernel.shapeless ? null : nearestSection(rows, kernel, state.signal);
  element.replaceChildren(
    h(
      'article',
      { class: 'one' },
      heading(data, place, kernel),
      h(
        'div',
        { class: 'known' },
        pictures(data, kernel, drawn),
        h(
          'div',
          { class: 'columns' },
          kernel.size.studied && !kernel.shapeless ? fitSection(kernel, drawn) : null,
          kernel.seeds ? codes(data, place.size, kernel) : null,
          numbers(kernel),
        ),
      ),
      nearest,
    ),
  );
}

/** Read all that the data have on a kernel. */
async function read(rows, row, signal) {
  const { size, store, name } = rows;
  const [[found], weights, scale, fit, points, labels] = await Promise.all([
    rows.kernels([row], signal),
    rows.weights(row, signal),
    store.array(name, 'scale').then((array) => array.rows(row, row + 1, signal)),
    size.studied ? rows.fit(row, signal) : null,
    size.studied ? store.array(name, 'curve').then((array) => array.whole()) : null,
    size.studied ? store.array(name, 'point_labels').then((array) => array.whole()) : null,
  ]);
  const none = found.label === 'degenerate' || !weights.every(Number.isFinite);
  const shapeless = none || weights.every((value) => value === weights[0]);
  const step = size.scale.least * size.scale.ratio ** scale[0];
  const kernel = { ...found, size, weights, step, fit, shapeless };
  if (!size.studied || shapeless) return kernel;
  const { seeds, mean, dissimilarity } = reconstruct(curves(points, size), weights);
  // Of the 8-bit weights: the results' own is within the level that is stored.
  const { step: wide } = size.dissimilarity;
  const least = found.dissimilarity - wide / 2;
  const own = Math.min(Math.max(dissimilarity, least), least + wide * (1 - 1e-6));
  const known = found.reason === 'too far' && dissimilarity > least ? dissimilarity : own;
  return Object.assign(kernel, { seeds, mean, labels, dissimilarity: known });
}

function heading(data, place, kernel) {
  const { network, layer, channel, size, family } = place;
  const colour = data.index.colours[kernel.shape];
  const facts = [
    ['Family', family, link(['kernels'], { size, family })],
    ['Network', network, link(['networks', network], { size })],
    ['Layer', layer.name, link(['kernels'], { size, network, layer: layer.name })],
    ['Number of the layer', layer.index],
    ['Channel', `${channel} (of 0 to ${layer.channels - 1})`],
    ['Size', times(size)],
    ['Stride', layer.stride ?? 'not known'],
    ['Dilation', layer.dilation ?? 'not known'],
    ...(kernel.seeds ? [['Agreement', agreed(kernel.agreement, data.index)]] : []),
  ];
  const style = colour ? { '--colour': colour } : {};
  const like = kernel.size.studied ? link(['kernels'], { size, label: kernel.label }) : null;
  const badge = h(like ? 'a' : 'strong', {
    class: 'badge',
    href: like,
    style,
    text: named(kernel.label),
  });
  return h(
    'header',
    {},
    h('h1', { tabindex: -1, text: `${network}, ${layer.name}, channel ${channel}` }),
    neighbours(data, place),
    h('p', { class: 'why' }, badge, ' ', why(kernel, kernel.size, data.index)),
    h(
      'dl',
      { class: 'facts' },
      facts.map(([name, text, address]) =>
        h(
          'div',
          {},
          h('dt', { text: name }),
          h('dd', {}, address ? h('a', { href: address, text }) : String(text)),
        ),
      ),
    ),
  );
}

function pictures(data, kernel, drawn) {
  const { height, width, cells } = kernel.size;
  const colours = data.index.kernel_map;
  const scale = scaleOf(kernel.weights);
  const style = { width: `${100 * Math.min(1, width / height)}%` }; // tall ones would be too high
  const figure = (values, title, text, own) =>
    h(
      'figure',
      {},
      h(
        'div',
        { role: 'img', 'aria-label': title, style },
        tile(values, height, width, colours, own),
      ),
      h('figcaption', {}, h('strong', { text: title }), h('span', { text })),
    );
  const [low, high] = [scale.mean - scale.limit, scale.mean + scale.limit].map(number);
  const range = kernel.shapeless ? '' : `colours from ${low} to ${high}`;
  const all = [figure(kernel.weights, 'Weights', range, scale)];
  if (drawn) {
    const zero = { mean: 0, limit: scale.limit };
    const text = `${kernel.fit.function}, R² ${kernel.r2.toFixed(2)}`;
    all.push(
      figure(drawn.values, 'Fitted function', text, scale),
      figure(drawn.residual, 'Residual', 'weights − function', zero),
    );
  }
  if (kernel.seeds) {
    const { label, prototype } = cells[kernel.cell];
    const text = `dissimilarity ${kernel.dissimilarity.toFixed(3)}`;
    all.push(figure(kernel.mean, 'Reconstruction', text));
    if (prototype) {
      const cosine = dot(prototype, kernel.mean).toFixed(2);
      const whose = label === 'other' ? 'its cluster, which has no name' : named(label);
      all.push(
        figure(prototype, 'Prototype', `of ${whose}; cosine to the reconstruction ${cosine}`),
      );
    }
  }
  return h(
    'section',
    { 'aria-labelledby': 'pictures' },
    h('h2', { id: 'pictures', text: 'Pictures' }),
    h('div', { class: 'pictures' }, all),
    h('p', { class: 'muted small', text: legend(kernel, drawn) }),
  );
}

function legend({ shapeless, label }, drawn) {
  if (drawn) {
    return (
      'Red is above the middle, blue below. Weights, function and residual have one scale; the ' +
      'others their own.'
    );
  }
  if (shapeless && label !== 'degenerate') {
    return 'It differs from a constant by less than 8 bits tell; results/kernels has all digits.';
  }
  return 'Red is above the mean, blue below; grey is not finite.';
}

function codes(data, size, kernel) {
  const { height, width, points } = kernel.size;
  const head = ['Seed', 'Code', 'Drawn', 'Dissimilarity', 'Name there'];
  return h(
    'section',
    { 'aria-labelledby': 'codes' },
    h('h2', { id: 'codes', text: 'Codes' }),
    h(
      'table',
      { class: 'data' },
      h('caption', {
        text:
          'The most similar point of each seed’s curve, and what the curve draws, of the 8-bit ' +
          'weights',
      }),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          head.map((text) => h('th', { scope: 'col', text })),
        ),
      ),
      h(
        'tbody',
        {},
        kernel.seeds.map(({ point, dissimilarity, mean }, i) => {
          const { seed } = kernel.size.seeds_curves[i];
          const code = ((point + 0.5) / points).toFixed(4);
          const label = data.index.labels[kernel.labels[i * points + point]];
          const address = link(['curve'], { size, seed, point });
          return h(
            'tr',
            {},
            h('th', { scope: 'row', text: seed }),
            h('td', {}, h('a', { href: address, text: code })),
            h('td', {}, tile(mean, height, width, data.index.kernel_map)),
            h('td', { text: dissimilarity.toFixed(3) }),
            h('td', { text: named(label) }),
          );
        }),
      ),
    ),
  );
}

function numbers({ weights, step, size, shapeless }) {
  const steps = shapeless ? '' : `, in steps of ${number(step)}`;
  const { height, width } = size;
  const rows = Array.from({ length: height }, (_, row) =>
    Array.from(weights.subarray(row * width, (row + 1) * width), (value) => weight(value, step)),
  );
  return h(
    'section',
    { 'aria-labelledby': 'numbers', class: 'numbers' },
    h('h2', { id: 'numbers', text: 'Weights as numbers' }),
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Weights' },
      h(
        'table',
        { class: 'weights', 'aria-labelledby': 'numbers' },
        h(
          'tbody',
          {},
          rows.map((row) =>
            h(
              'tr',
              {},
              row.map((text) => h('td', { text })),
            ),
          ),
        ),
      ),
    ),
    h('p', {
      class: 'muted small',
      text: `8 bits a weight${steps}; results/kernels has all digits.`,
    }),
    shapeless
      ? null
      : h('a', {
          href: link(['find'], {
            size: `${height}x${width}`,
            kernel: toText(scaled(centre(weights))),
          }),
          text: 'Edit it, and find similar kernels',
        }),
  );
}
