/** Where a kernel is, and its neighbours there. */

import { h, link } from './dom.js';
import { Problem } from './store.js';

/**
 * Find the layer of an address.
 *
 * @returns {Promise<{network: string, family: string, layer: object, layers: object[],
 *   size: string, channel: number}>} layers: all of the network in order, each with its size
 */
export async function placeOf(data, network, layerName, channelText) {
  const { family, layers: sizes } = await data.network(network);
  const layers = Object.entries(sizes)
    .flatMap(([size, list]) => list.map((layer) => ({ ...layer, size })))
    .sort((one, other) => one.index - other.index);
  const layer = layers.find(({ name }) => name === layerName);
  if (!layer) {
    throw new Problem(
      `${network} has no layer ${layerName ?? ''}: the page of the network lists its layers.`,
    );
  }
  return { network, family, layer, layers, size: layer.size, channel: Number(channelText || NaN) };
}

/** Links to the channels before and after, and to the same channel of the layers beside. */
export function neighbours(data, { network, layer, layers, channel }) {
  const at = layers.indexOf(layer);
  const to = (other, number, text, rel) =>
    other && number >= 0 && number < other.channels
      ? h('a', { class: 'button', href: link(['kernel', network, other.name, number]), rel, text })
      : h('span', { class: 'button off', 'aria-disabled': 'true', text });
  const beside = (other) => (other ? Math.min(channel, other.channels - 1) : -1);
  const [before, after] = [layers[at - 1], layers[at + 1]];
  return h(
    'nav',
    { class: 'neighbours', 'aria-label': 'Neighbouring kernels' },
    to(layer, channel - 1, '← Previous channel', 'prev'),
    to(layer, channel + 1, 'Next channel →', 'next'),
    to(before, beside(before), '↑ Layer before'),
    to(after, beside(after), '↓ Layer after'),
  );
}
