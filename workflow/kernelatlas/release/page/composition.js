/** The kernels of a network, layer by layer, by shape or by why they are not identified. */

/**
 * Count the kernels of each layer of a network; reads two columns of its kernels.
 * @param {Rows} rows of a studied size.
 * @param {number} i which network of the size.
 * @returns {Promise<{layer: object, counts: Object<string, number>}[]>}
 */
export async function composition(rows, i, signal) {
  const cells = [...rows.size.cells.keys()];
  const ranges = cells.map((cell) => rows.range(cell, i));
  const [layers, starts, { dissimilarity, fit }] = await Promise.all([
    rows.layers(i),
    rows.layerStarts(
      cells.map((cell) => [cell, i]),
      signal,
    ),
    rows.columns(ranges, ['dissimilarity', 'fit'], signal),
  ]);
  const found = layers.map((layer) => ({ layer, counts: {} }));
  for (const cell of cells) {
    const first = ranges[cell][0];
    const { shape } = rows.size.cells[cell];
    for (const [l, { counts }] of found.entries()) {
      for (let row = starts[cell][l]; row < starts[cell][l + 1]; row += 1) {
        const n = row - first;
        const part = rows.reason(cell, dissimilarity[cell][n], fit[cell][n]) ?? shape;
        counts[part] = (counts[part] ?? 0) + 1;
      }
    }
  }
  return found;
}

/** Add up counts. */
export function together(list) {
  const sum = {};
  for (const counts of list) {
    for (const [part, n] of Object.entries(counts)) sum[part] = (sum[part] ?? 0) + n;
  }
  return sum;
}
