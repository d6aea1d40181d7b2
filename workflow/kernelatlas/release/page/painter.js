/** A grid on which a kernel is painted with a pointer or with keys. */

const STEP = 0.25; // of the keys that raise and lower
const [LEAST, MOST] = [-1, 1];

const limited = (value) => Math.min(Math.max(value, LEAST), MOST);

/** A kernel of height × width pixels of −1 to 1. */
export class Painter {
  /**
   * @param {{height: number, width: number, values: number[]}} kernel
   * @param {(value: number) => string} colour of a value from −1 to 1, as CSS has it
   * @param {() => number} brush the value that the pointer paints
   * @param {() => void} changed is called after each change by hand
   */
  constructor({ height, width, values }, colour, brush, changed) {
    Object.assign(this, { height, width, values: [...values], colour, brush, changed });
    this.element = document.createElement('div');
    this.element.className = 'painter';
    this.element.style.setProperty('--columns', width);
    this.element.style.setProperty('--rows', height);
    this.element.setAttribute('role', 'grid');
    this.element.setAttribute('aria-label', `The kernel, ${height} rows of ${width} pixels`);
    this.element.setAttribute('aria-describedby', 'painter-keys');
    this.cells = [];
    for (let row = 0; row < height; row += 1) this.element.append(this.#row(row));
    this.cells[0].tabIndex = 0;
    this.values.forEach((_, i) => this.#show(i));
    this.#listen();
  }

  /** Show other values. */
  set(values) {
    this.values = [...values];
    this.values.forEach((_, i) => this.#show(i));
  }

  #row(number) {
    const row = document.createElement('div');
    row.setAttribute('role', 'row');
    for (let column = 0; column < this.width; column += 1) {
      const cell = document.createElement('div');
      cell.setAttribute('role', 'gridcell');
      cell.tabIndex = -1;
      this.cells.push(cell);
      row.append(cell);
    }
    row.setAttribute('aria-rowindex', number + 1);
    return row;
  }

  #show(i) {
    const value = this.values[i];
    const place = `row ${Math.floor(i / this.width) + 1}, column ${(i % this.width) + 1}`;
    this.cells[i].style.backgroundColor = this.colour(value);
    this.cells[i].setAttribute('aria-label', `${place}: ${Number(value.toFixed(2))}`);
  }

  #put(i, value) {
    if (this.values[i] === value) return;
    this.values[i] = value;
    this.#show(i);
    this.changed();
  }

  #focus(i) {
    for (const cell of this.cells) cell.tabIndex = -1;
    this.cells[i].tabIndex = 0;
    this.cells[i].focus();
  }

  #listen() {
    let painted = null; // the value that the pointer paints while it is down
    let before = null; // where it was
    const paint = ({ clientX: x, clientY: y }) => {
      // A pointer can be faster than its events: paint what is between them too.
      const from = before ?? [x, y];
      const half = this.cells[0].offsetWidth / 2;
      const steps = Math.max(1, Math.ceil(Math.hypot(x - from[0], y - from[1]) / half));
      let last = -1;
      for (let step = 1; step <= steps; step += 1) {
        const [left, top] = [x, y].map((to, i) => from[i] + ((to - from[i]) * step) / steps);
        last = this.cells.indexOf(document.elementFromPoint(left, top));
        if (last >= 0) this.#put(last, painted);
      }
      before = [x, y];
      return last;
    };
    this.element.addEventListener('pointerdown', (event) => {
      painted = event.button === 0 && !event.shiftKey ? this.brush() : -this.brush();
      before = null;
      this.element.setPointerCapture(event.pointerId);
      const i = paint(event);
      if (i >= 0) this.#focus(i);
      event.preventDefault();
    });
    this.element.addEventListener('pointermove', (event) => {
      if (painted !== null) paint(event);
    });
    for (const end of ['pointerup', 'pointercancel']) {
      this.element.addEventListener(end, () => (painted = null));
    }
    this.element.addEventListener('contextmenu', (event) => event.preventDefault());
    this.element.addEventListener('keydown', (event) => this.#key(event));
  }

  #key(event) {
    const i = this.cells.indexOf(event.target);
    if (i < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const [column, row] = [i % this.width, Math.floor(i / this.width)];
    const moves = {
      ArrowLeft: column > 0 && i - 1,
      ArrowRight: column < this.width - 1 && i + 1,
      ArrowUp: row > 0 && i - this.width,
      ArrowDown: row < this.height - 1 && i + this.width,
      Home: row * this.width,
      End: row * this.width + this.width - 1,
    };
    const values = {
      '+': limited(this.values[i] + STEP),
      '=': limited(this.values[i] + STEP),
      PageUp: limited(this.values[i] + STEP),
      '-': limited(this.values[i] - STEP),
      PageDown: limited(this.values[i] - STEP),
      0: 0,
      Delete: 0,
      Backspace: 0,
      ' ': this.brush(),
    };
    if (Object.hasOwn(moves, event.key)) {
      if (moves[event.key] !== false) this.#focus(moves[event.key]);
    } else if (Object.hasOwn(values, event.key)) {
      this.#put(i, values[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  }
}
