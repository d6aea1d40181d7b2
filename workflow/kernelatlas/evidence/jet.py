"""Local jets: kernels as sums of derivatives of one Gaussian about a moved centre, and an offset.

w(x, y) ≈ b + Σ c_ij ∂^{i+j} g(x − x₀, y − y₀; σ) / ∂xⁱ∂yʲ over i + j up to the order of the jet
(Koenderink & van Doorn, Biol. Cybern. 55, 1987; Lindeberg, Scale-Space Theory in Computer Vision,
1994), with the Gaussian g of integral 1, sampled at the pixels' centres. The coefficients c and b
are those of least squares, so that only σ, x₀ and y₀ are searched
(variable projection: Golub & Pereyra, SIAM J. Numer. Anal. 10, 1973), by
`kernelatlas.evidence.newton` from the best entry of a dictionary. A jet takes 5, 7, 10 and 14
numbers for the orders 0 to 3.

With derivatives along an angle θ (gauge coordinates) other sums take as few numbers:

jet1, jet2  the jets of order 1 and 2
hessian     the three second derivatives
ridge       g and its second derivative along θ
edge        the first and third derivative along θ
gauge       g, its first, second and third derivative along θ, the second one across

Of those of seven numbers and of those of ten the better one is kept with its name, which takes 2
bits and 1 bit more.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import cache, partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kernelatlas.evidence.batches import in_batches
from kernelatlas.evidence.derivatives import Sum, count, images
from kernelatlas.evidence.dictionary import best_entry, orthonormal
from kernelatlas.evidence.fits import RESOLVED
from kernelatlas.evidence.formulas import along, products, unit
from kernelatlas.evidence.functions import check_size
from kernelatlas.evidence.grid import Grid
from kernelatlas.evidence.newton import refine
from kernelatlas.evidence.projection import backward, cholesky, forward
from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.layer import side

ORDERS = (0, 1, 2, 3)
KEPT = ORDERS[:3]  # whose parameters and coefficients are kept
DERIVATIVES = ("g", "gx", "gy", "gxx", "gxy", "gyy")  # of `KEPT`, in the order of coefficients
PLACE = ("sigma", "x", "y")
SEVEN, TEN = ("jet1", "hessian", "ridge", "edge"), ("jet2", "gauge")
BEST = {"seven": SEVEN, "ten": TEN}  # sets of sums of as many numbers
SUMS = tuple(f"{name}_sum" for name in BEST)
LIMITS = tuple(f"{name}_at_limit" for name in BEST)
LEFT = 1  # degrees of freedom that the selected order leaves, at least
BATCH = 32_768  # kernels at once, or fewer if they are large
ROWS = 512  # kernels whose coefficients are found at once: few enough for a processor's cache
PART = 1024  # entries of a dictionary made at once, or fewer if kernels are large

R2 = tuple(f"jet_r2_{order}" for order in ORDERS)
AT_LIMIT = tuple(f"jet_at_limit_{order}" for order in ORDERS)
ENERGIES = tuple(f"jet_energy_{part}" for part in ("gaussian", "laplacian", "first", "oriented"))
# What nulls are compared by.
SUMMARY = (*R2, *AT_LIMIT, "jet_order", *ENERGIES, "seven_r2", "ten_r2")


def numbers(order: int) -> tuple[str, ...]:
    """Return the columns of a jet's parameters and coefficients; the offset is the mean."""
    return tuple(f"jet{order}_{name}" for name in (*PLACE, *DERIVATIVES[: count(order)]))


SCHEMA = {
    **dict.fromkeys(R2, "float32"),
    **dict.fromkeys(AT_LIMIT, "object"),
    "jet_order": "Int8",
    **dict.fromkeys([*ENERGIES, "jet_direction", "jet_axis"], "float32"),
    **{name: "float32" for order in KEPT for name in numbers(order)},
    **{f"{name}{part}": kind for name in BEST
       for part, kind in (("_sum", "object"), ("_r2", "float32"), ("_at_limit", "object"),
                          ("", "object"))},
}  # fmt: skip


# Derivatives along an angle, each by its degree and the turn of its axis.
RIDGE = ((0, 0.0), (2, 0.0))
EDGE = ((1, 0.0), (3, 0.0))
GAUGE = (*((order, 0.0) for order in ORDERS), (2, math.pi / 2))


def _weights(turns: Sequence[tuple[int, float]], angle: Tensor) -> Tensor:
    """Return the weights of the derivatives in those along an angle, (t, n)."""
    return torch.cat([along(angle + turn, degree) for degree, turn in turns])


@cache
def sums(k: int) -> dict[str, Sum]:
    """Return the sums of derivatives that are fitted to k×k kernels, by name.

    Raises
    ------
    KernelAtlasError
        If k is below 3.
    """
    check_size(k)
    reach, far = min(1.5, (k - 1) / 2), k / 2
    places, few = (tuple(np.linspace(-reach, reach, n).tolist()) for n in (11, 7))
    angles = tuple((np.arange(8) * math.pi / 8).tolist())
    shift, turn = (-far, far), (-math.inf, math.inf)

    def scales(order: int) -> tuple[tuple[float, float], tuple[float, ...]]:
        low = 0.3 if order < 3 else 0.4  # pixels tell no narrower ones apart
        return (low, float(k)), tuple(np.geomspace(1.15 * low, far, 7).tolist())

    def straight(*orders: int) -> Sum:
        order = max(orders)
        sigma, sigmas = scales(order)
        return Sum(
            PLACE, (sigma, shift, shift), (sigmas, places, places),
            order=order, parts=tuple((place,) for place in products(*orders)),
        )  # fmt: skip

    def turned(turns: Sequence[tuple[int, float]]) -> Sum:
        order = max(degree for degree, _ in turns)
        sigma, sigmas = scales(order)
        return Sum(
            ("sigma", "angle", "x", "y"), (sigma, turn, shift, shift),
            (sigmas, angles, few, few), order=order,
            parts=tuple(products(degree) for degree, _ in turns), weights=partial(_weights, turns),
        )  # fmt: skip

    jets = {f"jet{order}": straight(*range(order + 1)) for order in ORDERS if count(order) < k * k}
    return jets | {
        "hessian": straight(2),
        "ridge": turned(RIDGE),
        "edge": turned(EDGE),
        "gauge": turned(GAUGE),
    }


@cache
def _grid(k: int, device: torch.device) -> Grid:
    return Grid(k, False, device, torch.float64)


@cache
def _dictionary(k: int, name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    function, grid = sums(k)[name], _grid(k, device)
    starts = torch.tensor(
        list(itertools.product(*function.starts)), device=device, dtype=torch.float64
    )
    parts = starts.split(at_once(k * k, PART))
    return starts, torch.cat(
        [orthonormal(images(function, grid, part.T)).float() for part in parts], 1
    )


def begin(kernels: Tensor, k: int, name: str) -> tuple[Tensor, Tensor]:
    """Return the parameters, (n, p), and R², (n,), of the best entry of the dictionary."""
    return best_entry(kernels, *_dictionary(k, name, kernels.device))


def fit(weights: np.ndarray, device: str | torch.device = "cpu") -> pd.DataFrame:
    """Fit jets of every order and the other sums to every kernel.

    Parameters
    ----------
    weights : ndarray of shape (n, k·k)
        Raw, row by row, k at least 3. Degenerate kernels may be among them.

    Returns
    -------
    DataFrame of n rows
        Columns of `SCHEMA`, as results/README.md describes them; empty for degenerate kernels.
        Coefficients are in the units of the weights times pixels^(2 + order of the derivative).
        The selected order has the least Bayesian information criterion n·ln(1 − R²) + p·ln(n)
        of those that leave a degree of freedom. Energies are the shares of ‖w − mean(w)‖² that
        parts of the jet of order 2 add one after another, orthonormalised on the pixels in this
        order: g, its Laplacian, both first derivatives, gxx − gyy with gxy.
    """
    k = side(weights)
    sums(k)  # refuses kernels that are too small
    what = f"jets of {k}x{k} kernels"
    return in_batches(weights, lambda block: _fit_batch(block, k), SCHEMA, BATCH, device, what)


def _fit_batch(raw: Tensor, k: int) -> pd.DataFrame:
    grid, units = _grid(k, raw.device), unit(raw.double())
    kernels = units.float()
    scale = (raw.double() - raw.double().mean(1, keepdim=True)).norm(dim=1)
    solved: dict[str, Tensor] = {}
    r2: dict[str, Tensor] = {}
    at_limit = {}
    for name, function in sums(k).items():
        # Nothing is better than a sum of as many numbers that leaves nothing.
        rivals = [r2[other] for other in _earlier(name)]
        best = torch.stack([torch.zeros_like(scale), *rivals]).amax(0)
        rows = (best < 1 - RESOLVED).nonzero()[:, 0]
        start, _ = begin(kernels[rows], k, name)
        place, _ = refine(kernels[rows], function, grid, start)
        place = place.float()  # as it is stored
        coefficients, shares = _solve(units[rows], function, grid, place.double())
        stored = torch.cat([place, coefficients * scale[rows, None].float()], 1)
        solved[name] = stored.new_full((len(raw), stored.shape[1]), math.nan)
        r2[name], at_limit[name] = torch.zeros_like(best), np.full(len(raw), None, dtype=object)
        solved[name][rows], r2[name][rows] = stored, shares
        at_limit[name][rows.cpu().numpy()] = function.at_limits(place)
    jets = [f"jet{order}" for order in ORDERS if f"jet{order}" in solved]
    table = {column: r2[name] for name, column in zip(jets, R2, strict=False)}
    table["jet_order"] = _select([r2[name] for name in jets], k)
    table |= _describe(units, grid, solved["jet2"])
    found = {name: values.cpu().numpy() for name, values in solved.items()}
    columns = {name: tensor.cpu().numpy() for name, tensor in table.items()}
    for order in KEPT:
        columns |= dict(zip(numbers(order), found[f"jet{order}"].T, strict=True))
    columns |= {column: at_limit[name] for name, column in zip(jets, AT_LIMIT, strict=False)}
    lists = {}
    for name, members in BEST.items():
        every = torch.stack([r2[member] for member in members]).cpu().numpy()
        best, at = every.argmax(0), np.arange(len(raw))
        columns[f"{name}_sum"] = np.array(members, dtype=object)[best]
        columns[f"{name}_r2"] = every[best, at]
        columns[f"{name}_at_limit"] = np.stack([at_limit[m] for m in members])[best, at]
        lists[name] = list(np.stack([found[member] for member in members])[best, at])
    return pd.DataFrame(columns).assign(**lists).reindex(columns=list(SCHEMA))


def _earlier(name: str) -> list[str]:
    """Return the sums of as many numbers that are fitted before."""
    sets = [members for members in BEST.values() if name in members]
    return [other for members in sets for other in members[: members.index(name)]]


def _solve(units: Tensor, function: Sum, grid: Grid, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best coefficients of normalised kernels, (n, q), and R² with them, (n,).

    R² is that of single precision, in which coefficients are stored: a sum may consist of large
    parts that nearly cancel.
    """
    coefficients = units.new_empty(len(units), len(function.parts), dtype=torch.float32)
    r2 = units.new_empty(len(units))
    rows = at_once(grid.k**2, ROWS, units.device.type)
    blocks = (values.split(rows) for values in (units, place, coefficients, r2))
    for kernels, at, best, share in zip(*blocks, strict=True):
        parts = images(function, grid, at.T)
        parts -= parts.mean(2, keepdim=True)
        factor = cholesky((parts @ parts.mT).permute(1, 2, 0))
        shares = forward(factor, (parts @ kernels[:, :, None])[:, :, 0].T)
        best.copy_(torch.stack(backward(factor, shares), 1))
        rest = torch.baddbmm(kernels[:, None], best.double()[:, None], parts, alpha=-1)
        share.copy_(1 - rest.square().sum((1, 2)))
    return coefficients, r2


def _select(r2: list[Tensor], k: int) -> Tensor:
    """Return the order that the criterion selects."""
    n = k * k
    counts = [count(order) + 4 for order in range(len(r2))]
    criteria = [
        n * (1 - values).clamp_min(RESOLVED).log() + count * math.log(n)
        for values, count in zip(r2, counts, strict=True)
        if n - count >= LEFT
    ]
    return torch.stack(criteria).argmin(0)


def _describe(units: Tensor, grid: Grid, jet: Tensor) -> dict[str, Tensor]:
    """Return energies and angles of jets of order 2."""
    function, energies = sums(grid.k)["jet2"], units.new_empty(len(units), len(ENERGIES))
    rows = at_once(grid.k**2, ROWS, units.device.type)
    blocks = (values.split(rows) for values in (units, jet[:, :3].double(), energies))
    for kernels, place, found in zip(*blocks, strict=True):
        g, gx, gy, gxx, gxy, gyy = images(function, grid, place.T).unbind(1)
        bases = orthonormal(torch.stack([g, gxx + gyy, gx, gy, gxx - gyy, gxy], 1))
        energy = (bases * kernels).sum(2).square().T
        first, oriented = energy[:, 2:4].sum(1), energy[:, 4:].sum(1)
        found.copy_(torch.stack([energy[:, 0], energy[:, 1], first, oriented], 1))
    _, cx, cy, cxx, cxy, cyy = jet[:, 3:].double().T
    return dict(zip(ENERGIES, energies.T, strict=True)) | {
        "jet_direction": torch.atan2(-cy, -cx) % (2 * math.pi),
        "jet_axis": torch.atan2(cxy, cxx - cyy) / 2 % math.pi,
    }


def render(values: np.ndarray, name: str, k: int) -> np.ndarray:
    """Return a sum of derivatives, centred, (n, k·k).

    Parameters
    ----------
    values : ndarray of shape (n, p)
        Parameters and coefficients of `sums` of this name.
    """
    function, found = sums(k)[name], [np.zeros((0, k * k), np.float32)]
    for block in torch.from_numpy(np.array(values, np.float64)).split(at_once(k * k, BATCH)):
        image = _image(block, function, _grid(k, block.device))
        found.append(image.numpy().astype(np.float32))
    return np.concatenate(found)


def _image(values: Tensor, function: Sum, grid: Grid) -> Tensor:
    p = len(function.parameters)
    image = (values[:, p:, None] * images(function, grid, values[:, :p].T)).sum(1)
    return image - image.mean(1, keepdim=True)


def render_jet(table: pd.DataFrame, k: int, order: int) -> np.ndarray:
    """Return the jets of an order, of those in `KEPT`, (n, k·k) float32; zeros if degenerate.

    Parameters
    ----------
    table
        Columns of `fit` and the offset of `kernelatlas.evidence.fits.fit`, of kernels of a size.
    """
    columns = list(numbers(order))
    return _rendered(table, k, table[columns].itertuples(index=False), f"jet{order}")


def render_best(table: pd.DataFrame, k: int, name: str) -> np.ndarray:
    """Do the same for the best sums of as many numbers, one of `BEST`."""
    return _rendered(table, k, table[name], table[f"{name}_sum"])


def _rendered(table: pd.DataFrame, k: int, values: Iterable, names: str | pd.Series) -> np.ndarray:
    kernels = np.zeros((len(table), k * k), np.float32)
    rows = pd.Series(list(values), dtype=object)
    used = pd.Series(names, index=range(len(table))) if isinstance(names, str) else names
    valid = table["offset"].notna().to_numpy()
    for name, group in pd.Series(np.flatnonzero(valid)).groupby(np.asarray(used)[valid]):
        kernels[group] = render(np.stack(rows[group].to_list()), str(name), k)
    kernels[valid] += table["offset"].to_numpy()[valid, None]
    return kernels
