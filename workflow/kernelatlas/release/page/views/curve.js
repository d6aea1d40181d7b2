/** The curve of a size: what the decoder draws along the code, and the kernels that are there. */

import { curves } from '../curve.js';
import { Chart, shapeOf } from '../curve_chart.js';
import { nextStretch, rowsAround } from '../curve_places.js';
import { h, link } from '../dom.js';
import { tile } from '../draw.js';
import { problem } from '../main.js';
import { mosaic } from '../mosaic.js';
import { showRows } from '../near.js';
import { rowsOf } from '../rows.js';
import { Problem } from '../store.js';
import { count, named, times, whole } from '../words.js';

const PAUSE = 250; // milliseconds before kernels follow the slider
const TOUR = 30_000; // milliseconds along the whole curve
const PLAY = '▶ Play';
const AROUND = [3, 6, 9, 12]; // points on each side that are drawn beside the present one

export async function show(element, state, data) {
  const studied = Object.keys(data.index.sizes).filter((name) => data.index.sizes[name].studied);
  if (studied.length === 0) throw new Problem('These results have no curves.');
  const name = state.query.get('size') ?? studied[0];
  const size = data.size(name);
  if (!size.studied) {
    throw new Problem(
      `Kernels of ${times(name)} are not studied, and have no curve: choose another size.`,
    );
  }
  const names = ['curve', 'point_labels', 'point_counts', 'point_rows'];
  const arrays = await Promise.all(names.map((each) => data.array(name, each)));
  const [values, labels, counts] = await Promise.all(
    arrays.slice(0, 3).map((array) => array.whole()),
  );
  const rows = await rowsOf(data, name);
  const view = new View(state, rows, {
    every: curves(values, size),
    labels,
    counts,
    examples: arrays[3],
  });
  element.replaceChildren(...view.elements(studied));
  view.seed(view.number);
  await view.kernels();
}

class View {
  constructor(state, rows, curve) {
    Object.assign(this, { rows, size: rows.size, index: rows.store.index, ...curve });
    this.signal = state.signal;
    const given = (key) => Number(state.query.get(key) ?? NaN);
    this.number = Math.max(
      0,
      this.every.findIndex(({ seed }) => seed === given('seed')),
    );
    const middle = Math.floor(this.size.points / 2);
    const last = this.size.points - 1;
    this.point = Math.min(
      Math.max(Number.isInteger(given('point')) ? given('point') : middle, 0),
      last,
    );
    this.read = new Map(); // seed -> promise of its rows of examples
  }

  elements(studied) {
    this.chart = new Chart(this.size, this.index, (point) => this.go(point));
    this.slider = h('input', {
      type: 'range',
      id: 'code',
      min: 0,
      max: this.size.points - 1,
      step: 1,
      class: 'code-slider',
    });
    this.slider.addEventListener('input', () => this.go(Number(this.slider.value)));
    this.slider.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') this.kernels();
    });
    this.picture = h('div', { class: 'decoded', role: 'img' });
    this.said = h('p', { class: 'here' });
    [this.before, this.after] = ['before', 'after'].map((side) =>
      h('div', { class: `around ${side}`, 'aria-hidden': 'true' }),
    );
    this.legend = h('ul', { class: 'legend' });
    this.status = h('p', { role: 'status' });
    this.list = mosaic('Kernels there');
    return [
      h('h1', { tabindex: -1, text: `The curve of ${times(this.rows.name)} kernels` }),
      h('p', {
        class: 'lead',
        text:
          'An autoencoder with a single number as its code was trained on the kernels of this ' +
          'size of all trained networks. Along the code its decoder draws one curve of kernels: a kernel’s code is that ' +
          'of the most similar point.',
      }),
      this.#controls(studied),
      h('div', { class: 'decoded-row' }, this.before, this.picture, this.after, this.said),
      h(
        'div',
        { class: 'along' },
        h('label', { for: 'code', class: 'unseen', text: 'Code' }),
        this.slider,
        this.chart.element,
      ),
      h('p', {
        class: 'muted small',
        text:
          'Bars: how many kernels of trained networks have which code; colours: the name of what is drawn there. A ' +
          'click moves there; a click on a name moves to the next stretch of that name.',
      }),
      this.legend,
      h(
        'section',
        { 'aria-labelledby': 'there' },
        h('h2', { id: 'there', text: 'Kernels there' }),
        this.status,
        this.list,
      ),
    ];
  }

  #controls(studied) {
    const sizes = studied.map((name) =>
      h('a', {
        href: link(['curve'], { size: name }),
        'aria-current': name === this.rows.name ? 'true' : null,
        text: times(name),
      }),
    );
    const seeds = this.every.map(({ seed }, i) => {
      const input = h('input', { type: 'radio', name: 'seed', value: seed });
      input.checked = i === this.number;
      input.addEventListener('change', () => {
        this.seed(i);
        this.#later();
      });
      return h('label', {}, input, ` ${seed}`);
    });
    this.play = h('button', { type: 'button', class: 'play', text: calm() ? 'Next name' : PLAY });
    this.play.addEventListener('click', () => this.#play());
    return h(
      'div',
      { class: 'controls' },
      h('nav', { class: 'choice', 'aria-label': 'Size' }, h('span', { text: 'Size ' }), ...sizes),
      h('fieldset', { class: 'choice' }, h('legend', { text: 'Seed' }), ...seeds),
      this.play,
    );
  }

  get curve() {
    return this.every[this.number];
  }

  /** What an array of all seeds says of the present one. */
  #own(array) {
    return array.subarray(this.number * this.size.points, (this.number + 1) * this.size.points);
  }

  #label(point) {
    return this.index.labels[this.#own(this.labels)[point]];
  }

  /** Show the curve of a seed. */
  seed(number) {
    this.number = number;
    this.chart.show(this.curve, this.#own(this.labels), this.#own(this.counts));
    this.#names();
    this.#here();
  }

  /** Go to a point. */
  go(point) {
    this.point = point;
    this.#here();
    this.#later();
  }

  #here() {
    const { height, width } = this.size;
    const [point, label] = [this.point, this.#label(this.point)];
    const kernels = count(this.#own(this.counts)[point], 'kernel');
    const code = this.curve.code(point).toFixed(4);
    const colours = this.index.kernel_map;
    this.picture.replaceChildren(tile(this.curve.points[point], height, width, colours));
    this.picture.setAttribute('aria-label', `Decoded kernel: ${named(label)}`);
    const colour = { '--colour': this.index.colours[shapeOf(label)] };
    const beside = (step) => {
      const values = this.curve.points[point + step];
      return values ? tile(values, height, width, colours) : h('span');
    };
    this.before.replaceChildren(...AROUND.toReversed().map((step) => beside(-step)));
    this.after.replaceChildren(...AROUND.map(beside));
    const badge = h('strong', { class: 'badge', style: colour, text: named(label) });
    this.said.replaceChildren(
      badge,
      h('span', { text: `code ${code}` }),
      h('span', { text: `${kernels} at this point` }),
    );
    this.slider.value = point;
    this.slider.setAttribute('aria-valuetext', `code ${code}, ${named(label)}, ${kernels}`);
    this.chart.mark(point);
  }

  /** Names with their colours; each goes to the next stretch of the name. */
  #names() {
    const shapes = Array.from(this.#own(this.labels), (label) => shapeOf(this.index.labels[label]));
    const present = this.index.shapes.filter((shape) => shapes.includes(shape));
    this.legend.replaceChildren(
      ...present.map((shape) => {
        const go = () => this.go(nextStretch(shapes, shape, this.point));
        const style = { '--colour': this.index.colours[shape] };
        const title = `${shape}: the next stretch`;
        const options = { type: 'button', class: 'badge', style, title, on: { click: go } };
        return h('li', {}, h('button', { ...options, text: shape }));
      }),
    );
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.kernels(), PAUSE);
  }

  /** Show the kernels whose codes are here, and put the place into the address. */
  async kernels() {
    clearTimeout(this.timer);
    if (this.signal.aborted) return;
    const { seed } = this.curve;
    const place = { size: this.rows.name, seed, point: this.point };
    history.replaceState(history.state, '', link(['curve'], place));
    this.latest?.abort();
    this.latest = new AbortController();
    const signal = AbortSignal.any([this.latest.signal, this.signal]);
    try {
      const { list, first, last } = await this.#rowsHere(signal);
      await showRows(
        this.list,
        this.rows,
        list.map((row) => ({ row })),
        signal,
      );
      if (signal.aborted) return;
      const among = this.#own(this.counts)
        .subarray(first, last + 1)
        .reduce((a, b) => a + b, 0);
      const [low, high] = [first, last + 1].map((at) => (at / this.size.points).toFixed(3));
      this.status.textContent =
        among > 0
          ? `${whole(list.length)} of the ${count(among, 'kernel')} with codes from ${low} to ` +
            `${high}, of as many networks as possible.`
          : `No kernel has a code from ${low} to ${high}.`;
    } catch (error) {
      if (!signal.aborted) this.status.replaceChildren(problem(error));
    }
  }

  /** Rows of kernels at this point and at those beside it. */
  async #rowsHere(signal) {
    if (!this.read.has(this.number)) {
      this.read.set(this.number, this.examples.rows(this.number, this.number + 1));
    }
    const examples = await this.read.get(this.number);
    signal.throwIfAborted();
    return rowsAround(examples, this.point, this.size);
  }

  #play() {
    if (calm()) {
      const shapes = Array.from(this.#own(this.labels), (label) =>
        shapeOf(this.index.labels[label]),
      );
      const next = shapes.findIndex((shape, i) => i > this.point && shape !== shapes[this.point]);
      this.go(Math.max(next, 0));
      return;
    }
    this.playing = !this.playing;
    this.play.textContent = this.playing ? '⏸ Pause' : PLAY;
    let before = performance.now();
    let place = this.point;
    const step = (now) => {
      if (!this.playing || this.signal.aborted) return;
      place = (place + ((now - before) / TOUR) * this.size.points) % this.size.points;
      before = now;
      this.point = Math.floor(place);
      this.#here();
      requestAnimationFrame(step);
    };
    if (this.playing) requestAnimationFrame(step);
    else this.#later();
  }
}

/** Whether the reader wants no motion. */
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
