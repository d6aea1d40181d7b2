/** The picture of a whole curve: decoded kernels, how many kernels are where, and names. */

import { h } from './dom.js';
import { pixels } from './draw.js';

const [HEIGHT, BAND] = [72, 8]; // pixels of the bars, and of the names below
const TICKS = [0, 0.25, 0.5, 0.75, 1];
const WIDE = 44; // pixels of the page for a decoded kernel, about

/** The shape of a label. */
export const shapeOf = (label) => label.split(' ')[0];

/** The names of a curve's points, how many kernels are there, and its decoded kernels. */
export class Chart {
  /**
   * @param {object} size of the index
   * @param {object} index
   * @param {(point: number) => void} chosen is called with the point of a click
   */
  constructor(size, index, chosen) {
    Object.assign(this, { size, index });
    this.strip = h('canvas', { class: 'tile strip' });
    this.bars = h('canvas', { class: 'bars', width: size.points, height: HEIGHT + BAND });
    this.marker = h('div', { class: 'marker' });
    this.ticks = h(
      'div',
      { class: 'ticks' },
      TICKS.map((at) => h('span', { text: at, style: { left: `${100 * at}%` } })),
    );
    this.element = h(
      'div',
      { class: 'curve-chart', 'aria-hidden': 'true' },
      this.strip,
      this.bars,
      this.ticks,
      this.marker,
    );
    this.element.addEventListener('click', (event) => {
      const { left, width } = this.bars.getBoundingClientRect();
      const share = (event.clientX - left) / width;
      chosen(Math.min(Math.max(Math.floor(share * size.points), 0), size.points - 1));
    });
    new ResizeObserver(() => this.#drawStrip()).observe(this.element);
  }

  /**
   * Show the curve of a seed.
   *
   * @param {Curve} curve
   * @param {Uint8Array} labels of its points, indices into `index.labels`
   * @param {Uint32Array} counts of kernels of its points
   */
  show(curve, labels, counts) {
    this.curve = curve;
    this.#drawStrip();
    const context = this.bars.getContext('2d');
    context.clearRect(0, 0, this.bars.width, this.bars.height);
    const most = counts.reduce((one, other) => Math.max(one, other), 1);
    counts.forEach((count, point) => {
      context.fillStyle = this.index.colours[shapeOf(this.index.labels[labels[point]])];
      const high = Math.round((count / most) * (HEIGHT - 4));
      context.fillRect(point, HEIGHT - 2 - high, 1, high);
      context.fillRect(point, HEIGHT, 1, BAND);
    });
  }

  /** Mark a point. */
  mark(point) {
    this.marker.style.left = `${(100 * (point + 0.5)) / this.size.points}%`;
  }

  #drawStrip() {
    const { height, width, points } = this.size;
    const number = Math.max(4, Math.round(this.element.clientWidth / WIDE));
    if (!this.curve) return;
    this.strip.width = number * (width + 1) - 1;
    this.strip.height = height;
    const context = this.strip.getContext('2d');
    for (let i = 0; i < number; i += 1) {
      const values = this.curve.points[Math.floor(((i + 0.5) * points) / number)];
      const image = new ImageData(pixels(values, this.index.kernel_map), width, height);
      context.putImageData(image, i * (width + 1), 0);
    }
  }
}
