/** The analytic function that was fitted to a kernel, on its page. */

import { h } from './dom.js';
import { fitted } from './fits.js';
import { FORMULAS, number, parameter } from './sentences.js';

/**
 * Evaluate the function that was fitted to a kernel.
 *
 * @param {{weights: Float32Array, fit: ?object, size: object}} kernel
 * @returns {?object} as of `fitted`; null without a fit
 */
export function fittedTo({ weights, fit, size }) {
  if (!fit) return null;
  const values = Object.fromEntries(fit.parameters.map(({ name, value }) => [name, value]));
  return fitted(weights, fit, values, size.height);
}

/** Make the section about the fit: the function, its parameters, and how well it fits. */
export function fitSection({ fit, r2, size }, drawn) {
  const section = h(
    'section',
    { 'aria-labelledby': 'fit', class: 'fit' },
    h('h2', { id: 'fit', text: 'Fitted function' }),
  );
  if (!drawn) {
    const small = Math.min(size.height, size.width) < 3;
    const why = small ? 'kernels below 3×3 have too few pixels' : 'the results have no fit of it';
    section.append(h('p', { text: `None: ${why}.` }));
    return section;
  }
  const rows = [
    ...fit.parameters.map((one) => [one.name, parameter(one, one.value)]),
    ['amplitude', { symbol: 'a', text: number(drawn.amplitude) }],
    ['offset', { symbol: 'b', text: number(drawn.offset) }],
    ['R²', { symbol: '', text: r2.toFixed(2) }],
  ];
  section.append(
    h(
      'p',
      {},
      h('strong', { text: fit.function }),
      `, ${fit.form}: w ≈ a·f + b, where f is ${FORMULAS[fit.function]}, centred and of unit norm.`,
    ),
    h(
      'table',
      { class: 'data' },
      h('caption', { text: 'Parameters; x to the right, y upwards, angles anticlockwise from x' }),
      h(
        'tbody',
        {},
        rows.map(([name, { symbol, text }]) =>
          h(
            'tr',
            {},
            h('th', { scope: 'row', text: symbol && symbol !== name ? `${name} ${symbol}` : name }),
            h('td', { text }),
          ),
        ),
      ),
    ),
    h('p', {
      class: 'muted small',
      text:
        'Parameters are rounded to 8 or 16 bits here, so that their third digit can be off by a ' +
        'few; results/fits has all digits.',
    }),
  );
  return section;
}
