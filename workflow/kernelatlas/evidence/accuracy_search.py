"""Master keys chosen by the accuracy of a network, beside those chosen by R².

After arXiv 2509.11711: filters are sampled from the decoded curve at equal distances, every kernel
becomes its best a·f + b of them, and filters are removed one by one, each time the one without
which the network is most accurate. The curve is then sampled anew around the best ten, and filters
are removed again. How densely, and what follows, is our choice: as each step would test the
network once for each filter, only those are tried whose removal costs least R², on some of the
pictures, and equal accuracies are decided by R². What is chosen is tested on the other pictures.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
from tqdm import tqdm  # type: ignore[import-untyped]

from kernelatlas.clustering.curve import Curve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.intervals import share
from kernelatlas.evidence.trials import Trial
from kernelatlas.evidence.variants import by_filters
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.normalise import degenerate, normalise
from kernelatlas.running.files import whole

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
    terminal: TextIO | None = None,
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
    terminal
        Where a progress bar is shown, if it is a terminal.

    Returns
    -------
    DataFrame
        Columns as in results/README.md, without model.

    Raises
    ------
    KernelAtlasError
        If fewer filters than the search ends with would be left to try, or too few pictures are
        left to test on.
    """
    layers = {name: w for name, w in trial.kernels.items() if side(w) == curve.k}
    groups = trial.pictures // trial.members
    chosen = _equidistant(groups, max(settings.pictures // trial.members, 1))
    others = np.setdiff1d(np.arange(groups), chosen)
    if not len(others):
        raise KernelAtlasError(
            f"search.pictures: {settings.pictures} of {trial.pictures} pictures to choose filters "
            "by leave none to test them on: lower it"
        )
    kernels = np.concatenate([normalise(w[~degenerate(w)]) for w in layers.values()])
    stages = {ACCURACY: list[tuple[np.ndarray, list[int]]](), R2: []}
    saved = _Saved(resume, [trial.identity, code, curve.k, vars(settings), _digest(curve.points)])
    bar: Any = tqdm(file=terminal, disable=None if terminal else True, unit="network", leave=False)

    def tested(places: np.ndarray, which: np.ndarray) -> np.ndarray:
        bar.update()
        filters = curve.points[places]
        found = {name: by_filters(weights, filters) for name, weights in layers.items()}
        return trial.answers(found, groups=which)["accuracy"]

    with bar:
        for criterion, found in stages.items():
            places = np.linspace(0, len(curve.points) - 1, settings.codes).round().astype(int)
            for stage, least in ((1, max(BEST, settings.keys)), (2, settings.keys)):
                r2 = (kernels @ curve.points[places].T) ** 2
                began = time.monotonic()

                def measure(left: np.ndarray, at: np.ndarray = places) -> float:
                    return float(tested(at[left], chosen).mean())

                def on_step(
                    gone: list[int],
                    key: str = f"{criterion} {stage}",
                    m: int = len(places),
                    begin: float = began,
                ) -> None:
                    saved.put(key, gone)
                    if key.startswith(ACCURACY):
                        pace = (time.monotonic() - begin) / len(gone)
                        log.info("%s: %d filters, %.1f s a step", key, m - len(gone), pace)

                few = settings.candidates if criterion == ACCURACY else 1
                done = saved.get(f"{criterion} {stage}")
                gone = greedy(r2, least, few, measure, done, on_step)
                found.append((places, gone))
                left = np.setdiff1d(np.arange(len(places)), gone)
                distance = (len(curve.points) - 1) / max(settings.codes - 1, 1)
                places = around(places[left], distance, len(curve.points))
        rows = _rows(stages, settings, kernels, curve, tested, chosen, others)
        own = {
            "accuracy_search": trial.answers({}, groups=chosen)["accuracy"].mean(),
            **_estimate(trial.answers({}, groups=others)["accuracy"]),
        }
    saved.remove()
    known = {
        "k": curve.k,
        "measure": trial.measure,
        "pictures_search": len(chosen) * trial.members,
        "pictures": len(others) * trial.members,
        "chance": trial.chance,
    }
    rows = [{"criterion": UNTOUCHED, "mean_r2": 1.0, **own}, *rows]
    return _table([{**known, **row} for row in rows])


def skipped(reason: str) -> pd.DataFrame:
    """Return the table of a network that cannot be tested: one row, empty but for the reason."""
    return _table([{"criterion": UNTOUCHED, "skipped": reason}])


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame([{"skipped": "", **row} for row in rows])
    return frame.reindex(columns=list(SCHEMA)).astype(SCHEMA)


def _rows(
    stages: dict[str, list[tuple[np.ndarray, list[int]]]],
    settings: Settings,
    kernels: np.ndarray,
    curve: Curve,
    tested: Callable[[np.ndarray, np.ndarray], np.ndarray],
    chosen: np.ndarray,
    others: np.ndarray,
) -> list[dict[str, Any]]:
    def row(places: np.ndarray, **known: Any) -> dict[str, Any]:
        r2 = ((kernels @ curve.points[places].T) ** 2).max(axis=1)
        return {
            **known,
            "filters": len(places),
            "codes": curve.codes[places],
            "mean_r2": float(r2.mean(dtype=np.float64)),
            "accuracy_search": float(tested(places, chosen).mean()),
            **_estimate(tested(places, others)),
        }

    rows = []
    for criterion, found in stages.items():
        for stage, (places, gone) in enumerate(found, 1):
            for n in range(len(places), len(places) - len(gone) - 1, -1):
                if n % 5 == 0 or n <= BEST:
                    left = np.setdiff1d(np.arange(len(places)), gone[: len(places) - n])
                    rows.append(row(places[left], criterion=criterion, stage=stage))
    first = stages[ACCURACY][0][0]
    for seed in SEEDS:
        some = np.random.default_rng(seed).choice(first, settings.keys, replace=False)
        rows.append(row(np.sort(some), criterion=RANDOM, seed=seed))
    return rows


def _equidistant(n: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(wanted, n)).round().astype(int))


def _estimate(right: np.ndarray) -> dict[str, float]:
    found = share(right.sum(axis=1), np.full(len(right), right.shape[1]))
    return {"accuracy": float(found.value), "low": float(found.low), "high": float(found.high)}


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values)).hexdigest()


class _Saved:
    """The removed filters of each stage, in a JSON file."""

    def __init__(self, path: str | Path, identity: Sequence[Any]) -> None:
        self.path, self.identity = Path(path), json.loads(json.dumps(list(identity)))
        self.removed: dict[str, list[int]] = {}
        try:
            content = json.loads(self.path.read_text())
            if content["identity"] == self.identity:
                self.removed = content["removed"]
                log.info("resuming from %s", path)
        except (OSError, ValueError, LookupError, TypeError):
            pass  # none, a damaged file, or another search's: it begins anew

    def get(self, key: str) -> list[int]:
        return self.removed.get(key, [])

    def put(self, key: str, removed: list[int]) -> None:
        self.removed[key] = removed
        with whole(self.path) as partial:
            partial.write_text(json.dumps({"identity": self.identity, "removed": self.removed}))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
