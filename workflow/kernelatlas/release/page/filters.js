/** The form that chooses kernels: its fields say what an address says, and the other way round. */

import { go } from './main.js';
import { h } from './dom.js';
import { FILTERS, REASONS, sizesOf } from './selection.js';
import { count, named, times } from './words.js';

const SORTS = [
  ['spread', 'from everywhere'],
  ['table', 'by shape, network, layer, channel'],
  ['r2', 'R² of the fit'],
  ['dissimilarity', 'dissimilarity'],
  ['agreement', 'agreement of the seeds'],
];
const RANGES = [
  ['r2', 'R² of the fit'],
  ['dissimilarity', 'Dissimilarity'],
];
// Changes that make other choices meaningless.
const CLEARS = {
  size: ['network', 'layer', 'shape', 'label', 'cell', 'dissimilarity', 'dissimilarity_to'],
  family: ['network', 'layer'],
  trained: ['network', 'layer'],
  network: ['layer'],
};

/** Return whether a sort is from the greatest down, if the address does not say. */
export function downAtFirst(sort) {
  return sort === 'r2' || sort === 'agreement';
}

/**
 * Make the form of a selection.
 * @param {Rows} rows
 * @param {URLSearchParams} query
 * @param {object[]} layers of the chosen network; empty without one.
 */
export function form(rows, query, layers) {
  const { index } = rows.store;
  const { size } = rows;
  const value = (name) => query.get(name) ?? '';
  const pick = (name, text, options) => select(name, text, options, value(name), query);
  const networks = size.networks
    .map((_, i) => rows.network(i))
    .filter(({ family }) => !value('family') || family === value('family'))
    .filter(({ trained }) => !value('trained') || trained === (value('trained') === 'yes'));
  const families = index.families.filter((family) =>
    size.networks.some((_, i) => rows.network(i).family === family),
  );
  const seeds = index.agreement.levels.length - 1;
  const fields = [
    pick(
      'size',
      'Size',
      sizesOf(rows.store).map((name) => [name, times(name)]),
    ),
    shapes(rows, query),
    pick('family', 'Family', [['', 'all'], ...families.map((name) => [name, name])]),
    pick('trained', 'Trained', [
      ['', 'all'],
      ['yes', 'trained'],
      ['no', 'untrained controls'],
    ]),
    pick('network', 'Network', [['', 'all'], ...networks.map(({ name }) => [name, name])]),
    pick('layer', 'Layer', [
      ['', value('network') ? 'all' : 'of a network'],
      ...layers.map(({ name, index: number }) => [name, `${number + 1} · ${name}`]),
    ]),
  ];
  fields.at(-1).querySelector('select').disabled = !layers.length;
  if (size.studied) {
    fields.push(identified(query));
    fields.push(
      pick('agreement', 'Seeds that agree', [
        ['', 'any'],
        ...index.agreement.levels.map((_, n) => [n, `${n} of ${seeds}`]).reverse(),
      ]),
    );
    fields.push(...RANGES.map(([name, text]) => range(name, text, query)));
  }
  const clear = h('button', {
    type: 'button',
    id: 'clear',
    text: 'Clear the filters',
    on: { click: () => go(['kernels'], { size: rows.name }) },
  });
  return h(
    'form',
    { class: 'filters', id: 'filters', 'aria-label': 'Which kernels', on: { submit: stop } },
    ...fields,
    h('div', { class: 'field end' }, clear),
  );
}

/** Make the fields that choose the order. */
export function sorting(rows, query) {
  const sorts = rows.size.studied ? SORTS : SORTS.slice(0, 2);
  const sort = query.get('sort') ?? 'spread';
  const down = query.get('order') ? query.get('order') === 'down' : downAtFirst(sort);
  const fields = [select('sort', 'Order', sorts, sort, query)];
  if (!['spread', 'table'].includes(sort)) {
    const orders = [
      ['down', 'greatest first'],
      ['up', 'least first'],
    ];
    fields.push(select('order', 'Direction', orders, down ? 'down' : 'up', query));
  }
  return h('div', { class: 'sorting' }, ...fields);
}

/** Go to the selection with some values changed; from its first page. */
function change(query, values) {
  const next = new URLSearchParams(query);
  next.delete('page');
  for (const [name, value] of Object.entries(values)) {
    for (const other of CLEARS[name] ?? []) next.delete(other);
    if (name === 'sort') next.delete('order');
    if (value === '') next.delete(name);
    else next.set(name, value);
  }
  const chosen = new URLSearchParams();
  for (const name of ['size', ...FILTERS, 'sort', 'order']) {
    if (next.get(name)) chosen.set(name, next.get(name));
  }
  go(['kernels'], chosen);
}

function select(name, text, options, value, query) {
  const on = { change: ({ target }) => change(query, { [name]: target.value }) };
  const own = h('select', { id: `filter-${name}`, name, on });
  for (const [option, words] of options) own.append(h('option', { value: option, text: words }));
  own.value = value;
  return h('label', { class: 'field' }, h('span', { text }), own);
}

/** Shapes, their directions, and the clusters of what has no name, in one field. */
function shapes(rows, query) {
  const { cells } = rows.size;
  const chosen = ['cell', 'label', 'shape'].find((name) => query.get(name));
  const set = ({ target }) => {
    const [name, value] = target.value.split(/:(.*)/s);
    change(query, { shape: '', label: '', cell: '', ...(name && { [name]: value }) });
  };
  const own = h('select', { id: 'filter-shape', name: 'shape', on: { change: set } });
  const add = (name, value, text) => own.append(h('option', { value: `${name}:${value}`, text }));
  own.append(h('option', { value: '', text: 'all' }));
  let last = null;
  for (const { label, shape } of cells) {
    if (shape === last && label === shape) continue;
    if (shape !== last) add('shape', shape, shape === 'other' ? 'no name' : shape);
    if (label !== shape) add('label', label, `  ${named(label)}`);
    last = shape;
  }
  const nameless = [...cells.keys()].filter((n) => cells[n].shape === 'other');
  nameless.forEach((n, number) => add('cell', n, `  no name, cluster ${number + 1}`));
  own.value = chosen ? `${chosen}:${query.get(chosen)}` : '';
  return h('label', { class: 'field' }, h('span', { text: 'Shape' }), own);
}

/** Identified or not, and why not, in one field. */
function identified(query) {
  const set = ({ target }) => {
    const reason = REASONS.includes(target.value) ? target.value : '';
    change(query, { identified: reason ? '' : target.value, reason });
  };
  const own = h('select', { id: 'filter-identified', name: 'identified', on: { change: set } });
  for (const [value, text] of [
    ['', 'all'],
    ['yes', 'yes'],
    ['no', 'no'],
    ...REASONS.map((reason) => [reason, `no: ${reason}`]),
  ]) {
    own.append(h('option', { value, text }));
  }
  own.value = query.get('reason') ?? query.get('identified') ?? '';
  return h('label', { class: 'field' }, h('span', { text: 'Identified' }), own);
}

/** Two numbers: from, and up to. */
function range(name, text, query) {
  const ends = [
    [name, 'from'],
    [`${name}_to`, 'to'],
  ].map(([own, word]) =>
    h('input', {
      id: `filter-${own}`,
      name: own,
      type: 'number',
      min: 0,
      max: name === 'r2' ? 1 : 2,
      step: 'any',
      value: query.get(own),
      placeholder: word,
      'aria-label': `${text}, ${word}`,
      on: { change: ({ target }) => change(query, { [own]: target.value }) },
    }),
  );
  return h('fieldset', { class: 'field range' }, h('legend', { text }), h('div', {}, ...ends));
}

function stop(event) {
  event.preventDefault();
}

/** Say how many filters are set: the heading of the form where it is folded. */
export function summary(query) {
  const set = FILTERS.filter((name) => query.get(name)).length;
  return set ? `Filters (${count(set, 'filter')} set)` : 'Filters';
}
