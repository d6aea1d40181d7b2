"""Analytic kernels that shapes are named after.

All are functions of x (to the right) and y (upwards), in pixels from the kernel's
centre, sampled at the pixel centres and then normalised like any kernel. With the
Gaussian g(x, y; σ) = exp(−(x² + y²) / 2σ²) / (2πσ²):

centre   g(σ) − γ·g(ρσ), a difference of Gaussians: Marr & Hildreth, Proc. R. Soc. B
         207 (1980), take ρ = 1.6; γ is the weight of the surround. "on" has a bright
         centre, "off" is its negative, as of retinal ganglion cells.
cross    max(a(x)·b(y), b(x)·a(y)), where a is a narrow and b a wide one-dimensional
         Gaussian: the union of a horizontal and a vertical bar (our choice: the paper
         shows crosses and gives no formula).
square   s(x)·s(y), where s is a box of width d smoothed by a Gaussian,
         s(t) = ½ [erf((t + d/2) / √2σ) − erf((t − d/2) / √2σ)], also about the
         corner of four pixels, where a centre moved by half a pixel is a 2×2 square
         (our choice, as above).
first    the directional derivative (x cos θ + y sin θ)/σ² · g of a Gaussian, of which
         the sign is chosen so that it increases in the direction θ (steerable:
         Freeman & Adelson, PAMI 13, 1991).
second   ± ((x cos θ + y sin θ)²/σ⁴ − 1/σ²) · g, the second directional derivative.

On few pixels functions of different shapes can be the same kernel: a second derivative with
σ = 0.5 along a diagonal is one dark pixel, like an off-centre. So a template is left out whose
cosine to a template of an earlier shape in this list is above `APART`; for crosses, whose short
arms resemble the flanks of a centre, above `CROSS_APART`. Each remaining template has one shape.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kernelatlas import names
from kernelatlas.kernels.gaussians import bell, box, first_derivative, gaussian, second_derivative
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import degenerate, normalise

SCALES = 0.3 * 1.25 ** np.arange(22)  # σ, pixels: to 32
LARGEST = 0.5  # the largest σ of a k×k kernel, in units of k
SMALLEST_DERIVATIVE = 0.45  # σ, pixels; below it a pixel is wider than the lobes
SURROUNDS = ((1.6, 0.0), (1.6, 0.5), (1.6, 0.9), (1.6, 1.0), (3.0, 0.5), (3.0, 1.0))  # (ρ, γ)
CROSS_NARROW = (0.3, 0.5, 0.8, 1.1)
CROSS_WIDE = (0.6, 0.8, 1.0, 1.5, 2.5, 5.0)
CROSS_RATIO = 1.5  # of wide to narrow, at least
SQUARE_WIDTHS = (2, 3, 4, 5)
SQUARE_SIGMA = 0.3
STEP = 15  # degrees from one derivative to the next
APART, CROSS_APART = 0.95, 0.92  # cosines
BLOCK = 1024  # kernels per matrix product
TINY = 1e-300

Template = tuple[str, str, float, float, np.ndarray]  # label, parameters, σ, degrees, weights


@dataclass(frozen=True)
class Names:
    """Names of n kernels.

    Attributes
    ----------
    label : ndarray of str
        As in `kernelatlas.names.LABELS`; "other" where the cosine is below the minimum.
    shape : ndarray of int8
        Index into `kernelatlas.names.SHAPES`, of which "other" is the last.
    template : ndarray of int32
        Index of the most similar template, also of "other".
    cosine : ndarray of float32
        To that template.
    direction : ndarray of float32
        Degrees anticlockwise from +x, not rounded: in which a first derivative increases, in
        [0, 360), or along which a second is taken, in [0, 180). NaN for other shapes.
    """

    label: np.ndarray
    shape: np.ndarray
    template: np.ndarray
    cosine: np.ndarray
    direction: np.ndarray


@dataclass(frozen=True)
class Bank:
    """Templates of one kernel size, shape by shape.

    Attributes
    ----------
    labels : tuple of n str
        As in `kernelatlas.names.LABELS`.
    parameters : tuple of n str
        The formula's parameters, lengths in pixels.
    sigmas, directions : ndarray of shape (n,)
        Pixels, and degrees (NaN where a shape has none).
    weights : ndarray of shape (n, k * k), float32
        Normalised, row-major.
    """

    labels: tuple[str, ...]
    parameters: tuple[str, ...]
    sigmas: np.ndarray
    directions: np.ndarray
    weights: np.ndarray

    @functools.cached_property
    def shapes(self) -> np.ndarray:
        """Index of each template's shape in `kernelatlas.names.SHAPES`, (n,) int8."""
        shapes = [names.SHAPES.index(names.shape_of(label)) for label in self.labels]
        return np.array(shapes, np.int8)

    @functools.cached_property
    def signs(self) -> np.ndarray:
        """Sign of each second derivative, (n,); 0 of other templates."""
        return np.array([{"+": 1, "-": -1}.get(label[-1], 0) for label in self.labels])

    @functools.cached_property
    def _bases(self) -> dict[tuple[float, str], tuple[np.ndarray, np.ndarray]]:
        """Derivatives along x and y, (k * k,) each, by σ and shape."""
        x, y = grid(side(self.weights))
        # ∂θ g = cos θ ∂x g + sin θ ∂y g. ∂θ² g has cos 2θ (x² − y²)/2 + sin 2θ xy, times
        # g/σ⁴, and an isotropic term. These bases are orthogonal on the pixels.
        forms = {names.FIRST: (x, y), names.SECOND: ((x**2 - y**2) / 2, x * y)}
        return {
            (sigma, shape): ((one * bell).ravel(), (other * bell).ravel())
            for sigma in np.unique(self.sigmas).tolist()
            for bell in [gaussian(x, y, sigma)]
            for shape, (one, other) in forms.items()
        }

    def name(self, kernels: np.ndarray, minimum_cosine: float) -> Names:
        """Name kernels after their most similar templates.

        Parameters
        ----------
        kernels : ndarray of shape (m, k * k)
            Normalised.
        minimum_cosine
            A kernel with a lower cosine to every template is "other".
        """
        template, cosine = self.nearest(kernels)
        direction = self._measure(kernels, template)
        named = cosine >= minimum_cosine
        label = np.array(self.labels, dtype=object)[template]
        first = self.shapes[template] == names.SHAPES.index(names.FIRST)
        label[first] = _binned(direction[first], FIRST_LABELS)
        for sign, labels in SECOND_LABELS.items():
            mine = self.signs[template] == sign
            label[mine] = _binned(direction[mine], labels)
        return Names(
            np.where(named, label, names.OTHER),
            np.where(named, self.shapes[template], names.SHAPES.index(names.OTHER)),
            template,
            cosine,
            np.where(named, direction, np.nan).astype(np.float32),
        )

    def nearest(self, kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the most similar template of each kernel, and the cosine to it.

        Parameters
        ----------
        kernels : ndarray of shape (m, k * k)
            Normalised.

        Returns
        -------
        template : ndarray of shape (m,), int32
        cosine : ndarray of shape (m,), float32
        """
        template, best = np.empty(len(kernels), np.int32), np.empty(len(kernels), np.float32)
        memory = np.empty((min(BLOCK, len(kernels)), len(self.weights)), np.float32)
        for begin in range(0, len(kernels), BLOCK):
            rows = slice(begin, begin + BLOCK)
            block = np.asarray(kernels[rows], np.float32)
            cosines = np.matmul(block, self.weights.T, out=memory[: len(block)])
            template[rows] = cosines.argmax(axis=1)
            best[rows] = cosines[np.arange(len(cosines)), template[rows]]
        return template, best

    def _measure(self, kernels: np.ndarray, template: np.ndarray) -> np.ndarray:
        """Measure directions by derivatives at the scale of each kernel's template."""
        direction = np.full(len(kernels), np.nan)
        for sigma in np.unique(self.sigmas[template]).tolist():
            for shape, turns in ((names.FIRST, 360.0), (names.SECOND, 180.0)):
                mine = (self.sigmas[template] == sigma) & (
                    self.shapes[template] == names.SHAPES.index(shape)
                )
                if not mine.any():
                    continue
                here = np.asarray(kernels[mine], np.float64)
                cosine, sine = (
                    here @ basis / max(basis @ basis, TINY) for basis in self._bases[sigma, shape]
                )
                if shape == names.FIRST:
                    angle = np.arctan2(sine, cosine)
                else:
                    sign = self.signs[template[mine]]
                    angle = np.arctan2(sign * sine, sign * cosine) / 2
                direction[mine] = np.rad2deg(angle) % turns
        return direction


def _binned(directions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return labels[np.round(directions / 45).astype(int)]


# Labels of derivatives along multiples of 45°.
FIRST_LABELS = np.array([names.first_derivative(45 * i) for i in range(9)], dtype=object)
SECOND_LABELS = {
    sign: np.array([names.second_derivative(45 * i, sign) for i in range(9)], dtype=object)
    for sign in (1, -1)
}


def grid(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the pixel centres of a k×k kernel, (k, k) each."""
    axis = np.arange(k) - (k - 1) / 2
    x, y = np.meshgrid(axis, -axis)
    return x, y


@functools.cache
def bank(k: int) -> Bank:
    """Return the templates that differ from a constant and from each other on k×k pixels."""
    every = list(_templates(*grid(k)))
    stack = np.stack([weights for *_, weights in every]).reshape(len(every), -1)
    every = [every[i] for i in np.flatnonzero(~degenerate(stack))]
    weights = normalise(stack[~degenerate(stack)])
    shapes = np.array([names.SHAPES.index(names.shape_of(label)) for label, *_ in every])
    keep = np.zeros(len(every), bool)
    for group in (names.CENTRES, names.CROSSES, names.SQUARES, (names.FIRST,), (names.SECOND,)):
        mine = np.isin(shapes, [names.SHAPES.index(shape) for shape in group])
        closest = (weights @ weights[keep].T).max(axis=1, initial=-1)
        keep |= mine & (closest <= (CROSS_APART if group is names.CROSSES else APART))
    order = np.flatnonzero(keep)[np.argsort(shapes[keep], kind="stable")]
    return Bank(
        tuple(every[i][0] for i in order),
        tuple(every[i][1] for i in order),
        np.array([every[i][2] for i in order]),
        np.array([every[i][3] for i in order]),
        weights[order],
    )


def _templates(x: np.ndarray, y: np.ndarray) -> Iterator[Template]:
    k = len(x)
    scales = [float(sigma) for sigma in SCALES[LARGEST * k >= SCALES]]
    for sign, (centre, cross_name, square_name) in zip(
        (1, -1), zip(names.CENTRES, names.CROSSES, names.SQUARES, strict=True), strict=True
    ):
        for sigma in scales:
            for ratio, weight in SURROUNDS:
                values = gaussian(x, y, sigma) - weight * gaussian(x, y, ratio * sigma)
                text = f"g σ={sigma:.2g}"
                if weight:
                    text = f"DoG σ={sigma:.2g} ρ={ratio:g} γ={weight:g}"
                yield centre, text, sigma, np.nan, sign * values
        for narrow in CROSS_NARROW:
            for wide in CROSS_WIDE:
                if narrow <= k / 6 and wide >= CROSS_RATIO * narrow:
                    text = f"cross σ={narrow:g}, {wide:g}"
                    yield cross_name, text, narrow, np.nan, sign * cross(x, y, narrow, wide)
        for width in SQUARE_WIDTHS:
            if width >= k:
                continue  # its edges are outside the kernel
            # A square of odd (even) width is centred on a pixel (a corner) of an odd kernel.
            on_corner = (width % 2 == 0) == (k % 2 == 1)
            for dx in (-0.5, 0.5) if on_corner else (0.0,):
                for dy in (-0.5, 0.5) if on_corner else (0.0,):
                    values = square(x - dx, y - dy, width, SQUARE_SIGMA)
                    text = f"square d={width:g} at ({dx:g}, {dy:g})"
                    yield square_name, text, SQUARE_SIGMA, np.nan, sign * values
    for sigma in scales:
        if sigma < SMALLEST_DERIVATIVE:
            continue
        for degrees in range(0, 360, STEP):
            label = names.first_derivative(degrees)
            values = first_derivative(x, y, sigma, np.deg2rad(degrees))
            yield label, f"∂g σ={sigma:.2g}", sigma, degrees, values
        for degrees in range(0, 180, STEP):
            values = second_derivative(x, y, sigma, np.deg2rad(degrees))
            for sign in (1, -1):
                label = names.second_derivative(degrees, sign)
                yield label, f"∂²g σ={sigma:.2g}", sigma, degrees, sign * values


def cross(x: np.ndarray, y: np.ndarray, narrow: float, wide: float) -> np.ndarray:
    """Return the union of a horizontal and a vertical bar of Gaussian profile."""
    return np.maximum(bell(x, narrow) * bell(y, wide), bell(x, wide) * bell(y, narrow))


def square(x: np.ndarray, y: np.ndarray, width: float, sigma: float) -> np.ndarray:
    """Return a square of that width, its edges smoothed by a Gaussian of that σ."""
    return box(x, -width / 2, width / 2, sigma) * box(y, -width / 2, width / 2, sigma)
