/** Kernels as images: a pixel a weight, red above the kernel's mean and blue below, as in figures. */

import { h } from './dom.js';

const NOT_FINITE = [128, 128, 128];

/**
 * Return the colours of kernels as RGBA pixels.
 * @param {ArrayLike<number>} weights height · width values; NaN where not finite.
 * @param {number[][]} colours 256 of [red, green, blue]: `index.kernel_map`.
 * @returns {Uint8ClampedArray} 4 bytes a weight, symmetric about the kernel's mean.
 */
export function pixels(weights, colours) {
  const finite = Array.prototype.filter.call(weights, Number.isFinite);
  const mean = finite.reduce((sum, weight) => sum + weight, 0) / Math.max(finite.length, 1);
  const limit = finite.reduce((most, weight) => Math.max(most, Math.abs(weight - mean)), 1e-12);
  const image = new Uint8ClampedArray(4 * weights.length);
  for (let i = 0; i < weights.length; i += 1) {
    const share = (weights[i] - mean) / limit / 2 + 0.5;
    const level = Math.min(Math.floor(share * 256), 255);
    image.set(Number.isFinite(weights[i]) ? colours[level] : NOT_FINITE, 4 * i);
    image[4 * i + 3] = 255;
  }
  return image;
}

/**
 * Make a canvas with a pixel a weight; the style sheet enlarges it without smoothing (class tile).
 * @param {ArrayLike<number>} weights height · width values.
 */
export function tile(weights, height, width, colours) {
  const canvas = h('canvas', { class: 'tile', width, height, 'aria-hidden': 'true' });
  canvas.getContext('2d').putImageData(new ImageData(pixels(weights, colours), width, height), 0, 0);
  return canvas;
}

/** Return the weights of int8 values up to their scale, which colours do not need: −128 is NaN. */
export function unscaled(values) {
  return Float32Array.from(values, (value) => (value === -128 ? NaN : value));
}
