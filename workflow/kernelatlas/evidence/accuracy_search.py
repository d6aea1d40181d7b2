"""Master keys chosen by the accuracy of a network, beside those chosen by R².

After arXiv 2509.11711: filters are sampled from the decoded curve at equal distances, every kernel
becomes its best a·f + b of them, and filters are removed one by one, each time the one without
which the network is most accurate. The curve is then sampled anew around the best ten, and filters
are removed again. How densely, and what follows, is our choice: as each step would test the
network once for each filter, only those are tried whose removal costs least R², on some of the
pictures, and equal accuracies are decided by R². What is chosen is tested on the other pictures.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.clustering.curve import Curve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.intervals import share
from kernelatlas.evidence.trials import Trial
from kernelatlas.evidence.variants import by_filters
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.running.progress import Progress, tracked
from kernelatlas.running.resume import Finished

BEST = 10  # filters around which the curve is sampled anew
AROUND = (-0.4, -0.2, 0.2, 0.4)  # where, in distances between the first samples
SEEDS = (0, 1, 2)  # of filters chosen at random
ACCURACY, R2, RANDOM, UNTOUCHED = "accuracy", "R²", "random choice", "untouched"

SCHEMA = {
    "k": "Int16",
    "criterion": "object",
    **dict.fromkeys(("stage", "seed", "filters"), "Int16"),
    "codes": "object",
    **dict.fromkeys(("mean_r2", "accuracy_search", "accuracy", "low", "high"), "float64"),
    "measure": "object",
    **dict.fromkeys(("pictures_search", "pictures"), "Int64"),
    "chance": "float64",
    "skipped": "object",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How filters are searched.

    Attributes
    ----------
    codes, keys
        Filters with which the search begins and ends.
    pictures
        Number of pictures, or of crops, that filters are chosen by.
    candidates
        Filters that are tried at each step.
    """

    codes: int
    keys: int
    pictures: int
    candidates: int


def greedy(
    r2: np.ndarray,
    least: int,
    candidates: int,
    measure: Callable[[np.ndarray], float],
    removed: Sequence[int] = (),
    on_step: Callable[[list[int]], object] = lambda removed: None,
) -> list[int]:
    """Remove filters one by one, each time the one without which the measure is highest.

    Parameters
    ----------
    r2 : ndarray of shape (n, m)
        What each of m filters explains of each of n kernels.
    least
        Number of filters that remain.
    candidates
        Number of filters that are tried at each step: those whose removal lowers the mean R²
        least.
    measure
        Is given the filters that would remain, in ascending order. Of equal values the filter
        whose removal costs less R² is removed.
    removed
        Filters that are removed already, in order.
    on_step
        Is given the removed filters after each step.

    Returns
    -------
    list of int
        The removed filters, in order.
    """
    gone = list(removed)
    while r2.shape[1] - len(gone) > least:
        left = np.setdiff1d(np.arange(r2.shape[1]), gone)
        explained = r2[:, left]
        best = explained.argmax(axis=1)
        ordered = np.sort(explained, axis=1)
        cost = np.bincount(best, ordered[:, -1] - ordered[:, -2], minlength=len(left))
        tried = np.argsort(cost, kind="stable")[:candidates]
        values = [measure(np.delete(left, place)) for place in tried] if len(tried) > 1 else [0.0]
        gone.append(int(left[tried[int(np.argmax(values))]]))
        on_step(gone)
    return gone


def around(places: np.ndarray, distance: float, points: int) -> np.ndarray:
    """Return places on the curve and others around them, in ascending order.

    Parameters
    ----------
    places
        Of points of the curve.
    distance
        Points between two of the first samples.
    points
        Of the curve.
    """
    others = np.concatenate([places + offset * distance for offset in AROUND])
    return np.unique(np.concatenate([places, others.round().astype(int).clip(0, points - 1)]))


def search(
    trial: Trial,
    curve: Curve,
    settings: Settings,
    resume: str | Path,
    code: str = "",
) -> pd.DataFrame:
    """Search filters for the kernels of a network that have the size of a curve.

    Kernels of other sizes stay as they are.

    Parameters
    ----------
    resume
        A file in which the removed filters are saved at every step. If it exists and all else is
        the same, the search resumes from it. It is removed at the end.
    code
        Digest of the code of the search.

    Returns
    -------
    DataFrame
        Columns as in results/README.md, without model.

    Raises
    ------
    KernelAtlasError
        If the pictures that filters are chosen by leave none to test on.
    """
    identity = [trial.identity, code, curve.k, vars(settings), _digest(curve.points)]
    saved = Finished(resume, identity)
    first = np.linspace(0, len(curve.points) - 1, settings.codes).round().astype(int)
    distance = (len(curve.points) - 1) / max(settings.codes - 1, 1)
    network = _Network(trial, curve, settings.pictures)
    stages = []
    for criterion, tried in ((ACCURACY, settings.candidates), (R2, 1)):
        places = first
        for stage, least in ((1, max(BEST, settings.keys)), (2, settings.keys)):
            key = f"{criterion} {stage}"
            known = saved.values.get(key, [])
            with Progress(f"search by {key}", len(places) - least, "filters") as progress:
                progress.skip(len(known))

                def removed(gone: list[int], key: str = key, done: Progress = progress) -> None:
                    saved.save(key, gone)
                    done.advance()

                of_places = partial(network.accuracy, places)
                gone = greedy(network.r2(places), least, tried, of_places, known, removed)
            stages.append((criterion, stage, places, gone))
            places = around(np.delete(places, gone), distance, len(curve.points))
    rows = _rows(network, stages, settings.keys)
    saved.remove()
    return _table(rows)


class _Network:
    """A network whose k×k kernels are replaced by the best a·f + b of points of a curve."""

    def __init__(self, trial: Trial, curve: Curve, pictures: int) -> None:
        self.trial, self.curve = trial, curve
        self.layers = {name: w for name, w in trial.kernels.items() if side(w) == curve.k}
        raw = np.concatenate(list(self.layers.values()))
        self.kernels = normalise(raw[~degenerate(raw)])
        groups = trial.pictures // trial.members
        wanted = min(max(pictures // trial.members, 1), groups)
        self.chosen = np.unique(np.linspace(0, groups - 1, wanted).round().astype(int))
        self.others = np.setdiff1d(np.arange(groups), self.chosen)
        if not len(self.others):
            raise KernelAtlasError(
                f"search.pictures: {pictures} of {trial.pictures} pictures to choose filters by "
                "leave none to test them on: lower it"
            )

    def r2(self, places: np.ndarray) -> np.ndarray:
        return (self.kernels @ self.curve.points[places].T) ** 2

    def accuracy(self, places: np.ndarray, left: np.ndarray) -> float:
        """Return the accuracy with some of the points, on the pictures to choose by."""
        return float(self._right(self._replaced(places[left]), self.chosen).mean())

    def row(self, places: np.ndarray | None, **known: Any) -> dict[str, Any]:
        """Return a row of the table: of some points of the curve, or of the network's own."""
        of_filters: dict[str, Any] = {"mean_r2": 1.0}
        replaced: dict[str, np.ndarray] = {}
        if places is not None:
            r2 = self.r2(places).max(axis=1).mean(dtype=np.float64)
            of_filters = {"filters": len(places), "codes": self.curve.codes[places], "mean_r2": r2}
            replaced = self._replaced(places)
        right = self._right(replaced, self.others)
        estimate = share(right.sum(axis=1), np.full(len(right), right.shape[1]))
        return {
            "k": self.curve.k,
            **known,
            **of_filters,
            "accuracy_search": self._right(replaced, self.chosen).mean(),
            "accuracy": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "measure": self.trial.measure,
            "pictures_search": len(self.chosen) * self.trial.members,
            "pictures": len(self.others) * self.trial.members,
            "chance": self.trial.chance,
        }

    def _replaced(self, places: np.ndarray) -> dict[str, np.ndarray]:
        filters = self.curve.points[places]
        return {name: by_filters(weights, filters) for name, weights in self.layers.items()}

    def _right(self, replaced: dict[str, np.ndarray], which: np.ndarray) -> np.ndarray:
        return self.trial.answers(replaced, groups=which)["accuracy"]


def _rows(
    network: _Network,
    stages: Sequence[tuple[str, int, np.ndarray, list[int]]],
    keys: int,
) -> list[dict[str, Any]]:
    tests: list[tuple[np.ndarray | None, dict[str, Any]]] = [(None, {"criterion": UNTOUCHED})]
    for criterion, stage, places, gone in stages:
        for n in range(len(places), len(places) - len(gone) - 1, -1):
            if n % 5 == 0 or n <= BEST:
                left = np.delete(places, gone[: len(places) - n])
                tests.append((left, {"criterion": criterion, "stage": stage}))
    first = stages[0][2]
    for seed in SEEDS:
        some = np.random.default_rng(seed).choice(first, keys, replace=False)
        tests.append((np.sort(some), {"criterion": RANDOM, "seed": seed}))
    return [network.row(left, **known) for left, known in tracked(tests, "tests", "networks")]


def skipped(reason: str) -> pd.DataFrame:
    """Return the table of a network that cannot be tested: one row, empty but for the reason."""
    return _table([{"criterion": UNTOUCHED, "skipped": reason}])


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame([{"skipped": "", **row} for row in rows])
    return frame.reindex(columns=list(SCHEMA)).astype(SCHEMA)


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values)).hexdigest()
