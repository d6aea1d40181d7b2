"""Analytic functions fitted to kernels: which, with what parameters, and how well.

A kernel w is modelled as a·f(θ) + b, where f is centred and has unit norm. For any
shape parameters θ the best a = ⟨w, f⟩ and b = mean(w) are known, and so is the weight γ of a
surround, so that only the rest is searched (variable projection: Golub & Pereyra, SIAM J. Numer.
Anal. 10, 1973), and R² = cos²(w − mean(w), f).

x runs to the right and y upwards, in pixels from the kernel's centre; angles are in
radians, anticlockwise from x. With the Gaussian g of standard deviation σ the functions are

gaussian   g(σ)
dog        g(σ) − γ·g(ρσ), isotropic
elongated  the same of an elliptic g, σ across and aspect·σ along the angle, with ρ = 1.6 (Marr &
           Hildreth, Proc. R. Soc. B 207, 1980): more parameters are not told apart
first      −∂g/∂x cos θ − ∂g/∂y sin θ, which increases in the direction θ
second     the second derivative of g along θ
cross      g(x; σ)·g(y; ρσ) + g(x; ρσ)·g(y; σ), two bars
square     a box of some width about (x, y), smoothed by g(σ)
shifted    g(σ) about (x, y)

each in two forms. The continuous one is sampled at the pixels' centres. The discrete one is
built from the discrete Gaussian T(n; σ) = exp(−σ²) I_n(σ²) (Lindeberg, PAMI 12, 1990) with
central differences δ for ∂, δxx for ∂²/∂x²; of an ellipse from the kernel of the discrete
affine scale-space (Lindeberg, JMIV 2017), of transform exp(−C_xx(1 − cos u) − C_yy(1 − cos v)
− C_xy sin u sin v); boxes and shifted centres cover pixels by shares. T and the ellipses are
evaluated by their Fourier series on a ring of pixels a few times as wide as the kernel.

Each fit begins at the best entry of a dictionary, that of the discrete form where the continuous
one ended, and goes on by damped Newton steps on R² (Levenberg, Q. Appl. Math. 2, 1944; Marquardt,
J. SIAM 11, 1963), thousands of kernels at once; where R² is likely to have other maxima, a
second time from elsewhere (`trusted`, `again`). Of the functions that leave at least `FREE`
degrees of freedom the one with the least Bayesian information criterion n·ln(1 − R²) + p·ln(n)
is selected (Schwarz, Ann. Stat. 6, 1978): n pixels, p the number of shape parameters.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.normalise import degenerate
from kernelatlas.names import FUNCTIONS, SMALLEST_FIT

FORMS = ("continuous", "discrete")
FREE = 3  # pixels more than a function's parameters, amplitude and offset among them
BATCH = 32_768  # kernels at once
BLOCK = 1024  # kernels evaluated at once: few enough for a processor's cache
ROWS = 256  # kernels compared with a dictionary at once, likewise
STEPS = 30
GAIN = 2e-6  # of R²/2: a kernel whose step promises less is done
LONGEST = 0.4  # step, in pixels, radians or logarithms
MOVE = 0.02  # the same, of the differences that stand for derivatives
RATIO = 1.6  # of the elongated surround
SURROUND = (0.0, 1.5)  # its weight
PARAMETERS = ("sigma", "ratio", "surround", "aspect", "angle", "width", "x", "y")
SCALES = ("sigma", "ratio", "aspect", "width")  # searched by their logarithms


class Grid:
    """The pixels of a k×k kernel, and functions along one axis and in the plane.

    Methods take a parameter of each of n kernels, (n,), which stay the last axis: (k, n), from
    left to right.
    """

    def __init__(self, k: int, discrete: bool, device: torch.device, dtype: torch.dtype):
        self.k, self.discrete, self.device, self.dtype = k, discrete, device, dtype
        # Differences are the same along y, which runs upwards: rows are flipped at the end.
        self.axis = torch.arange(k, device=device, dtype=dtype) - (k - 1) / 2
        y, x = torch.meshgrid(self.axis, self.axis, indexing="ij")
        # Of a function that is the same on both sides of the centre one half will do.
        self.half = (k * k + 1) // 2
        self._x, self._y = x.ravel()[: self.half], y.ravel()[: self.half]

    @cached_property
    def _frequencies(self) -> Tensor:
        n = 8 * self.k  # beyond it a wide Gaussian has hardly anything left that wraps around
        return torch.arange(n // 2 + 1, device=self.device, dtype=self.dtype) * (2 * math.pi / n)

    @cached_property
    def _weights(self) -> Tensor:
        weight = torch.full_like(self._frequencies, 2.0)
        weight[[0, -1]] = 1.0
        return weight / (8 * self.k)

    @cached_property
    def _differences(self) -> Tensor:
        """The Fourier series of a Gaussian and its central differences, (3·k, frequencies)."""
        u, t = self._frequencies, self.axis[:, None] * self._frequencies
        # The centre of an even kernel lies between two pixels: their mean.
        weight = self._weights * (torch.cos(u / 2) if self.k % 2 == 0 else 1.0)
        even, odd = weight * torch.cos(t), weight * torch.sin(t)
        return torch.cat([even, -torch.sin(u) * odd, (2 * torch.cos(u) - 2) * even])

    @cached_property
    def _impulse(self) -> Tensor:
        """The Fourier series of a Gaussian on pixels 0, …, k − 1."""
        places = torch.arange(self.k, device=self.device, dtype=self.dtype)
        return self._weights * torch.cos(places[:, None] * self._frequencies)

    def _spectrum(self, sigma: Tensor) -> Tensor:
        return torch.exp((torch.cos(self._frequencies) - 1)[:, None] * sigma**2)

    def gaussian(self, sigma: Tensor, order: int = 0) -> Tensor:
        """A Gaussian and its first derivatives, or central differences, (order + 1, k, n)."""
        if self.discrete:
            series = self._differences[: (order + 1) * self.k]
            return (series @ self._spectrum(sigma)).unflatten(0, (order + 1, self.k))
        x, variance = self.axis[:, None], sigma**2
        values = torch.exp(-(x**2) / (2 * variance)) / (2 * math.pi * variance).sqrt()
        hermite = (torch.ones_like(values), -x / variance, (x**2 / variance - 1) / variance)
        return torch.stack([factor * values for factor in hermite[: order + 1]])

    def box(self, centre: Tensor, width: Tensor, sigma: Tensor) -> Tensor:
        """A box of height 1 smoothed by a Gaussian; `centre` may be of any shape (..., n)."""
        low, high = centre - width / 2, centre + width / 2
        axis = self.axis.view(-1, *[1] * centre.ndim)
        if not self.discrete:
            edge = math.sqrt(2) * sigma
            return (torch.erf((axis - low) / edge) - torch.erf((axis - high) / edge)) / 2
        covered = torch.minimum(high, axis + 0.5) - torch.maximum(low, axis - 0.5)
        covered = covered.clamp_min(0)
        impulse = self._impulse @ self._spectrum(sigma)
        smooth = impulse[0] * covered
        for lag in range(1, self.k):
            smooth[lag:].addcmul_(impulse[lag], covered[:-lag])
            smooth[:-lag].addcmul_(impulse[lag], covered[lag:])
        return smooth

    def shifted(self, centre: Tensor, sigma: Tensor) -> Tensor:
        """A Gaussian about `centre`, of any shape (..., n)."""
        if self.discrete:
            return self.box(centre, torch.ones_like(sigma), sigma)
        axis = self.axis.view(-1, *[1] * centre.ndim)
        return torch.exp(-((axis - centre) ** 2) / (2 * sigma**2))

    @cached_property
    def _plane(self) -> tuple[Tensor, Tensor]:
        """What an ellipse's exponent is linear in, (·, 3), and waves, (half, ·), if discrete."""
        if not self.discrete:
            x, y = self._x, self._y
            return torch.stack([x**2 / 2, x * y, y**2 / 2], 1), torch.empty(0)
        n = 2 * self.k + 5  # odd: no frequency is its own mirror image but zero
        step = 2 * math.pi / n
        half = n // 2
        grid = [(i, j) for i in range(half + 1) for j in range(-half, half + 1) if i or j >= 0]
        u, v = (torch.tensor(grid, device=self.device, dtype=self.dtype) * step).T
        centred = torch.cos(u / 2) * torch.cos(v / 2) if self.k % 2 == 0 else torch.ones_like(u)
        weight = torch.where((u == 0) & (v == 0), 1.0, 2.0) * centred / n**2
        waves = weight * torch.cos(self._x[:, None] * u + self._y[:, None] * v)
        return torch.stack([1 - u.cos(), u.sin() * v.sin(), 1 - v.cos()], 1), waves

    def ellipse(self, matrix: Tensor, moves: Tensor) -> Tensor:
        """Two Gaussians, the second `RATIO` times as wide, (2, half of all pixels, m, n).

        `matrix`, (3, n), is xx, xy and yy of the covariance if discrete, else of its inverse. Its
        exponential is a product, so that m moves of it, (m, 3), take no more exponentials.
        """
        linear, waves = self._plane
        scale = RATIO**2 if self.discrete else RATIO**-2
        exponent, moved = -linear @ matrix, -linear @ moves.T
        inner, outer = exponent.exp(), (scale * exponent).exp()
        if self.discrete:
            series = [waves[:, None] * factor.exp().T for factor in (moved, scale * moved)]
            both = [
                (one.flatten(0, 1) @ values).unflatten(0, one.shape[:2])
                for one, values in zip(series, (inner, outer), strict=True)
            ]
        else:
            both = [
                inner[:, None] * moved.exp()[:, :, None],
                outer[:, None] * (scale * moved).exp()[:, :, None] * scale,
            ]
        return torch.stack(both)


# A separable function is Σ y_r(y)·x_r(x): the factors along y and along x, each (r, k, n).
Factors = tuple[Tensor, Tensor]


def _gaussian(grid: Grid, sigma: Tensor) -> Factors:
    profile = grid.gaussian(sigma)
    return profile, profile


def _dog(grid: Grid, sigma: Tensor, ratio: Tensor) -> Factors:
    both = torch.cat([grid.gaussian(sigma), grid.gaussian(ratio * sigma)])
    return both, both


def _elongated(grid: Grid, sigma: Tensor, aspect: Tensor, angle: Tensor) -> Tensor:
    matrix = _covariance(grid, sigma, aspect, angle)
    return grid.ellipse(matrix, matrix.new_zeros(1, 3))[:, :, 0]


def _covariance(grid: Grid, sigma: Tensor, aspect: Tensor, angle: Tensor) -> Tensor:
    """Return xx, xy and yy of an ellipse's covariance, of its inverse if continuous, (3, n)."""
    along, across = (aspect * sigma) ** 2, sigma**2
    if not grid.discrete:
        along, across = 1 / along, 1 / across
    mean, half = (along + across) / 2, (along - across) / 2
    cos, sin = torch.cos(2 * angle), torch.sin(2 * angle)
    return torch.stack([mean + half * cos, half * sin, mean - half * cos])


def _first(grid: Grid, sigma: Tensor, angle: Tensor) -> Factors:
    zeroth, first = grid.gaussian(sigma, 1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([zeroth, -sin * first]), torch.stack([-cos * first, zeroth])


def _second(grid: Grid, sigma: Tensor, angle: Tensor) -> Factors:
    zeroth, first, second = grid.gaussian(sigma, 2)
    cos, sin = torch.cos(angle), torch.sin(angle)
    along_x = torch.stack([cos**2 * second, 2 * cos * sin * first, zeroth])
    return torch.stack([zeroth, first, sin**2 * second]), along_x


def _cross(grid: Grid, sigma: Tensor, ratio: Tensor) -> Factors:
    both = torch.cat([grid.gaussian(sigma), grid.gaussian(ratio * sigma)])
    return both, both.flip(0)


def _square(grid: Grid, sigma: Tensor, width: Tensor, x: Tensor, y: Tensor) -> Factors:
    # Differences beyond the limits would tell of what is not searched.
    width = width.clamp(1, grid.k - 1)
    along_y, along_x = grid.box(torch.stack([y, x]), width, sigma).unbind(1)
    return along_y[None], along_x[None]


def _shifted(grid: Grid, sigma: Tensor, x: Tensor, y: Tensor) -> Factors:
    along_y, along_x = grid.shifted(torch.stack([y, x]), sigma).unbind(1)
    return along_y[None], along_x[None]


@dataclass(frozen=True)
class Function:
    """An analytic function: how to evaluate it, and where to search.

    Attributes
    ----------
    parameters
        Names of `PARAMETERS`, in the order that `evaluate` takes them after the grid; but
        for the weight of a surround, of which there is a closed form.
    limits
        Of each parameter, lowest and highest; lengths in pixels.
    starts
        Values of each parameter, whose combinations are the dictionary.
    trusted, again
        Values of some for a second start, where σ of the first is out of a range.
    """

    evaluate: Callable[..., Factors | Tensor]
    parameters: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    starts: tuple[tuple[float, ...], ...]
    trusted: tuple[float, float] = (0.0, math.inf)
    again: tuple[tuple[str, float], ...] = ()

    @cached_property
    def shape(self) -> list[int]:
        """Places of the parameters that `evaluate` takes."""
        return [i for i, name in enumerate(self.parameters) if name != "surround"]

    @cached_property
    def _scales(self) -> list[int]:
        """Places among them of those that are searched by their logarithms."""
        names = [self.parameters[i] for i in self.shape]
        return [i for i, name in enumerate(names) if name in SCALES]

    def search(self, parameters: Tensor) -> Tensor:
        """Return what is searched of parameters, (n, p), kernels last."""
        values = parameters.T[self.shape]
        values[self._scales] = values[self._scales].log()
        return values

    def natural(self, searched: Tensor) -> Tensor:
        """Undo the logarithms."""
        values = searched.clone()
        values[self._scales] = values[self._scales].exp()
        return values

    def restore(self, searched: Tensor, surround: Tensor) -> Tensor:
        """Return parameters, (n, p), within their limits."""
        values = torch.empty(len(self.parameters), *surround.shape).to(searched)
        values[[i for i in range(len(values)) if i not in self.shape]] = surround
        values[self.shape] = self.natural(searched)
        low, high = torch.tensor(self.limits).to(values).T
        return torch.clamp(values.T, low, high)


def _geometric(low: float, high: float, n: int) -> tuple[float, ...]:
    return tuple(np.geomspace(low, high, n).tolist())


def _turns(n: int, whole: float) -> tuple[float, ...]:
    return tuple(whole * i / n for i in range(n))


@cache
def functions(k: int) -> dict[str, Function]:
    """Return the functions that can be fitted to k×k kernels, by name.

    Raises
    ------
    KernelAtlasError
        If k is below 3.
    """
    if k < SMALLEST_FIT:
        raise KernelAtlasError(
            f"{k}×{k} kernels have too few pixels for analytic fits: fit those from 3×3"
        )
    widest = k / 2
    sigma, ratio = (0.2, widest), (1.1, 4.0)
    any_angle, shift = (-math.inf, math.inf), (-1.5, 1.5)
    fine, sigmas, few = (_geometric(0.25, widest, n) for n in (32, 16, 8))
    ratios, shares = (1.2, 1.5, 2.0, 2.7, 3.7), (0.0, 0.4, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5)
    widths = tuple(np.arange(1.5, min(k - 0.5, 6.5), 0.5).tolist())
    shifts = tuple(np.linspace(-1.5, 1.5, 13).tolist())
    coarse = tuple(np.linspace(-1.5, 1.5, 9).tolist())
    every = {
        "gaussian": Function(_gaussian, ("sigma",), (sigma,), (_geometric(0.2, widest, 100),)),
        "dog": Function(
            _dog,
            ("sigma", "ratio", "surround"),
            (sigma, ratio, SURROUND),
            (sigmas, ratios, shares),
            (0.4, math.inf),
            (("sigma", 0.6), ("ratio", 1.2)),
        ),
        "elongated": Function(
            _elongated,
            ("sigma", "surround", "aspect", "angle"),
            ((0.2, widest / 2), SURROUND, (1.0, 4.0), any_angle),
            (
                _geometric(0.3, widest / 2, 7),
                shares,
                (1.3, 1.8, 2.6, 3.6),
                _turns(12, math.pi),
            ),
        ),
        "first": Function(
            _first, ("sigma", "angle"), (sigma, any_angle), (fine, _turns(32, math.pi))
        ),
        "second": Function(
            _second, ("sigma", "angle"), (sigma, any_angle), (fine, _turns(32, math.pi))
        ),
        "cross": Function(
            _cross, ("sigma", "ratio"), (sigma, (1.2, 8.0)), (fine, _geometric(1.2, 8.0, 12))
        ),
        "square": Function(
            _square,
            ("sigma", "width", "x", "y"),
            ((0.1, 1.0), (1.0, k - 1.0), shift, shift),
            ((0.1, 0.5, 1.0), widths, coarse, coarse),
            (0.35, 0.6),
            (("sigma", 0.5),),
        ),
        "shifted": Function(
            _shifted, ("sigma", "x", "y"), (sigma, shift, shift), (few, shifts, shifts)
        ),
    }
    return {
        name: function
        for name, function in every.items()
        if k * k - len(function.parameters) - 2 >= FREE
    }


def grid_of(k: int, name: str, form: str, device: torch.device) -> Grid:
    """Return the pixels on which a function is evaluated in one of `FORMS`."""
    # What is left of a Gaussian less a similar one needs more digits.
    double = name == "dog" or (name, form) == ("elongated", "continuous")
    return Grid(k, form == "discrete", device, torch.float64 if double else torch.float32)


def unit(values: Tensor) -> Tensor:
    """Return rows centred and scaled to unit norm."""
    values = values - values.mean(dim=-1, keepdim=True)
    return values / values.norm(dim=-1, keepdim=True).clamp_min(1e-30)


def evaluate(function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return a function of parameters, (n, p), on the grid: centred, unit norm, (n, k·k)."""
    values = function.evaluate(grid, *parameters.T[function.shape])
    if isinstance(values, Tensor):
        parts = torch.cat([values, values[:, : grid.k**2 // 2].flip(1)], 1)
    else:
        parts = (values[0][:, :, None] * values[1][:, None]).flatten(1, 2)
    if "surround" in function.parameters:
        surround = parameters[:, function.parameters.index("surround")]
        image = parts[0] - surround * parts[1]
    else:
        image = parts.sum(0)
    return unit(image.T).unflatten(1, (grid.k, grid.k)).flip(1).flatten(1)


@cache
def _dictionary(k: int, name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    function, grid = functions(k)[name], grid_of(k, name, "continuous", device)
    starts = torch.tensor(list(itertools.product(*function.starts)), device=device)
    return starts, evaluate(function, grid, starts.to(grid.dtype)).float()


def begin(kernels: Tensor, k: int, name: str) -> Tensor:
    """Return the parameters of the best entry of the dictionary for each kernel, (n, p)."""
    starts, entries = _dictionary(k, name, kernels.device)
    best = [(block @ entries.T).abs_().argmax(dim=1) for block in kernels.split(ROWS)]
    return starts[torch.cat(best)]


def refine(kernels: Tensor, function: Function, grid: Grid, start: Tensor) -> tuple[Tensor, Tensor]:
    """Improve parameters by damped Newton steps on R² within the function's limits.

    Parameters
    ----------
    kernels : Tensor of shape (n, k·k)
        Normalised.
    start : Tensor of shape (n, p)

    Returns
    -------
    parameters : Tensor of shape (n, p)
    cosine : Tensor of shape (n,)
        Of each kernel and the function, of either sign; R² is its square.
    """
    parameters, cosine = _climb(kernels, function, grid, start)
    low, high = function.trusted
    rows = ((start[:, 0] < low) | (start[:, 0] > high)).nonzero()[:, 0]
    if len(rows):
        again = start[rows]
        for name, value in function.again:
            again[:, function.parameters.index(name)] = value
        # Well within the limits, some of which are traps.
        least, most = torch.tensor(function.limits).to(again).T
        margin = (most - least) / 10
        again = torch.clamp(again, least + margin, most - margin)
        other, found = _climb(kernels[rows], function, grid, again)
        better = found**2 > cosine[rows] ** 2
        parameters[rows[better]], cosine[rows[better]] = other[better], found[better]
    return parameters, cosine


def _climb(kernels: Tensor, function: Function, grid: Grid, start: Tensor) -> tuple[Tensor, Tensor]:
    """Do what `refine` does, from one start."""
    # Kernels are the last axis: short sums run over whole vectors.
    kernels = kernels.T.unflatten(0, (grid.k, grid.k)).flip(0).to(grid.dtype).contiguous()
    limits = torch.tensor(function.limits, device=kernels.device, dtype=torch.float64)
    low, high = function.search(limits.T).unbind(1)
    low, high = low[:, None], high[:, None]
    here = torch.clamp(function.search(start.double()), low, high)
    cosine, surround, gradient, curvature = _expand(kernels, function, grid, here)
    found = torch.cat([here, surround[None], cosine[None]])
    rows = torch.arange(kernels.shape[2], device=kernels.device)
    damping = torch.full_like(cosine, 1e-3)
    for _ in range(STEPS):
        trial, promised = _step(here, gradient, curvature, damping, low, high)
        going = (promised * (1 + damping) > GAIN) & (damping < 100)
        if not going.all():
            rows, kernels, here, trial, damping, cosine, gradient, curvature = (
                t[..., going]
                for t in (rows, kernels, here, trial, damping, cosine, gradient, curvature)
            )
        if not len(rows):
            break
        new = _expand(kernels, function, grid, trial)
        better = new[0] ** 2 > cosine**2
        found[:, rows[better]] = torch.cat([trial, new[1][None], new[0][None]])[:, better]
        here = torch.where(better, trial, here)
        cosine = torch.where(better, new[0], cosine)
        gradient = torch.where(better, new[2], gradient)
        curvature = torch.where(better, new[3], curvature)
        damping = torch.where(better, damping * 0.1, (damping * 8).clamp_min(0.05)).clamp_min(1e-6)
    return function.restore(found[:-2], found[-2]), found[-1]


def _step(
    here: Tensor, gradient: Tensor, curvature: Tensor, damping: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Return parameters within the limits, (p, n), and half the gain of R² if without limits."""
    # A parameter at its limit stays there while R² grows only beyond it.
    free = ~(((here <= low) & (gradient < 0)) | ((here >= high) & (gradient > 0)))
    step = _solve(curvature * (free[:, None] & free[None]), gradient * free, damping)
    step = step * (LONGEST / step.abs().amax(0)).clamp_max(1)
    promised = (step * gradient).sum(0) / 2
    trial = torch.clamp(here + step, low, high)
    # Those that a step would take beyond it go there, and the others are found once more.
    beyond = free & (trial != here + step)
    if beyond.any():
        fixed = (trial - here) * beyond
        free = free & ~beyond
        rest = (gradient - (curvature * fixed).sum(1)) * free
        step = _solve(curvature * (free[:, None] & free[None]), rest, damping)
        step = step * (LONGEST / step.abs().amax(0)).clamp_max(1)
        trial = torch.where(beyond, trial, torch.clamp(here + step, low, high))
    return trial, promised


def _expand(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return cosine and surround, (n,), and of cos²/2 the gradient, (p, n), and minus the Hessian.

    By central differences: in so few dimensions the Hessian is cheap, and where R² is far from 1
    Gauss and Newton's approximation of it converges slowly.
    """
    local = _expand_ellipse if function.evaluate is _elongated else _expand_block
    blocks = zip(kernels.split(BLOCK, 2), parameters.split(BLOCK, 1), strict=True)
    parts = [local(block, function, grid, values) for block, values in blocks]
    cosine, surround, gradient, curvature = (torch.cat(t, -1) for t in zip(*parts, strict=True))
    return cosine, surround, gradient, curvature


def _expand_block(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    moves = MOVE * _stencil(len(parameters)).to(parameters)
    moved = parameters[:, None] + moves.T[:, :, None]
    m, n = moved.shape[1:]
    values = function.evaluate(grid, *function.natural(moved.flatten(1)).to(grid.dtype))
    assert not isinstance(values, Tensor)
    y, x = (t.unflatten(2, (m, n)) for t in values)
    # Sums over pixels are products of sums along y and x.
    along_x = kernels[:, 0, None] * x[:, None, 0]
    for column in range(1, grid.k):
        along_x.addcmul_(kernels[:, column, None], x[:, None, column])
    inner, total = (along_x * y).sum(1), y.sum(1) * x.sum(1)
    square = (y[:, None] * y).sum(2) * (x[:, None] * x).sum(2)
    cosine, surround = _combine(inner, square, total, grid.k, "surround" in function.parameters)
    gradient, curvature = _differentiate(cosine.double() ** 2 / 2, MOVE)
    return cosine[0].double(), surround[0].double(), gradient, curvature


def _expand_ellipse(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same by way of a quadratic in the matrix, in which the exponent is linear."""
    stencil = _stencil(3).to(parameters)
    h = 0.1 if grid.discrete else 0.01  # pixels² or their inverse
    fine = 1e-3
    moved = parameters[:, None] + fine * stencil.T[:, :, None]
    matrix = _covariance(grid, *function.natural(moved))
    values = grid.ellipse(matrix[:, 0].to(grid.dtype), (h * stencil).to(grid.dtype))
    weight = torch.full((grid.half, 1, 1), 2.0, device=values.device, dtype=values.dtype)
    weight[grid.half - grid.k % 2 :] = 1.0  # of an odd kernel's centre
    flat = kernels.flatten(0, 1)
    folded = (flat + flat.flip(0))[: grid.half, None] * (weight / 2)
    inner, total = (values * folded).sum(1), (values * weight).sum(1)
    weighted = values * weight
    own, cross = (weighted * values).sum(1), (weighted[0] * values[1]).sum(0)
    square = torch.stack([own[0], cross, cross, own[1]]).unflatten(0, (2, 2))
    cosine, surround = _combine(inner, square, total, grid.k, True)
    gradient, curvature = _differentiate(cosine.double() ** 2 / 2, h)
    away = matrix - matrix[:, :1]
    slope = gradient[:, None] - (curvature[:, :, None] * away).sum(1) / 2
    gradient, curvature = _differentiate((away * slope).sum(0), fine)
    return cosine[0].double(), surround[0].double(), gradient, curvature


@cache
def _stencil(p: int) -> Tensor:
    """Moves of p parameters: none, each up, each down, each two of them up."""
    one = torch.eye(p)
    both = [one[i] + one[j] for i, j in itertools.combinations(range(p), 2)]
    return torch.stack([torch.zeros(p), *one, *-one, *both])


def _differentiate(f: Tensor, h: float) -> tuple[Tensor, Tensor]:
    """Return the gradient and minus the Hessian of values, (m, n), at the moves of `_stencil`."""
    p = math.isqrt(2 * len(f)) - 1  # of 1 + 2p + p(p − 1)/2 moves
    up, down = f[1 : p + 1], f[p + 1 : 2 * p + 1]
    hessian = torch.diag_embed((2 * f[0] - up - down).T).permute(1, 2, 0).contiguous()
    for index, (i, j) in enumerate(itertools.combinations(range(p), 2), start=2 * p + 1):
        hessian[i, j] = hessian[j, i] = up[i] + up[j] - f[0] - f[index]
    return (up - down) / (2 * h), hessian / h**2


def _combine(
    inner: Tensor, square: Tensor, total: Tensor, k: int, surround: bool
) -> tuple[Tensor, Tensor]:
    """Return the cosine of kernel and function, and the best weight of a surround.

    Parameters
    ----------
    inner, total : Tensor of shape (r, ...)
        ⟨w, f_r⟩ and Σ f_r.
    square : Tensor of shape (r, r, ...)
        ⟨f_r, f_s⟩.

    With a = ⟨w, f⟩ and G = ⟨f, f⟩ of centred f, (a₁ − γ a₂)² / (G₁₁ − 2γ G₁₂ + γ² G₂₂) has one
    greatest value, at γ = (a₁ G₁₂ − a₂ G₁₁) / (a₁ G₂₂ − a₂ G₁₂), or at a limit.
    """
    square = square - total[:, None] * total / k**2
    floor = 1e-60 if square.dtype == torch.float64 else 1e-30
    if not surround:
        norm = square.sum((0, 1)).clamp_min(floor).sqrt()
        return inner.sum(0) / norm, torch.zeros_like(norm)
    (a, b), (aa, ab, bb) = inner, (square[0, 0], square[0, 1], square[1, 1])
    low, high = SURROUND
    weight = torch.nan_to_num((a * ab - b * aa) / (a * bb - b * ab)).clamp(low, high)
    cosine = torch.zeros_like(weight)
    for value in (weight, low, high):
        norm = (aa - 2 * value * ab + value**2 * bb).clamp_min(floor)
        other = (a - value * b) * norm.rsqrt()
        better = other.abs() > cosine.abs()
        cosine = torch.where(better, other, cosine)
        if value is not weight:
            weight = torch.where(better, value, weight)
    return cosine, weight


def _solve(curvature: Tensor, gradient: Tensor, damping: Tensor) -> Tensor:
    """Solve (H + λ D) step = gradient for many small H at once, by Cholesky's method.

    D is the sum of |H| along its rows and of |gradient|: with a large λ the sum is positive and
    the step below 1 / λ.

    Before, pivots that are not positive are taken by their size, a tenth of D or more, so that
    steps lead upwards. A library's solver takes matrices one by one on a CPU, which costs more
    than all the rest.
    """
    p = len(gradient)
    h = curvature
    factor: list[list[Tensor]] = [[] for _ in range(p)]
    for i in range(p):
        size = h[i].abs().sum(0) + gradient[i].abs() + 1e-6
        for j in range(i):
            rest = h[i, j] - sum(factor[i][m] * factor[j][m] for m in range(j))
            factor[i].append(rest / factor[j][j])
        rest = h[i, i] + damping * size - sum(value**2 for value in factor[i])
        factor[i].append(
            torch.where(rest > 1e-3 * size, rest, torch.maximum(-rest, 0.1 * size)).sqrt()
        )
    forward: list[Tensor] = []
    for i in range(p):
        rest = gradient[i] - sum(factor[i][m] * forward[m] for m in range(i))
        forward.append(rest / factor[i][i])
    step: list[Tensor] = [torch.empty(0)] * p
    for i in reversed(range(p)):
        rest = forward[i] - sum(factor[m][i] * step[m] for m in range(i + 1, p))
        step[i] = rest / factor[i][i]
    return torch.stack(step)


SCHEMA = {
    **dict.fromkeys(("function", "form"), "object"),
    "r2": "float32",
    "runner_up": "object",
    "runner_up_r2": "float32",
    "other_form_r2": "float32",
    **dict.fromkeys(("amplitude", "offset", *PARAMETERS), "float32"),
    **dict.fromkeys(("shifted_x", "shifted_y", "shifted_r2"), "float32"),
    "degenerate": "bool",
}


def fit(weights: np.ndarray, device: str | torch.device = "cpu") -> pd.DataFrame:
    """Fit every function to every kernel and select one.

    Parameters
    ----------
    weights : ndarray of shape (n, k·k)
        Raw, row by row. Degenerate kernels may be among them.

    Returns
    -------
    DataFrame of n rows
        function, form and r2 of the selected one; runner_up, the next function by the same
        criterion, and its r2; other_form_r2, of the selected function in its other form;
        amplitude a (signed where its sign means something: a first derivative is turned by π
        instead) and offset b of w ≈ a·f + b, in the units of the weights; the parameters of
        `PARAMETERS`, in pixels and radians, empty where the function has none of that name;
        shifted_x, shifted_y and shifted_r2 of the best shifted Gaussian; degenerate. Degenerate
        kernels have nothing else.

    Raises
    ------
    KernelAtlasError
        If kernels are smaller than 3×3.
    """
    k = math.isqrt(weights.shape[1])
    known = functions(k)
    sound = ~degenerate(weights)
    place = torch.device(device)
    if place.type == "mps":  # has no double precision
        place = torch.device("cpu")
    parts = [
        _fit_batch(block, k, known, place)
        for block in torch.from_numpy(np.asarray(weights[sound], np.float32)).split(BATCH)
    ]
    frame = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in SCHEMA.items()})
    found = pd.concat(parts, ignore_index=True) if parts else frame.drop(columns="degenerate")
    return (
        found.set_index(np.flatnonzero(sound))
        .reindex(range(len(weights)))
        .assign(degenerate=~sound)[list(SCHEMA)]
        .astype(SCHEMA)
    )


def _fit_batch(
    weights: Tensor, k: int, known: dict[str, Function], device: torch.device
) -> pd.DataFrame:
    raw = weights.to(device)
    kernels = unit(raw.double()).float()
    fitted = {}
    for name, function in known.items():
        start = begin(kernels, k, name)
        for form in FORMS:  # the discrete form begins where the continuous one ended
            start, cosines = refine(kernels, function, grid_of(k, name, form, device), start)
            fitted[name, form] = start.float(), cosines.float()
    pairs = list(fitted)
    cosine = torch.stack([fitted[pair][1] for pair in pairs])  # (pairs, n)
    r2 = cosine**2
    p = torch.tensor([len(known[name].parameters) for name, _ in pairs], device=device)
    n = k * k
    criterion = n * (1 - r2).clamp_min(1e-9).log() + math.log(n) * p[:, None]
    best = criterion.argmin(dim=0)
    # Both forms of the selected function step back for the runner-up.
    own = torch.tensor([FUNCTIONS.index(name) for name, _ in pairs], device=device)
    others = criterion.masked_fill(own[:, None] == own[best], math.inf)
    second = others.argmin(dim=0)
    at = torch.arange(len(raw), device=device)
    # The dictionary of pairs has both forms of a function beside each other.
    other_form = best ^ 1
    shift, shift_cosine = _better_shift(fitted)
    values = torch.full((len(raw), len(PARAMETERS)), math.nan, device=device)
    amplitude = cosine[best, at]
    for index, pair in enumerate(pairs):
        rows = best == index
        places = [PARAMETERS.index(name) for name in known[pair[0]].parameters]
        values[rows.nonzero(), torch.tensor(places, device=device)] = fitted[pair][0][rows]
    angle = values[:, PARAMETERS.index("angle")]
    turned = (own[best] == FUNCTIONS.index("first")) & (amplitude < 0)
    whole = torch.where(own[best] == FUNCTIONS.index("first"), 2 * math.pi, math.pi)
    values[:, PARAMETERS.index("angle")] = (angle + math.pi * turned) % whole
    amplitude = torch.where(turned, -amplitude, amplitude)
    scale = (raw - raw.mean(dim=1, keepdim=True)).norm(dim=1)
    columns = {
        "r2": r2[best, at],
        "runner_up_r2": r2[second, at],
        "other_form_r2": r2[other_form, at],
        "amplitude": amplitude * scale,
        "offset": raw.mean(dim=1),
        **dict(zip(PARAMETERS, values.T, strict=True)),
        "shifted_x": shift[:, 1],
        "shifted_y": shift[:, 2],
        "shifted_r2": shift_cosine**2,
    }
    named = np.array([name for name, _ in pairs], dtype=object)
    forms = np.array([form for _, form in pairs], dtype=object)
    return pd.DataFrame({name: tensor.cpu().numpy() for name, tensor in columns.items()}).assign(
        function=named[best.cpu().numpy()],
        form=forms[best.cpu().numpy()],
        runner_up=named[second.cpu().numpy()],
    )


def _better_shift(fitted: dict[tuple[str, str], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    (one, cosine), (other, other_cosine) = (fitted["shifted", form] for form in FORMS)
    swap = other_cosine**2 > cosine**2
    return torch.where(swap[:, None], other, one), torch.where(swap, other_cosine, cosine)


def render(fits: pd.DataFrame, k: int) -> np.ndarray:
    """Return the fitted kernels amplitude·f + offset, (n, k·k) float32, zeros if degenerate.

    Parameters
    ----------
    fits
        As `fit` returns them, of kernels of one size.
    """
    values = np.zeros((len(fits), k * k), np.float32)
    position = pd.Series(np.arange(len(fits)))
    for (name, form), rows in position.groupby(
        [fits["function"].to_numpy(), fits["form"].to_numpy()]
    ):
        function = functions(k)[str(name)]
        part = fits.iloc[rows]
        # In double precision, so that one kernel's does not depend on how many there are.
        grid = Grid(k, form == "discrete", torch.device("cpu"), torch.float64)
        parameters = torch.tensor(part[list(function.parameters)].to_numpy(), dtype=grid.dtype)
        shape = evaluate(function, grid, parameters).numpy()
        scale, offset = (part[column].to_numpy()[:, None] for column in ("amplitude", "offset"))
        values[rows] = scale * shape + offset
    return values
