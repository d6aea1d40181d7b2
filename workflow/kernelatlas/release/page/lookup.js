/** Where values are in arrays. */

/** Return the last place in [begin, end) of a sorted array whose value is at most `value`. */
export function lastAtMost(array, value, begin = 0, end = array.length) {
  let low = begin;
  let high = end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (array[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Return the items that differ by key, and for every item the number of its like. */
export function distinct(items, key) {
  const numbers = new Map();
  const list = [];
  const of = items.map((item) => {
    const own = key(item);
    if (!numbers.has(own)) {
      numbers.set(own, list.length);
      list.push(item);
    }
    return numbers.get(own);
  });
  return { list, of };
}

/** Return where the n-th (from 0) of some equal values is; −1 if there are fewer. */
export function nth(values, value, n) {
  let left = n;
  for (let i = values.indexOf(value); i >= 0; i = values.indexOf(value, i + 1)) {
    if (left === 0) return i;
    left -= 1;
  }
  return -1;
}
