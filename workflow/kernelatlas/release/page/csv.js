/** A selection as a file of comma-separated values, with the keys into the workflow's tables. */

import { h } from './dom.js';
import { announce, problem } from './main.js';
import { COLUMNS } from './selection.js';
import { count, percent } from './words.js';

const KEY = ['model', 'layer', 'layer_index', 'channel'];
const STUDIED = [
  'k',
  'label',
  'agreement',
  'dissimilarity',
  'identified',
  'reason',
  'function',
  'form',
  'r2',
];
const NOT_STUDIED = ['kh', 'kw'];

/**
 * Write the kernels of a selection, network by network, layer by layer, channel by channel.
 * @param {Selection} selection
 * @param {Ranges} ranges of the selection.
 * @returns {AsyncGenerator<{text: string, share: number, kernels: number}>}
 */
export async function* csv(selection, ranges, signal) {
  const { rows } = selection;
  const columns = rows.size.studied ? STUDIED : NOT_STUDIED;
  yield { text: `${[...KEY, ...columns].join(',')}\n`, share: 0, kernels: 0 };
  const numbers = selection.runs.flatMap(([from, to]) =>
    Array.from({ length: to - from }, (_, n) => from + n),
  );
  let seen = 0;
  for (const i of numbers) {
    const { lines, looked } = await ofNetwork(selection, i, signal);
    seen += looked;
    const share = ranges.length ? seen / ranges.length : 1;
    yield { text: lines.join(''), share: Math.min(share, 1), kernels: lines.length };
  }
}

/** Write the kernels of a network. */
async function ofNetwork(selection, i, signal) {
  const { rows, cells, filters, test, tests } = selection;
  const layers = await rows.layers(i);
  const chosen = layers.filter(({ name }) => !filters.layer || name === filters.layer);
  const ranges = cells.map((cell) => rows.range(cell, i));
  const array = await rows.store.array(rows.name, 'cells');
  const begin = chosen[0].first;
  const end = chosen.at(-1).first + chosen.at(-1).channels;
  const [owners, starts, levels] = await Promise.all([
    array.rows(begin, end, signal),
    rows.layerStarts(
      cells.map((cell) => [cell, i]),
      signal,
    ),
    rows.columns(ranges, rows.size.studied ? COLUMNS : [], signal),
  ]);
  const place = new Map(cells.map((cell, n) => [cell, n]));
  const describe = describer(rows);
  const lines = [];
  let looked = 0;
  for (const layer of chosen) {
    const next = starts.map((own) => own[layers.indexOf(layer)]);
    const key = [rows.network(i).name, layer.name, layer.index].map(quoted).join(',');
    for (let channel = 0; channel < layer.channels; channel += 1) {
      const cell = owners[layer.first - begin + channel];
      const n = place.get(cell);
      if (n === undefined) continue;
      const at = next[n] - ranges[n][0];
      next[n] += 1;
      looked += 1;
      const own = COLUMNS.map((name) => levels[name]?.[n][at]);
      if (!tests || test(cell, ...own)) lines.push(`${key},${channel},${describe(cell, own)}\n`);
    }
  }
  return { lines, looked };
}

/** Return the function that writes what is known of a kernel beside its key. */
function describer(rows) {
  const { size } = rows;
  if (!size.studied) return () => `${size.height},${size.width}`;
  const { levels: agreements } = rows.store.index.agreement;
  return (cell, [dissimilarity, fit, r2]) => {
    const { label } = size.cells[cell];
    const reason = rows.reason(cell, dissimilarity, fit);
    const degenerate = label === 'degenerate';
    const own = size.fits[Math.floor(fit / agreements.length)];
    const values = [
      size.height,
      label,
      degenerate ? '' : agreements[fit % agreements.length].toFixed(3),
      degenerate ? '' : rows.dissimilarity(dissimilarity).toFixed(4),
      reason === null ? 'True' : 'False',
      reason ?? '',
      own?.function ?? '',
      own?.form ?? '',
      rows.r2(r2)?.toFixed(3) ?? '',
    ];
    return values.map(quoted).join(',');
  };
}

function quoted(value) {
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Make the button that downloads a selection, and shows how far it is. */
export function download(selection, ranges) {
  const start = h('button', {
    type: 'button',
    id: 'csv',
    text: 'Download as CSV',
    disabled: !ranges.length,
    title: 'All kernels of this selection, with their keys into the tables',
  });
  const told = h('span', { id: 'csv-told', class: 'told' });
  start.addEventListener('click', async () => {
    const controller = new AbortController();
    const progress = h('progress', { max: 1, value: 0, 'aria-label': 'Written' });
    const end = h('button', {
      type: 'button',
      id: 'csv-stop',
      text: 'Stop',
      on: { click: () => controller.abort() },
    });
    start.hidden = true;
    told.replaceChildren(progress, ' ', end);
    try {
      const kernels = await save(selection, ranges, progress, controller.signal);
      told.textContent = `${count(kernels, 'kernel')} written.`;
    } catch (error) {
      told.replaceChildren(
        controller.signal.aborted ? `Stopped at ${percent(progress.value, 0)}.` : problem(error),
      );
    }
    announce(told.textContent);
    start.hidden = false;
  });
  return [start, told];
}

/** Write a selection to a file that the browser saves; return how many kernels it has. */
async function save(selection, ranges, progress, signal) {
  const parts = [];
  let kernels = 0;
  for await (const part of csv(selection, ranges, signal)) {
    signal.throwIfAborted();
    // As a blob of its own a part need not stay in the page's memory.
    parts.push(new Blob([part.text]));
    kernels += part.kernels;
    progress.value = part.share;
  }
  const address = URL.createObjectURL(new Blob(parts, { type: 'text/csv' }));
  h('a', { href: address, download: `kernels_${selection.rows.name}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  return kernels;
}
