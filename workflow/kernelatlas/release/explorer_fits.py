"""The fitted functions of the explorer: their parameters in one or two bytes each."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kernelatlas import names
from kernelatlas.release.explorer_rows import r2_levels
from kernelatlas.release.explorer_tables import (
    LOGARITHMIC,
    PARAMETERS,
    TURNS,
    texts_of,
    values,
)

FORMS = ("continuous", "discrete")
UNITS = {
    **dict.fromkeys(("sigma", "width", "x", "y"), "px"),
    **dict.fromkeys(TURNS, "rad"),
    "frequency": "rad/px",
    **dict.fromkeys(("ratio", "surround", "aspect"), ""),
}
WHOLE_TURNS = ("first", "shifted first")  # functions whose angle has a direction
MOVED = ("shifted dog", "shifted first", "shifted second")


def delicate(function: np.ndarray, form: np.ndarray, fits: pa.Table, k: int) -> np.ndarray:
    """Tell of which fits a byte a parameter is too coarse, (n,) bool.

    Their functions nearly vanish on the pixels, or are differences of nearly equal ones, so that
    small changes of a parameter give another kernel: waves of nearly two pixels, or next to their
    zero; derivatives far narrower than a pixel; Gaussians of nearly equal width.
    """
    sigma, ratio, frequency, phase = (
        values(fits[name]) for name in ("sigma", "ratio", "frequency", "phase")
    )
    with np.errstate(invalid="ignore"):
        wave = (frequency > 2.5) | (sigma < 0.4)
        wave |= (frequency < 0.5) & (np.abs(np.cos(phase)) < 0.2)
        narrow = np.isin(function, MOVED) & (form == "continuous") & (sigma < 0.6)
        equal = (function == "dog") & (ratio < 1.3) & (k > names.SMALLEST_FIT)
    return ((function == "gabor") & wave) | narrow | equal


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function in bytes.

    Attributes
    ----------
    scale
        `log`, `linear`, or `turn` of angles that begin again at `high`.
    low, high
        Its least and its greatest value; of turns 0 and the whole turn.
    """

    name: str
    scale: str
    low: float
    high: float

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to read the bytes."""
        return {
            "name": self.name,
            "unit": UNITS[self.name],
            "low": self.low,
            "high": self.high,
            "scale": self.scale,
        }

    def encode(self, exact: np.ndarray, many: int) -> np.ndarray:
        """Return values as so many bytes, the lowest first, (n, many) uint8."""
        exact, steps = np.asarray(exact, np.float64), 256**many
        if self.scale == "turn":
            levels = np.rint(exact % self.high / self.high * steps) % steps
        else:
            low, high = self.low, self.high
            if self.scale == "log":
                exact, low, high = np.log(exact), np.log(low), np.log(high)
            share = (exact - low) / (high - low) if high > low else np.zeros(len(exact))
            levels = np.clip(np.rint(share * (steps - 1)), 0, steps - 1)
        levels = np.nan_to_num(levels).astype(f"<u{many}")
        return levels.view(np.uint8).reshape(-1, many)


@dataclass(frozen=True)
class Fit:
    """A function in one form, and how its parameters are written.

    Attributes
    ----------
    bytes
        Of each parameter.
    """

    function: str
    form: str
    bytes: int
    parameters: list[Parameter]

    @property
    def size(self) -> int:
        """Bytes of all parameters."""
        return self.bytes * len(self.parameters)

    def describe(self) -> dict[str, Any]:
        """Return what the index says of it."""
        return {
            "function": self.function,
            "form": self.form,
            "bytes": self.bytes,
            "parameters": [parameter.describe() for parameter in self.parameters],
        }


@dataclass
class Fits:
    """Which functions the kernels of a size have, and in what ranges their parameters are."""

    k: int
    kinds: set[tuple[str, str, int]] = field(default_factory=set)
    limits: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def see(self, fits: pa.Table) -> None:
        """Note the functions of more kernels, and the values of their parameters."""
        function, form, many = self._kinds(fits)
        known = many > 0
        self.kinds |= set(zip(function[known], form[known], many[known].tolist(), strict=True))
        for name in PARAMETERS:
            column = values(fits[name])
            here = known & np.isfinite(column)
            for one, part in pd.Series(column[here]).groupby(function[here]):
                low, high = self.limits.get((str(one), name), (np.inf, -np.inf))
                ends = float(part.min()), float(part.max())
                self.limits[str(one), name] = min(low, ends[0]), max(high, ends[1])

    @property
    def all(self) -> list[Fit]:
        """All fits; their numbers count from 1."""
        return [
            Fit(
                function,
                form,
                many,
                [
                    self._parameter(function, name)
                    for name in PARAMETERS
                    if (function, name) in self.limits
                ],
            )
            for function in names.FUNCTIONS
            for form in FORMS
            for many in (1, 2)
            if (function, form, many) in self.kinds
        ]

    def encode(self, fits: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the number of each fit, the level of its R², and its parameters.

        Returns
        -------
        number : ndarray of shape (n,), uint8
            0 without a fit.
        r2 : ndarray of shape (n,), uint8
        parameters : ndarray of shape (n, bytes), uint8
            As many as the longest needs.
        """
        function, form, many = self._kinds(fits)
        every = self.all
        number = np.zeros(len(many), np.uint8)
        parameters = np.zeros((len(many), max((fit.size for fit in every), default=0)), np.uint8)
        for place, fit in enumerate(every, 1):
            here = (function == fit.function) & (form == fit.form) & (many == fit.bytes)
            number[here] = place
            for at, parameter in enumerate(fit.parameters):
                columns = slice(at * fit.bytes, (at + 1) * fit.bytes)
                exact = values(fits[parameter.name])[here]
                parameters[here, columns] = parameter.encode(exact, fit.bytes)
        return number, r2_levels(values(fits["r2"])), parameters

    def _kinds(self, fits: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return function, form and bytes of a parameter, 0 without a fit."""
        function, form = texts_of(fits["function"]), texts_of(fits["form"])
        known = pd.notna(function)
        return function, form, known * (1 + delicate(function, form, fits, self.k))

    def _parameter(self, function: str, name: str) -> Parameter:
        low, high = self.limits[function, name]
        # A wave that is turned by π has another phase: its angle must not begin again.
        if name in TURNS and not (function == "gabor" and name == "angle"):
            whole = name == "phase" or function in WHOLE_TURNS
            return Parameter(name, "turn", 0.0, 2 * np.pi if whole else np.pi)
        return Parameter(name, "log" if name in LOGARITHMIC else "linear", low, high)
