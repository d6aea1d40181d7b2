/** The share of a shape in each network, beside that in the untrained controls of its family. */

import { h, link } from './dom.js';
import { bar, barKey, said } from './shares.js';
import { table } from './table.js';
import { percent, times, whole } from './words.js';

/**
 * Make a table of the networks of a size; reads `shape_shares` once.
 * @param {Rows} rows
 * @param {string} shape
 * @param {URLSearchParams} query sort and order.
 * @param {(sort: string, order: string) => void} onSort
 * @returns {Promise<Element[]>}
 */
export async function shapeShares(rows, shape, query, onSort) {
  const all = await sharesOfShapes(rows, shape);
  const controls = new Map();
  for (const own of all.filter(({ network }) => !network.trained)) {
    controls.set(own.network.family, [...(controls.get(own.network.family) ?? []), own.share]);
  }
  const list = all
    .filter(({ network }) => network.trained)
    .map((own) => ({ ...own, control: together(controls.get(own.network.family)) }));
  const columns = [
    {
      id: 'network',
      text: 'Network',
      value: ({ network }) => network.name,
      cell: ({ network }) =>
        h('a', { href: link(['networks', network.name], { size: rows.name }), text: network.name }),
    },
    {
      id: 'family',
      text: 'Family',
      value: ({ network }) => network.family,
      cell: ({ network }) => network.family,
    },
    {
      id: 'members',
      text: 'Kernels of the shape',
      number: true,
      title: 'Identified or not',
      value: ({ members }) => members,
      cell: ({ network, members }) =>
        h('a', {
          href: link(['kernels'], { size: rows.name, network: network.name, shape }),
          text: whole(members),
        }),
    },
    {
      id: 'share',
      text: 'Identified as it',
      title: 'Of all kernels of the network',
      number: true,
      value: ({ share }) => share.share_identified,
      cell: ({ share }) => said(share),
    },
    {
      id: 'bar',
      text: '0 to 100 %',
      cell: ({ share, control }) => bar(share, control ? { untrained: control } : {}),
    },
    {
      id: 'control',
      text: 'Untrained controls',
      title: 'Of the family, all their kernels together',
      number: true,
      value: ({ control }) => control?.share_identified,
      cell: ({ control }) => said(control),
    },
  ];
  const state = { sort: query.get('sort') ?? 'share', order: query.get('order') };
  const caption = `Share of ${shape} in each trained network`;
  return [
    h('h2', { text: `Share by network, ${times(rows.name)}` }),
    table('shape-table', caption, columns, list, state, onSort),
    barKey(['untrained']),
  ];
}

/**
 * Return the share of a shape in each network of a size, and its kernels, identified or not.
 * @returns {Promise<{network: object, members: number, share: object}[]>}
 */
export async function sharesOfShapes(rows, shape) {
  const array = await rows.store.array(rows.name, 'shape_shares');
  const values = await array.whole();
  const first = rows.store.index.shapes.indexOf(shape) * array.width;
  const cells = [...rows.size.cells.keys()].filter((cell) => rows.size.cells[cell].shape === shape);
  return rows.size.networks.map((_, i) => {
    const [share, low, high] = values.subarray(first + 3 * i, first + 3 * i + 3);
    const members = cells.reduce((n, cell) => {
      const [begin, end] = rows.range(cell, i);
      return n + end - begin;
    }, 0);
    const kernels = rows.kernelsOf(i);
    return {
      network: rows.network(i),
      members,
      share: { share_identified: share, low, high, kernels },
    };
  });
}

/** Put shares together, by their kernels; null of none. */
function together(shares) {
  if (!shares?.length) return null;
  const kernels = shares.reduce((sum, own) => sum + own.kernels, 0);
  const identified = shares.reduce((sum, own) => sum + own.kernels * own.share_identified, 0);
  return { share_identified: identified / kernels, low: NaN, high: NaN, kernels };
}

/**
 * Say how frequent a shape is in trained networks, and in untrained controls.
 * @returns {Promise<string[]>} sentences.
 */
export async function frequency(rows, shape) {
  const all = await sharesOfShapes(rows, shape);
  // Kernels without a name are not identified as a shape: those are counted that have none.
  const nameless = shape === 'other';
  const sets = [true, false].map((trained) =>
    all
      .filter(({ network }) => network.trained === trained)
      .map(({ members, share }) =>
        nameless ? { ...share, share_identified: members / share.kernels } : share,
      ),
  );
  const [trained, untrained] = sets.map(together);
  const texts = [];
  if (trained) {
    const values = sets[0].map((share) => share.share_identified).sort((a, b) => a - b);
    const range =
      values.length > 1
        ? `, in single networks ${percent(values[0])} to ${percent(values.at(-1))}`
        : '';
    const what = nameless ? 'without a name' : 'identified as it';
    texts.push(`Of trained kernels ${percent(trained.share_identified)} are ${what}${range}.`);
  }
  if (untrained) texts.push(`Of untrained controls ${percent(untrained.share_identified)}.`);
  return texts;
}
