/** Elements, made so that names of networks and layers are text and never markup. */

/**
 * Make an element.
 * @param {string} tag
 * @param {object} [options] attributes; `class`, `text`, `on` ({event: listener}), `style`
 *     ({property: value}), `data`. An attribute that is null, undefined or false is left out.
 * @param {...(Node|string)} children
 */
export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  const { text, on = {}, style = {}, data = {}, ...attributes } = options;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : value);
    }
  }
  for (const [property, value] of Object.entries(style)) element.style.setProperty(property, value);
  for (const [name, value] of Object.entries(data)) element.dataset[name] = value;
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  if (text !== undefined && text !== null) element.append(String(text));
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Replace the content of an element; the focus, and the caret, stay on what has the same id. */
export function renew(element, ...children) {
  const before = document.activeElement;
  const kept = element.contains(before) && before.id;
  const caret = before?.selectionStart ?? null; // before it goes
  element.replaceChildren(...children.filter((child) => child !== null));
  const after = kept && document.getElementById(kept);
  if (!after) return;
  after.focus({ preventScroll: true });
  if (caret !== null) after.setSelectionRange(caret, caret);
}

/** Return the address of a view: `link(['kernels'], {size: '7x7'})` is `#/kernels?size=7x7`. */
export function link(path, query = {}) {
  const parts = path.map(encodeURIComponent).join('/');
  const given = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const kept = given.filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(kept).toString();
  return `#/${parts}${text ? `?${text}` : ''}`;
}
