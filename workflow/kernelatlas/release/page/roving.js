/** One stop of the tab key for many links, among which the arrow keys move. */

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Let the arrow keys, Home and End move the focus among links that stand in lines.
 * @param {Element} container
 * @param {string} selector of the links; call `enter` for those that are added later.
 */
export function rove(container, selector) {
  container.addEventListener('keydown', (event) => {
    const links = [...container.querySelectorAll(selector)];
    const from = links.indexOf(event.target.closest?.(selector));
    if (from < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    let to = { Home: 0, End: links.length - 1 }[event.key];
    if (event.key in KEYS) to = next(links, from, ...KEYS[event.key]);
    if (to === undefined) return;
    event.preventDefault();
    links[to].focus();
  });
  container.addEventListener('focusin', (event) => {
    const link = event.target.closest(selector);
    if (!link) return;
    for (const other of container.querySelectorAll(`${selector}[tabindex="0"]`)) {
      other.tabIndex = -1;
    }
    link.tabIndex = 0;
  });
  enter(container, selector);
}

/** Make the first of the links the one that the tab key reaches. */
export function enter(container, selector) {
  for (const [n, link] of [...container.querySelectorAll(selector)].entries()) {
    link.tabIndex = n ? -1 : 0;
  }
}

/** Return the next link to the side, or the nearest one in the next line up or down. */
function next(links, from, across, down) {
  if (across) return Math.min(Math.max(from + across, 0), links.length - 1);
  const boxes = links.map((link) => link.getBoundingClientRect());
  const here = boxes[from];
  const middle = here.left + here.width / 2;
  let best = from;
  let least = Infinity;
  for (const [n, box] of boxes.entries()) {
    const lines = (box.top - here.top) * down;
    if (lines < 1) continue;
    const distance = 1000 * lines + Math.abs(box.left + box.width / 2 - middle);
    if (distance < least) [best, least] = [n, distance];
  }
  return best;
}
