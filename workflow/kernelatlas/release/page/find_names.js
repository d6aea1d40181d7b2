/** What a painted kernel would be named, by the curves and the clusters' prototypes. */

import { curves, nearestPrototype, reconstruct } from './curve.js';
import { h } from './dom.js';
import { tile } from './draw.js';
import { beside } from './sentences.js';
import { named } from './words.js';

/**
 * Make the section; null where kernels are not studied.
 *
 * @param {Rows} rows
 * @returns {?{element: HTMLElement, show: (kernel: ?number[]) => Promise<void>}}
 */
export function namesSection(rows, signal) {
  const { store, size, name } = rows;
  if (!size.studied) return null;
  const content = h('div', { class: 'said' });
  const element = h(
    'section',
    { 'aria-labelledby': 'names', hidden: true },
    h('h2', { id: 'names', text: 'What it would be named' }),
    content,
  );
  const show = async (kernel) => {
    element.hidden = kernel === null;
    if (kernel === null) return;
    const [values, labels] = await Promise.all(
      ['curve', 'point_labels'].map(async (one) => (await store.array(name, one)).whole()),
    );
    signal.throwIfAborted();
    const drawn = reconstruct(curves(values, size), kernel);
    content.replaceChildren(...said(store.index, size, drawn, labels));
  };
  return { element, show };
}

function said(index, size, { seeds, mean, dissimilarity }, labels) {
  const { height, width, threshold, cells } = size;
  const { cell, cosine } = nearestPrototype(cells, mean);
  const { label, prototype } = cells[cell];
  const whose = label === 'other' ? 'a cluster without a name' : named(label);
  const near = dissimilarity < threshold;
  const so = near ? 'near' : 'too far from';
  const points = seeds.map(({ point }, i) => {
    const label = named(index.labels[labels[i * size.points + point]]);
    return `${label} (seed ${size.seeds_curves[i].seed})`;
  });
  const picture = (values, text) =>
    h('figure', {}, tile(values, height, width, index.kernel_map), h('figcaption', { text }));
  return [
    h('p', {
      text:
        `Its dissimilarity to the curves is ${beside(dissimilarity, threshold)}, ` +
        `${near ? 'below' : 'not below'} the threshold of ${threshold}: ` +
        `it is ${so} its reconstruction${near ? '' : ' to be identified'}.`,
    }),
    h('p', { text: `The most similar points of the curves are named ${points.join(', ')}.` }),
    h('p', {
      text:
        `The prototype that is most similar to the reconstruction is that of ${whose}, with a ` +
        `cosine of ${cosine.toFixed(3)}. This is by prototypes; the results name reconstructions ` +
        'by templates.',
    }),
    h(
      'div',
      { class: 'pictures' },
      picture(mean, 'Reconstruction'),
      picture(prototype, `Prototype of ${whose}`),
    ),
  ];
}
