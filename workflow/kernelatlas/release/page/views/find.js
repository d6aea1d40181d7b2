/** Find kernels by drawing: paint one or paste its numbers, and see the nearest of all kernels. */

import { namesSection } from '../find_names.js';
import { ResultsSection } from '../find_results.js';
import { centre } from '../fits.js';
import { h, link } from '../dom.js';
import { tile } from '../draw.js';
import { go, problem } from '../main.js';
import { Painter } from '../painter.js';
import { mirrored, parseKernel, pixels, rotated, scaled, toText } from '../painting.js';
import { rowsOf } from '../rows.js';
import { named, times } from '../words.js';

const PAUSE = 200; // milliseconds before the search follows the brush

export async function show(element, state, data) {
  const sizes = Object.keys(data.index.sizes);
  const { size: name, values, error } = given(state.query, sizes);
  const rows = await rowsOf(data, name);
  const view = new View(rows, values, state);
  element.replaceChildren(...(error ? [problem(error)] : []), ...view.elements(sizes));
  await view.changed();
}

/** The size and the kernel of an address; what is wrong with it, if something is. */
function given(query, sizes) {
  const text = query.get('kernel');
  const size = query.get('size') ?? sizes[0];
  if (!text) return { size, values: null };
  try {
    const kernel = parseKernel(text, sizes);
    const own = kernel.values.length === pixels(size) ? size : kernel.size;
    const small = kernel.values.every((value) => Math.abs(value) <= 1);
    return { size: own, values: small ? kernel.values : scaled(centre(kernel.values)) };
  } catch (error) {
    return { size, values: null, error };
  }
}

class View {
  constructor(rows, values, state) {
    const { height, width } = rows.size;
    Object.assign(this, { rows, size: rows.size, index: rows.store.index, signal: state.signal });
    this.either = state.query.get('sign') === 'any';
    const start = { height, width, values: values ?? new Array(height * width).fill(0) };
    const brush = () => Number(this.brush.value);
    this.painter = new Painter(
      start,
      (value) => this.#colour(value),
      brush,
      () => this.#later(),
    );
  }

  elements(sizes) {
    this.names = namesSection(this.rows, this.signal);
    this.results = new ResultsSection(this.rows, this.signal, (either) => {
      this.either = either;
      this.changed();
    });
    this.wrong = h('div');
    return [
      h('h1', { tabindex: -1, text: 'Find kernels like one' }),
      h('p', {
        class: 'lead',
        text:
          'Paint a kernel, begin with a prototype, or paste numbers: the most similar kernels of ' +
          'the results follow.',
      }),
      h(
        'div',
        { class: 'find' },
        h(
          'section',
          { class: 'paint', 'aria-labelledby': 'paint' },
          h('h2', { id: 'paint', text: 'The kernel' }),
          ...this.#tools(sizes),
        ),
        h(
          'div',
          { class: 'found' },
          this.wrong,
          this.results.element(this.either),
          this.names?.element,
        ),
      ),
    ];
  }

  #tools(sizes) {
    const { height, width } = this.size;
    this.brush = h('input', { type: 'range', id: 'brush', min: -1, max: 1, step: 0.05, value: 1 });
    const shown = h('output', { for: 'brush', text: '1' });
    const swatch = h('span', { class: 'swatch', 'aria-hidden': 'true' });
    const tell = () => {
      shown.textContent = Number(this.brush.value).toFixed(2).replace('-', '−');
      swatch.style.backgroundColor = this.#colour(Number(this.brush.value));
    };
    this.brush.addEventListener('input', tell);
    tell();
    const change = (text, make) =>
      h('button', {
        type: 'button',
        text,
        on: { click: () => this.#set(make(this.painter.values)) },
      });
    return [
      h(
        'nav',
        { class: 'choice', 'aria-label': 'Size' },
        h('span', { text: 'Size ' }),
        ...sizes.map((name) =>
          h('a', {
            href: link(['find'], { size: name }),
            'aria-current': name === this.rows.name ? 'true' : null,
            text: times(name),
          }),
        ),
      ),
      this.painter.element,
      h('p', {
        class: 'muted small',
        id: 'painter-keys',
        text:
          'The pointer paints the brush’s value, with Shift or the right button its opposite. ' +
          'Arrow keys move, + and − raise and lower, Space paints, 0 clears.',
      }),
      h(
        'p',
        { class: 'brush' },
        h('label', { for: 'brush', text: 'Brush' }),
        this.brush,
        swatch,
        shown,
      ),
      h(
        'p',
        { class: 'actions' },
        change('Clear', (values) => values.map(() => 0)),
        change('Invert', (values) => values.map((value) => 0 - value)),
        height === width ? change('Rotate', (values) => rotated(values, width)) : null,
        change('Mirror', (values) => mirrored(values, width)),
      ),
      this.#presets(),
      this.#paste(sizes),
    ];
  }

  /** Prototypes to begin with. */
  #presets() {
    const { height, width, cells } = this.size;
    const buttons = cells
      .filter(({ prototype, label }) => prototype && label !== 'degenerate')
      .map(({ prototype, label }) =>
        h(
          'button',
          {
            type: 'button',
            'aria-label': `Begin with the prototype of ${named(label)}`,
            title: named(label),
            on: { click: () => this.#set(scaled(prototype)) },
          },
          tile(prototype, height, width, this.index.kernel_map),
        ),
      );
    if (buttons.length === 0) return null;
    return h(
      'details',
      { class: 'presets', open: true },
      h('summary', { text: 'Prototypes' }),
      h('div', {}, buttons),
    );
  }

  #paste(sizes) {
    const input = h('textarea', {
      id: 'numbers',
      rows: 4,
      spellcheck: 'false',
      'aria-describedby': 'numbers-how',
    });
    const wrong = h('div');
    const read = () => {
      try {
        const { size, values } = parseKernel(input.value, sizes);
        const kernel = scaled(centre(values));
        wrong.replaceChildren();
        input.removeAttribute('aria-invalid');
        if (size === this.rows.name) this.#set(kernel);
        else go(['find'], { size, kernel: toText(kernel), sign: this.either ? 'any' : null });
      } catch (error) {
        input.setAttribute('aria-invalid', 'true');
        wrong.replaceChildren(problem(error));
      }
    };
    return h(
      'details',
      { class: 'paste' },
      h('summary', { text: 'Paste numbers' }),
      h('label', { for: 'numbers', text: 'Weights, row by row' }),
      input,
      h('p', {
        class: 'muted small',
        id: 'numbers-how',
        text:
          'With spaces, commas or lines between them, or as a list of JSON or Python. Their mean ' +
          'is taken off, and their scale does not matter.',
      }),
      wrong,
      h('button', { type: 'button', text: 'Use these numbers', on: { click: read } }),
    );
  }

  #colour(value) {
    const colours = this.index.kernel_map;
    return `rgb(${colours[Math.min(Math.floor(((value + 1) / 2) * 256), 255)].join(' ')})`;
  }

  #set(values) {
    this.painter.set(values);
    this.changed();
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.changed(), PAUSE);
  }

  /** Search for the kernel that is there now, and put it into the address. */
  async changed() {
    clearTimeout(this.timer);
    if (this.signal.aborted) return;
    const { values } = this.painter;
    const blank = values.every((value) => value === values[0]);
    const kernel = blank ? null : toText(values);
    const query = { size: this.rows.name, kernel, sign: this.either ? 'any' : null };
    history.replaceState(history.state, '', link(['find'], query));
    const kept = blank ? null : [...values];
    try {
      await Promise.all([this.results.show(kept, this.either), this.names?.show(kept)]);
      this.wrong.replaceChildren();
    } catch (error) {
      if (!this.signal.aborted) this.wrong.replaceChildren(problem(error));
    }
  }
}
