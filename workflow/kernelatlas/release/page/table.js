/** Tables whose columns sort them. */

import { h, link } from './dom.js';

/**
 * Make a table.
 * @param {string} id
 * @param {string} caption
 * @param {object[]} columns {id, text, cell: row => Node|string, value: row => number|string,
 *     number: whether it is set to the right and sorted from the greatest down at first, wrap:
 *     whether its texts are broken into lines, title}; a
 *     column without `value` does not sort.
 * @param {object[]} rows
 * @param {{sort: ?string, order: ?string}} state the column that sorts, and `up` or `down`.
 * @param {(sort: string, order: string) => void} onSort tells that a reader chose another.
 */
export function table(id, caption, columns, rows, state, onSort) {
  const sorting = columns.find((column) => column.value && column.id === state.sort);
  const order = state.order ?? (sorting?.number ? 'down' : 'up');
  const head = columns.map((column) => {
    const current = column === sorting;
    const options = { scope: 'col', class: column.number ? 'number' : null, title: column.title };
    if (!column.value) return h('th', { ...options, text: column.text });
    const next = current ? (order === 'up' ? 'down' : 'up') : column.number ? 'down' : 'up';
    const mark = current ? (order === 'up' ? '▲' : '▼') : '↕';
    const button = h(
      'button',
      {
        type: 'button',
        id: `${id}-${column.id}`,
        class: 'sort',
        on: { click: () => onSort(column.id, next) },
      },
      column.text,
      h('span', { class: current ? 'arrow current' : 'arrow', 'aria-hidden': 'true', text: mark }),
    );
    const sorted = current ? (order === 'up' ? 'ascending' : 'descending') : null;
    return h('th', { ...options, 'aria-sort': sorted }, button);
  });
  const shown = sorting ? sortedBy(rows, sorting.value, order) : rows;
  const body = shown.map((row) =>
    h(
      'tr',
      {},
      ...columns.map((column, n) => {
        const content = column.cell(row);
        const options = { class: column.number ? 'number' : column.wrap ? 'wrap' : null };
        return n ? h('td', options, content) : h('th', { scope: 'row' }, content);
      }),
    ),
  );
  const own = h(
    'table',
    { id },
    h('caption', { class: 'unseen', text: caption }),
    h('thead', {}, h('tr', {}, ...head)),
    h('tbody', {}, ...body),
  );
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, own);
}

/** Return the columns of rows that have a `network`: its name and family, which lead to them. */
export function networkColumns(size) {
  return [
    {
      id: 'network',
      text: 'Network',
      value: ({ network }) => network.name,
      cell: ({ network }) =>
        h('a', { href: link(['networks', network.name], { size }), text: network.name }),
    },
    {
      id: 'family',
      text: 'Family',
      value: ({ network }) => network.family,
      cell: ({ network }) =>
        h('a', { href: link(['networks'], { size, family: network.family }), text: network.family }),
    },
  ];
}

/** Sort rows by a value; those without one come last. */
function sortedBy(rows, value, order) {
  const sign = order === 'up' ? 1 : -1;
  const missing = (x) => x === null || x === undefined || Number.isNaN(x);
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    return sign * (typeof x === 'string' ? x.localeCompare(y, 'en', { numeric: true }) : x - y);
  });
}
