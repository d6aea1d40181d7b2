/** Kernels as images: a pixel a weight, red above the kernel's mean and blue below, as in figures. */

import { h } from './dom.js';

const NOT_FINITE = [128, 128, 128];

/**
 * Return the colours of kernels as RGBA pixels.
 * @param {ArrayLike<number>} weights height · width values; NaN where not finite.
 * @param {number[][]} colours 256 of [red, green, blue]: `index.kernel_map`.
 * @param {{mean: number, limit: number}} [scale] the value of the middle colour, and how far from it
 *     the last ones are; the kernel's own without it.
 * @returns {Uint8ClampedArray} 4 bytes a weight, symmetric about the mean.
 */
export function pixels(weights, colours, { mean, limit } = scaleOf(weights)) {
  const image = new Uint8ClampedArray(4 * weights.length);
  for (let i = 0; i < weights.length; i += 1) {
    const share = (weights[i] - mean) / limit / 2 + 0.5;
    const level = Math.min(Math.max(Math.floor(share * 256), 0), 255);
    image.set(Number.isFinite(weights[i]) ? colours[level] : NOT_FINITE, 4 * i);
    image[4 * i + 3] = 255;
  }
  return image;
}

/** Return the mean of the weights that are finite, and the greatest distance from it. */
export function scaleOf(weights) {
  const finite = Array.prototype.filter.call(weights, Number.isFinite);
  const mean = finite.reduce((sum, weight) => sum + weight, 0) / Math.max(finite.length, 1);
  const limit = finite.reduce((most, weight) => Math.max(most, Math.abs(weight - mean)), 1e-12);
  return { mean, limit };
}

/**
 * Make a canvas with a pixel a weight; the style sheet enlarges it without smoothing (class tile).
 * @param {ArrayLike<number>} weights height · width values.
 */
export function tile(weights, height, width, colours, scale = scaleOf(weights)) {
  const canvas = h('canvas', { class: 'tile', width, height, 'aria-hidden': 'true' });
  canvas
    .getContext('2d')
    .putImageData(new ImageData(pixels(weights, colours, scale), width, height), 0, 0);
  return canvas;
}

/** Draw kernels below one another on a canvas of a pixel a weight: what `sheet` takes them from. */
export function strip(list, height, width, colours) {
  const canvas = h('canvas', { width, height: Math.max(height * list.length, 1) });
  const image = new ImageData(canvas.width, canvas.height);
  list.forEach((weights, n) => image.data.set(pixels(weights, colours), 4 * n * height * width));
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas;
}

/**
 * Draw the kernels of a strip on one canvas, without smoothing: much quicker than a canvas each.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLCanvasElement} from made by `strip`.
 * @param {{left: number, top: number, width: number, height: number}[]} boxes of the kernels, in
 *     pixels of the page.
 * @param {{width: number, height: number}} size of the canvas, in pixels of the page.
 */
export function sheet(canvas, from, boxes, size) {
  const scale = devicePixelRatio;
  const high = from.height / boxes.length;
  canvas.width = Math.round(size.width * scale);
  canvas.height = Math.round(size.height * scale);
  canvas.style.width = `${canvas.width / scale}px`;
  canvas.style.height = `${canvas.height / scale}px`;
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  boxes.forEach((box, n) => {
    const [left, top] = [Math.round(box.left * scale), Math.round(box.top * scale)];
    const right = Math.round((box.left + box.width) * scale);
    const bottom = Math.round((box.top + box.height) * scale);
    context.drawImage(from, 0, n * high, from.width, high, left, top, right - left, bottom - top);
  });
}

/** Return the weights of int8 values up to their scale, which colours do not need: −128 is NaN. */
export function unscaled(values) {
  return Float32Array.from(values, (value) => (value === -128 ? NaN : value));
}
