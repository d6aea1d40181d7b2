/** A worker of `search.js`: answers each chunk of kernels with the nearest ones. */

import { nearest } from './nearest.js';

addEventListener('message', ({ data: { values, begin, query, options } }) => {
  postMessage(nearest(values, begin, query, options));
});
