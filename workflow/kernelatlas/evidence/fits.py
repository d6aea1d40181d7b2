"""Analytic functions fitted to kernels: which, with what parameters, and how well.

Each fit begins at the best entry of a dictionary, that of the discrete form where the continuous
one ended, and goes on by damped Newton steps on R² (`kernelatlas.evidence.newton`). Of the
functions that leave at least `FREE` degrees of freedom the one with the least extended Bayesian
information criterion n·ln(1 − R²) + p·ln(n) + 2·ln(m) is selected (Chen & Chen, Biometrika 95,
2008): n pixels, p the number of shape parameters, m the number of functions with as many. The
last term answers for the choice: of six functions that hold the true one, one fits its noise well.
"""

import itertools
import math
from functools import cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kernelatlas.evidence.batches import in_batches
from kernelatlas.evidence.dictionary import best_entry, orthonormal
from kernelatlas.evidence.formulas import (
    FORMS,
    PARAMETERS,
    Function,
    components,
    evaluate,
    grid_of,
    symmetric,
    unit,
)
from kernelatlas.evidence.functions import functions
from kernelatlas.evidence.grid import Grid
from kernelatlas.evidence.newton import refine
from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import degenerate
from kernelatlas.names import FUNCTIONS

ROUNDED = 1e-5  # of R², more than its rounding
RESOLVED = 1e-6  # of 1 − R²: what single precision tells
BATCH = 32_768  # kernels at once, or fewer if they are large
PART = 1024  # entries of a dictionary made at once, or fewer if kernels are large
FIRSTS = [FUNCTIONS.index(name) for name in ("first", "shifted first")]  # of whole turns

SCHEMA = {
    **dict.fromkeys(("function", "form"), "object"),
    "r2": "float32",
    "runner_up": "object",
    "runner_up_r2": "float32",
    "other_form_r2": "float32",
    **dict.fromkeys(("amplitude", "offset", *PARAMETERS), "float32"),
    "at_limit": "object",
    **dict.fromkeys(("shifted_x", "shifted_y", "shifted_r2"), "float32"),
    "shifted_at_limit": "object",
    "degenerate": "bool",
}


@cache
def _dictionary(k: int, name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    function, grid = functions(k)[name], grid_of(k, name, "continuous", device)
    starts = torch.tensor(list(itertools.product(*function.starts)), device=device)

    def bases(parameters: Tensor) -> Tensor:
        if function.closed in ("angle", "phase"):
            return orthonormal(components(function, grid, parameters))
        return evaluate(function, grid, parameters)[None]

    parts = starts.to(grid.dtype).split(at_once(k * k, PART))
    return starts, torch.cat([bases(part).float() for part in parts], 1)


def begin(kernels: Tensor, k: int, name: str) -> tuple[Tensor, Tensor]:
    """Return the parameters, (n, p), and R², (n,), of the best entry of the dictionary."""
    return best_entry(kernels, *_dictionary(k, name, kernels.device))


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
        `PARAMETERS`, in pixels and radians, empty where the function has no such parameter;
        at_limit, the parameters that ended at a limit of the search, as
        `kernelatlas.evidence.formulas.Search.at_limits` names them; shifted_x, shifted_y,
        shifted_r2 and shifted_at_limit of the best shifted Gaussian; degenerate. Degenerate
        kernels have nothing else.

    Raises
    ------
    KernelAtlasError
        If kernels are smaller than 3×3.
    """
    k = side(weights)
    known = functions(k)
    fitted = {name: kind for name, kind in SCHEMA.items() if name != "degenerate"}
    what = f"fits of {k}x{k} kernels"
    found = in_batches(
        weights, lambda block: _fit_batch(block, k, known), fitted, BATCH, device, what
    )
    return found.assign(degenerate=degenerate(weights))


def charge(known: dict[str, Function], name: str, n: int) -> float:
    """Return what the criterion charges for a function's parameters on n pixels."""
    p = len(known[name].parameters)
    alike = sum(len(other.parameters) == p for other in known.values())
    return p * math.log(n) + 2 * math.log(alike)


def _fit_batch(raw: Tensor, k: int, known: dict[str, Function]) -> pd.DataFrame:
    device = raw.device
    kernels = unit(raw.double()).float()
    pairs = list(itertools.product(known, FORMS))
    fitted = _search(kernels, k, known)
    cosine = torch.stack([fitted[pair][1] for pair in pairs])  # (pairs, n)
    r2, n = cosine**2, k * k
    criterion = torch.stack(
        [_criterion(values, known, name, n) for values, (name, _) in zip(r2, pairs, strict=True)]
    )
    best = criterion.argmin(dim=0)
    # Neither form of the selected function can be the runner-up.
    own = torch.tensor([FUNCTIONS.index(name) for name, _ in pairs], device=device)
    others = criterion.masked_fill(own[:, None] == own[best], math.inf)
    second = others.argmin(dim=0)
    at = torch.arange(len(raw), device=device)
    # The two forms of a function are neighbours in the list of pairs.
    other_form = best ^ 1
    shift, shift_cosine = _better_shift(fitted)
    values = torch.full((len(raw), len(PARAMETERS)), math.nan, device=device)
    amplitude = cosine[best, at]
    at_limit = np.full(len(raw), None, dtype=object)
    for index, pair in enumerate(pairs):
        rows = best == index
        function, parameters = known[pair[0]], fitted[pair][0][rows]
        columns_of = [PARAMETERS.index(name) for name in function.parameters]
        values[rows.nonzero(), torch.tensor(columns_of, device=device)] = parameters
        at_limit[rows.cpu().numpy()] = function.at_limits(parameters)
    first = torch.isin(own[best], torch.tensor(FIRSTS, device=device))
    angle, phase = (values[:, PARAMETERS.index(name)] for name in ("angle", "phase"))
    half_turns = (angle / math.pi).floor()
    values[:, PARAMETERS.index("phase")] = phase * (1 - 2 * (half_turns % 2)) % (2 * math.pi)
    whole = torch.where(first, 2 * math.pi, math.pi)
    values[:, PARAMETERS.index("angle")] = angle % whole
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
        at_limit=at_limit,
        shifted_at_limit=known["shifted"].at_limits(shift),
    )


def _criterion(r2: Tensor, known: dict[str, Function], name: str, n: int) -> Tensor:
    return n * (1 - r2).clamp_min(RESOLVED).log() + charge(known, name, n)


def _search(
    kernels: Tensor, k: int, known: dict[str, Function]
) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """Return the parameters, (n, p), and cosines, (n,), of each function in each form.

    A function with a symmetry is not searched for a kernel of which two others have more than
    it can have: there it stays the best entry of the dictionary.
    """
    n, bounds = k * k, symmetric(kernels, k)
    starts = {name: begin(kernels, k, name) for name in known}
    reached = {name: _criterion(r2, known, name, n) for name, (_, r2) in starts.items()}
    fitted = {}
    # The others first: what they reach tells more than what they begin with.
    for name in sorted(known, key=lambda name: known[name].symmetry != ""):
        function, (start, r2) = known[name], starts[name]
        rows = torch.arange(len(kernels), device=kernels.device)
        if function.symmetry:
            others = torch.stack([values for other, values in reached.items() if other != name])
            least = _criterion(bounds[function.symmetry] + ROUNDED, known, name, n)
            rows = (least <= others.kthvalue(2, dim=0).values).nonzero()[:, 0]
        searched, place = kernels[rows], start[rows]
        for form in FORMS:  # the discrete form begins where the continuous one ended
            grid = grid_of(k, name, form, kernels.device)
            place, cosines = refine(searched, function, grid, place)
            parameters, cosine = start.float().clone(), r2.sqrt()
            parameters[rows], cosine[rows] = place.float(), cosines.float()
            fitted[name, form] = parameters, cosine
            reached[name] = torch.minimum(reached[name], _criterion(cosine**2, known, name, n))
    return fitted


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
    rows = at_once(k * k, BATCH)
    for begin in range(0, len(fits), rows):
        values[begin : begin + rows] = _render_batch(fits.iloc[begin : begin + rows], k)
    return values


def _render_batch(fits: pd.DataFrame, k: int) -> np.ndarray:
    values = np.zeros((len(fits), k * k), np.float32)
    position = pd.Series(np.arange(len(fits)))
    for (name, form), rows in position.groupby(
        [fits["function"].to_numpy(), fits["form"].to_numpy()]
    ):
        function = functions(k)[str(name)]
        part = fits.iloc[rows]
        # In double precision, so that a result does not depend on the number of kernels.
        grid = Grid(k, form == "discrete", torch.device("cpu"), torch.float64)
        parameters = torch.tensor(part[list(function.parameters)].to_numpy(), dtype=grid.dtype)
        shape = evaluate(function, grid, parameters).numpy()
        scale, offset = (part[column].to_numpy()[:, None] for column in ("amplitude", "offset"))
        values[rows] = scale * shape + offset
    return values
