/** Numbers and names in words. */

const NUMBERS = new Intl.NumberFormat('en');
const FEW = 30; // percentages of fewer kernels are not shown, as in the figures

/** Return `1 kernel`, `1,234 kernels`. */
export function count(number, noun) {
  return `${NUMBERS.format(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** Return `1,234`. */
export function whole(number) {
  return NUMBERS.format(number);
}

/** Return a number that is only estimated, with two digits that count: `12,000`. */
export function about(number) {
  const unit = 10 ** Math.max(Math.floor(Math.log10(number)) - 1, 0);
  return NUMBERS.format(Math.round(number / unit) * unit);
}

/** Return `12.3 %` of a share in [0, 1], with a space that does not break. */
export function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)}\u00a0%`;
}

/** Return whether a share of so many kernels is shown as a percentage. */
export function enough(kernels) {
  return kernels >= FEW;
}

/** Return an interval of a share as in the figures, ` (10–15)`; empty if there is none. */
export function interval(low, high) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return '';
  const digits = 100 * high >= 1 ? 0 : 1;
  return ` (${(100 * low).toFixed(digits)}–${(100 * high).toFixed(digits)})`;
}

/** Return a size such as 7x7 as people write it: 7×7. */
export function times(size) {
  return size.replace('x', '×');
}

/** Return a label as people write it: with a minus sign. */
export function named(label) {
  return label.replace(/ -$/, ' −');
}

/** Return a number of bytes: `12.3 MB`. */
export function bytes(number) {
  if (number < 1e6) return `${Math.max(1, Math.round(number / 1e3))} kB`;
  return `${(number / 1e6).toFixed(number < 1e7 ? 1 : 0)} MB`;
}
