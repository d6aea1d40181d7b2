/**
 * The decoded curves of all seeds, and the reconstruction of a kernel from them.
 *
 * As `kernelatlas.clustering.curve`: a kernel's code is that of the most similar point of a curve,
 * its reconstruction the mean of all points with the weights exp(κ cos).
 */

import { dot, unit } from './fits.js';

const known = new WeakMap(); // values -> curves
const WHOLE = 32767; // of the stored 16-bit values of unit vectors

/** The curve of one seed. */
export class Curve {
  /**
   * @param {Int16Array} values of m points, k·k each, times `WHOLE`
   * @param {number} pixels of a kernel
   * @param {{seed: number, concentration: number}} training κ is the concentration
   */
  constructor(values, pixels, { seed, concentration }) {
    Object.assign(this, { seed, concentration });
    this.points = Array.from({ length: values.length / pixels }, (_, point) =>
      Float64Array.from(values.subarray(point * pixels, (point + 1) * pixels), (v) => v / WHOLE),
    );
  }

  /** The code of a point: the middle of one of m equal intervals of [0, 1]. */
  code(point) {
    return (point + 0.5) / this.points.length;
  }

  /**
   * Reconstruct a centred kernel of norm 1.
   *
   * @returns {{point: number, dissimilarity: number, mean: Float64Array}} the most similar point,
   *   1 − cos to it, and the weighted mean of all points, of norm 1
   */
  draw(kernel) {
    const cosines = this.points.map((point) => dot(point, kernel));
    const best = Math.max(...cosines);
    const mean = new Float64Array(kernel.length);
    this.points.forEach((point, i) => {
      const weight = Math.exp((cosines[i] - best) * this.concentration);
      for (let j = 0; j < mean.length; j++) mean[j] += weight * point[j];
    });
    return { point: cosines.indexOf(best), dissimilarity: 1 - best, mean: toUnit(mean) };
  }
}

function toUnit(values) {
  const norm = Math.max(Math.sqrt(dot(values, values)), 1e-12);
  return values.map((value) => value / norm);
}

/**
 * The curves of all seeds of a size.
 *
 * @param {Int16Array} values of all seeds, one after the other
 * @param {{height: number, width: number, seeds_curves: object[]}} size of the index
 * @returns {Curve[]}
 */
export function curves(values, size) {
  if (!known.has(values)) {
    const each = values.length / size.seeds_curves.length;
    const every = size.seeds_curves.map((training, i) => {
      const own = values.subarray(i * each, (i + 1) * each);
      return new Curve(own, size.height * size.width, training);
    });
    known.set(values, every);
  }
  return known.get(values);
}

/**
 * Reconstruct a kernel by the curves of all seeds.
 *
 * @param {Curve[]} every
 * @param {ArrayLike<number>} weights that are not all the same
 * @returns {{seeds: object[], dissimilarity: number, mean: Float64Array}} what each curve draws,
 *   the mean of their dissimilarities, and the mean of their reconstructions, of norm 1
 */
export function reconstruct(every, weights) {
  const kernel = unit(weights);
  const seeds = every.map((curve) => curve.draw(kernel));
  const mean = new Float64Array(kernel.length);
  for (const { mean: own } of seeds) own.forEach((value, i) => (mean[i] += value));
  const dissimilarity = seeds.reduce((sum, drawn) => sum + drawn.dissimilarity, 0) / seeds.length;
  return { seeds, dissimilarity, mean: toUnit(mean) };
}

/**
 * The cell whose prototype is nearest to a kernel, by cosine.
 *
 * @param {object[]} cells of a size
 * @returns {{cell: number, cosine: number} | null} null if no cell has a prototype
 */
export function nearestPrototype(cells, kernel) {
  const from = unit(kernel);
  let best = null;
  cells.forEach(({ prototype }, cell) => {
    const cosine = prototype ? dot(unit(prototype), from) : -Infinity;
    if (prototype && !(best && best.cosine >= cosine)) best = { cell, cosine };
  });
  return best;
}
