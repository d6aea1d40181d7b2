"""Analytic functions fitted to kernels: which, with what parameters, and how well.

A kernel w is modelled as a·f(θ) + b, where f is centred and has unit norm. For any
shape parameters θ the best a = ⟨w, f⟩ and b = mean(w) are known, so that only θ is
searched (variable projection: Golub & Pereyra, SIAM J. Numer. Anal. 10, 1973), and
R² = cos²(w − mean(w), f).

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
− C_xy sin u sin v); boxes and shifted centres cover pixels by shares. All are evaluated by
their Fourier series on a ring of pixels a few times as wide as the kernel.

Each fit begins at the best entry of a dictionary, that of the discrete form where the continuous
one ended, and goes on by damped Newton steps on R² (Levenberg, Q. Appl. Math. 2, 1944; Marquardt,
J. SIAM 11, 1963), thousands of kernels at once. Of the functions that leave
at least `FREE` degrees of freedom the one with the least Bayesian information criterion
n·ln(1 − R²) + p·ln(n) is selected (Schwarz, Ann. Stat. 6, 1978): n pixels, p the number of
shape parameters.
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
from kernelatlas.normalise import degenerate

FORMS = ("continuous", "discrete")
FREE = 3  # pixels more than a function's parameters, amplitude and offset among them
SMALLEST = 3  # k of the smallest kernels that can be fitted
BATCH = 32_768  # kernels at once
BLOCK = 1024  # kernels evaluated at once: few enough for a processor's cache
ROWS = 256  # kernels compared with a dictionary at once, likewise
STEPS = 40
RATIO = 1.6  # of the elongated surround
GAIN = 1e-6  # of R²: a kernel whose step gains less is done
PARAMETERS = ("sigma", "ratio", "surround", "aspect", "angle", "width", "x", "y")


class Grid:
    """The pixels of a k×k kernel, and a Gaussian and its derivatives along one axis.

    Methods take a parameter of each of n kernels, (n,), and return (n, k), from left to right.
    """

    def __init__(self, k: int, discrete: bool, device: torch.device, dtype: torch.dtype):
        self.k, self.discrete, self.device, self.dtype = k, discrete, device, dtype
        # Differences are the same along y, which runs upwards: rows are flipped at the end.
        self.axis = torch.arange(k, device=device, dtype=dtype) - (k - 1) / 2

    @cached_property
    def _frequencies(self) -> Tensor:
        n = 8 * self.k  # beyond it a wide Gaussian has hardly anything left that wraps around
        return torch.arange(n // 2 + 1, device=self.device, dtype=self.dtype) * (2 * math.pi / n)

    @cached_property
    def _waves(self) -> tuple[Tensor, Tensor]:
        """Even and odd waves on the pixels, (frequencies, k), with the weights of a series."""
        u = self._frequencies[:, None]
        weight = torch.full_like(u, 2.0)
        weight[[0, -1]] = 1.0
        weight = weight / (8 * self.k)
        return weight * torch.cos(u * self.axis), weight * torch.sin(u * self.axis)

    @cached_property
    def _centred(self) -> Tensor:
        # The centre of an even kernel lies between two pixels: their mean.
        return (
            torch.cos(self._frequencies / 2)
            if self.k % 2 == 0
            else torch.ones_like(self._frequencies)
        )

    def _spectrum(self, sigma: Tensor) -> Tensor:
        return torch.exp(-(sigma[:, None] ** 2) * (1 - torch.cos(self._frequencies)))

    def gaussian(self, sigma: Tensor) -> Tensor:
        if self.discrete:
            return (self._spectrum(sigma) * self._centred) @ self._waves[0]
        variance = sigma[:, None] ** 2
        return torch.exp(-(self.axis**2) / (2 * variance)) / (2 * math.pi * variance).sqrt()

    def first(self, sigma: Tensor) -> Tensor:
        """The first derivative, or central difference, of `gaussian`."""
        if self.discrete:
            slope = self._centred * torch.sin(self._frequencies)
            return -(self._spectrum(sigma) * slope) @ self._waves[1]
        return -self.axis / sigma[:, None] ** 2 * self.gaussian(sigma)

    def second(self, sigma: Tensor) -> Tensor:
        """The second derivative, or second central difference, of `gaussian`."""
        if self.discrete:
            bend = self._centred * (2 - 2 * torch.cos(self._frequencies))
            return -(self._spectrum(sigma) * bend) @ self._waves[0]
        variance = sigma[:, None] ** 2
        return (self.axis**2 / variance**2 - 1 / variance) * self.gaussian(sigma)

    def box(self, centre: Tensor, width: Tensor, sigma: Tensor) -> Tensor:
        """A box of height 1 smoothed by a Gaussian."""
        low, high = (centre + side * width / 2 for side in (-1, 1))
        if not self.discrete:
            edge = math.sqrt(2) * sigma[:, None]
            upper = torch.erf((self.axis - low[:, None]) / edge)
            return (upper - torch.erf((self.axis - high[:, None]) / edge)) / 2
        covered = torch.minimum(high[:, None], self.axis + 0.5)
        covered = (covered - torch.maximum(low[:, None], self.axis - 0.5)).clamp_min(0)
        even, odd = self._waves
        u = self._frequencies[:, None] * self.axis
        spectrum = self._spectrum(sigma)
        return (spectrum * (covered @ u.cos().T)) @ even + (spectrum * (covered @ u.sin().T)) @ odd

    def shifted(self, centre: Tensor, sigma: Tensor) -> Tensor:
        """A Gaussian about `centre`."""
        if self.discrete:
            return self.box(centre, torch.ones_like(centre), sigma)
        return torch.exp(-((self.axis - centre[:, None]) ** 2) / (2 * sigma[:, None] ** 2))

    @cached_property
    def _plane(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """1 − cos u, 1 − cos v, sin u sin v of half of all frequencies, and their waves."""
        n = 2 * self.k + 5  # odd: no frequency is its own mirror image but zero
        step = 2 * math.pi / n
        half = n // 2
        grid = [(i, j) for i in range(half + 1) for j in range(-half, half + 1) if i or j >= 0]
        u, v = (torch.tensor(grid, device=self.device, dtype=self.dtype) * step).T
        centred = torch.cos(u / 2) * torch.cos(v / 2) if self.k % 2 == 0 else torch.ones_like(u)
        weight = torch.where((u == 0) & (v == 0), 1.0, 2.0) * centred / n**2
        y, x = torch.meshgrid(self.axis, self.axis, indexing="ij")
        waves = weight[:, None] * torch.cos(u[:, None] * x.ravel() + v[:, None] * y.ravel())
        return 1 - torch.cos(u), 1 - torch.cos(v), torch.sin(u) * torch.sin(v), waves

    def ellipse(self, xx: Tensor, xy: Tensor, yy: Tensor, surround: Tensor) -> Tensor:
        """A difference of Gaussians of covariances C and `RATIO`²·C, (n, k·k), y upwards."""
        surround = surround[:, None]
        if self.discrete:
            a, b, c, waves = self._plane
            exponent = -(xx[:, None] * a + yy[:, None] * b + xy[:, None] * c)
            return (exponent.exp() - surround * (RATIO**2 * exponent).exp()) @ waves
        y, x = (t.ravel() for t in torch.meshgrid(self.axis, self.axis, indexing="ij"))
        determinant = xx * yy - xy**2
        quadratic = yy[:, None] * x**2 - 2 * xy[:, None] * (x * y) + xx[:, None] * y**2
        exponent = -quadratic / (2 * determinant[:, None])
        return exponent.exp() - surround / RATIO**2 * (exponent / RATIO**2).exp()


# A separable function is Σ y_r(y)·x_r(x): the factors along y and along x, each (n, r, k).
Factors = tuple[Tensor, Tensor]


def _gaussian(grid: Grid, sigma: Tensor) -> Factors:
    profile = grid.gaussian(sigma)[:, None]
    return profile, profile


def _dog(grid: Grid, sigma: Tensor, ratio: Tensor, surround: Tensor) -> Factors:
    inner, outer = grid.gaussian(sigma), grid.gaussian(ratio * sigma)
    return torch.stack([inner, -surround[:, None] * outer], 1), torch.stack([inner, outer], 1)


def _elongated(
    grid: Grid, sigma: Tensor, surround: Tensor, aspect: Tensor, angle: Tensor
) -> Tensor:
    along, across = (aspect * sigma) ** 2, sigma**2
    mean, half = (along + across) / 2, (along - across) / 2
    cos, sin = torch.cos(2 * angle), torch.sin(2 * angle)
    return grid.ellipse(mean + half * cos, half * sin, mean - half * cos, surround)


def _first(grid: Grid, sigma: Tensor, angle: Tensor) -> Factors:
    zeroth, first = grid.gaussian(sigma), -grid.first(sigma)
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    return torch.stack([zeroth, sin * first], 1), torch.stack([cos * first, zeroth], 1)


def _second(grid: Grid, sigma: Tensor, angle: Tensor) -> Factors:
    zeroth, first, second = grid.gaussian(sigma), grid.first(sigma), grid.second(sigma)
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    along_x = torch.stack([cos**2 * second, 2 * cos * sin * first, zeroth], 1)
    return torch.stack([zeroth, first, sin**2 * second], 1), along_x


def _cross(grid: Grid, sigma: Tensor, ratio: Tensor) -> Factors:
    narrow, wide = grid.gaussian(sigma), grid.gaussian(ratio * sigma)
    return torch.stack([narrow, wide], 1), torch.stack([wide, narrow], 1)


def _square(grid: Grid, sigma: Tensor, width: Tensor, x: Tensor, y: Tensor) -> Factors:
    return grid.box(y, width, sigma)[:, None], grid.box(x, width, sigma)[:, None]


def _shifted(grid: Grid, sigma: Tensor, x: Tensor, y: Tensor) -> Factors:
    return grid.shifted(y, sigma)[:, None], grid.shifted(x, sigma)[:, None]


@dataclass(frozen=True)
class Function:
    """An analytic function: how to evaluate it, and where to search.

    Attributes
    ----------
    parameters
        Names of `PARAMETERS`, in the order that `evaluate` takes them after the grid.
    limits
        Of each parameter, lowest and highest; lengths in pixels.
    starts
        Values of each parameter, whose combinations are the dictionary.
    """

    evaluate: Callable[..., Factors | Tensor]
    parameters: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    starts: tuple[tuple[float, ...], ...]


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
    if k < SMALLEST:
        raise KernelAtlasError(
            f"{k}×{k} kernels have too few pixels for analytic fits: fit those from 3×3"
        )
    widest = k / 2
    sigma, ratio, surround = (0.2, widest), (1.1, 4.0), (0.0, 1.5)
    any_angle, shift = (-math.inf, math.inf), (-1.5, 1.5)
    fine, sigmas, few = (_geometric(0.25, widest, n) for n in (32, 16, 8))
    ratios, shares = (1.2, 1.5, 2.0, 2.7, 3.7), (0.0, 0.4, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5)
    widths = tuple(np.arange(1.5, min(k, 6), 0.5).tolist())
    shifts = tuple(np.linspace(-1.5, 1.5, 13).tolist())
    every = {
        "gaussian": Function(_gaussian, ("sigma",), (sigma,), (_geometric(0.2, widest, 100),)),
        "dog": Function(
            _dog,
            ("sigma", "ratio", "surround"),
            (sigma, ratio, surround),
            (sigmas, ratios, shares),
        ),
        "elongated": Function(
            _elongated,
            ("sigma", "surround", "aspect", "angle"),
            ((0.2, widest / 2), surround, (1.0, 4.0), any_angle),
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
            ((0.1, 0.5, 1.0), widths, shifts, shifts),
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
    # Only the function that is no product of profiles needs its time more than its digits.
    dtype = torch.float32 if name == "elongated" else torch.float64
    return Grid(k, form == "discrete", device, dtype)


def unit(values: Tensor) -> Tensor:
    """Return rows centred and scaled to unit norm."""
    values = values - values.mean(dim=-1, keepdim=True)
    return values / values.norm(dim=-1, keepdim=True).clamp_min(1e-30)


def evaluate(function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return a function of parameters, (n, p), on the grid: centred, unit norm, (n, k·k)."""
    values = function.evaluate(grid, *parameters.unbind(1))
    if not isinstance(values, Tensor):
        values = (values[0].mT @ values[1]).flatten(1)
    return unit(values).unflatten(1, (grid.k, grid.k)).flip(1).flatten(1)


@cache
def _dictionary(k: int, name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    function, grid = functions(k)[name], grid_of(k, name, "continuous", device)
    starts = torch.tensor(list(itertools.product(*function.starts)), device=device)
    return starts, evaluate(function, grid, starts.to(grid.dtype)).float()


def begin(kernels: Tensor, k: int, name: str) -> Tensor:
    """Return the parameters of the best entry of the dictionary for each kernel, (n, p)."""
    starts, entries = _dictionary(k, name, kernels.device)
    best = [(block @ entries.T).abs().argmax(dim=1) for block in kernels.split(ROWS)]
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
    kernels = kernels.unflatten(1, (grid.k, grid.k)).flip(1).to(grid.axis.dtype)
    low, high = torch.tensor(function.limits, device=kernels.device, dtype=kernels.dtype).T
    here = torch.minimum(torch.maximum(start.to(kernels.dtype), low), high)
    cosine, gradient, curvature = _expand(kernels, function, grid, here)
    parameters, best = here.clone(), cosine.clone()
    rows = torch.arange(len(kernels), device=kernels.device)
    damping = torch.full_like(cosine, 1e-3)
    for _ in range(STEPS):
        # A parameter at its limit stays there while R² grows only beyond it.
        free = ~(((here <= low) & (gradient < 0)) | ((here >= high) & (gradient > 0)))
        masked = curvature * (free[:, :, None] & free[:, None, :])
        step = _solve(masked, gradient * free, damping)
        trial = torch.minimum(torch.maximum(here + step, low), high)
        promised = ((trial - here) * gradient).sum(dim=1)  # of R², twice as much as a quadratic's
        found = _expand(kernels, function, grid, trial)
        gain = found[0] ** 2 - cosine**2
        better = gain > 0
        here = torch.where(better[:, None], trial, here)
        cosine = torch.where(better, found[0], cosine)
        gradient = torch.where(better[:, None], found[1], gradient)
        curvature = torch.where(better[:, None, None], found[2], curvature)
        parameters[rows], best[rows] = here, cosine
        # A short step that gains little does not show that a long one would not.
        enough = torch.where(better, gain, 100 * promised) > GAIN
        going = (enough | (damping > 0.1)) & (damping < 1e3)
        damping = torch.where(better, damping * 0.1, damping * 8).clamp_min(1e-6)
        rows, kernels, here, damping = (t[going] for t in (rows, kernels, here, damping))
        cosine, gradient, curvature = (t[going] for t in (cosine, gradient, curvature))
        if not len(rows):
            break
    return parameters, best


def _expand(
    kernels: Tensor, function: Function, grid: Grid, parameters: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cosine, (n,), and of cos²/2 the gradient, (n, p), and minus the Hessian, (n, p, p).

    By central differences: in so few dimensions the Hessian is cheap, and where R² is far from 1
    Gauss and Newton's approximation of it converges slowly.
    """
    p = parameters.shape[1]
    h = 2e-2 if grid.dtype == torch.float32 else 1e-3
    one = torch.eye(p)
    pairs = list(itertools.combinations(range(p), 2))
    both = [one[i] + one[j] for i, j in pairs]
    moves = h * torch.stack([torch.zeros(p), *one, *-one, *both]).to(parameters)
    blocks = zip(kernels.split(BLOCK), parameters.split(BLOCK), strict=True)
    cosines = torch.cat(
        [_cosines(block, function, grid, values[:, None] + moves) for block, values in blocks]
    )
    f = cosines**2 / 2
    up, down = f[:, 1 : p + 1], f[:, p + 1 : 2 * p + 1]
    hessian = torch.diag_embed(2 * f[:, :1] - up - down)
    for index, (i, j) in enumerate(pairs, start=2 * p + 1):
        hessian[:, i, j] = hessian[:, j, i] = up[:, i] + up[:, j] - f[:, 0] - f[:, index]
    return cosines[:, 0], (up - down) / (2 * h), hessian / h**2


def _cosines(kernels: Tensor, function: Function, grid: Grid, parameters: Tensor) -> Tensor:
    """Return the cosines, (n, m), of kernels, (n, k, k), and functions of parameters, (n, m, p)."""
    n, m, _ = parameters.shape
    values = function.evaluate(grid, *parameters.flatten(0, 1).unbind(1))
    if isinstance(values, Tensor):
        inner = (values.unflatten(0, (n, m)) @ kernels.flatten(1)[:, :, None]).flatten()
        square, total = (values * values).sum(1), values.sum(1)
    else:
        # Sums over pixels are products of sums along y and x.
        y, x = values
        along_x = x.unflatten(0, (n, m)).flatten(1, 2) @ kernels.mT
        inner = (along_x.view_as(x) * y).sum((1, 2))
        square = ((y @ y.mT) * (x @ x.mT)).sum((1, 2))
        total = (y.sum(2) * x.sum(2)).sum(1)
    norm = (square - total**2 / grid.k**2).clamp_min(
        1e-60 if grid.dtype == torch.float64 else 1e-30
    )
    return (inner / norm.sqrt()).unflatten(0, (n, m))


def _solve(curvature: Tensor, gradient: Tensor, damping: Tensor) -> Tensor:
    """Solve (H + λ |diag H|) step = gradient for many small H at once, by Cholesky's method.

    Where H is not positive, pivots are taken by their size. A library's solver takes
    matrices one by one on a CPU, which costs more than all the rest.
    """
    p = gradient.shape[1]
    h = [[curvature[:, i, j] for j in range(p)] for i in range(p)]
    factor: list[list[Tensor]] = [[] for _ in range(p)]
    for i in range(p):
        size = h[i][i].abs() + 1e-6
        for j in range(i):
            rest = h[i][j] - sum(factor[i][m] * factor[j][m] for m in range(j))
            factor[i].append(rest / factor[j][j])
        rest = h[i][i] + damping * size - sum(value**2 for value in factor[i])
        factor[i].append(torch.maximum(rest.abs(), 1e-3 * size).sqrt())
    forward: list[Tensor] = []
    for i in range(p):
        rest = gradient[:, i] - sum(factor[i][m] * forward[m] for m in range(i))
        forward.append(rest / factor[i][i])
    step: list[Tensor] = [torch.empty(0)] * p
    for i in reversed(range(p)):
        rest = forward[i] - sum(factor[m][i] * step[m] for m in range(i + 1, p))
        step[i] = rest / factor[i][i]
    return torch.stack(step, dim=1)


NAMES = tuple(functions(5))
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
    own = torch.tensor([NAMES.index(name) for name, _ in pairs], device=device)
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
        columns = [PARAMETERS.index(name) for name in known[pair[0]].parameters]
        values[rows.nonzero(), torch.tensor(columns, device=device)] = fitted[pair][0][rows]
    angle = values[:, PARAMETERS.index("angle")]
    turned = (own[best] == NAMES.index("first")) & (amplitude < 0)
    whole = torch.where(own[best] == NAMES.index("first"), 2 * math.pi, math.pi)
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
        grid = grid_of(k, str(name), str(form), torch.device("cpu"))
        parameters = torch.tensor(part[list(function.parameters)].to_numpy(), dtype=grid.dtype)
        shape = evaluate(function, grid, parameters).numpy()
        scale, offset = (part[column].to_numpy()[:, None] for column in ("amplitude", "offset"))
        values[rows] = scale * shape + offset
    return values
