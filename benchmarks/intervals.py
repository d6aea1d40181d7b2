"""How often 95 % intervals of a share hold it: `kernelatlas.evidence.intervals` and a bootstrap.

`python benchmarks/intervals.py [repetitions]` draws layers whose shares are beta-distributed, so
that two kernels of a layer correlate by ρ, and of which the sizes are equal (64 kernels), unequal
(16 to 1,000), or unequal with more hits in the larger layers. The bootstrap resamples layers and
takes percentiles. `cv` is the standard deviation of the layers' shares over the smaller of the
share and what is left: above 1.5 hardly any layer has what the share is of, and no interval that
the sample alone tells would do. The third table is of differences of two such shares.

The last table is of votes. A kernel's score is the sum of normal effects of its layer, of itself,
of the seed (the same for all kernels: `seeds` is its standard deviation), and of kernel and seed. A
seed alone identifies a kernel whose score is positive; by vote it is one whose mean score is
positive, or of which most scores are. The truth is the share in other layers by votes of other
seeds. The difference is that of two sets of layers with the same effects of seeds.
"""

import itertools
import sys

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from kernelatlas.evidence.intervals import share

LAYERS = (3, 5, 8, 12, 40)
SHARES = (0.005, 0.02, 0.1, 0.3, 0.5, 0.9, 0.99)
CORRELATIONS = (0.0, 0.01, 0.03, 0.1, 0.3)
SIZES = ("equal", "unequal", "more in larger")
RESAMPLES = 200
USUAL = 1.5  # cv


def draw(rng: np.random.Generator, n: int, m: int, sizes: str, p: float, rho: float):
    """Return hits and sizes, (n, m)."""
    if sizes == "equal":
        size, mean = np.full((n, m), 64), np.full((n, m), p)
    else:
        size = np.exp(rng.uniform(np.log(16), np.log(1000), (n, m))).astype(int)
        slope = 0.5 if sizes == "more in larger" else 0.0
        mean = expit(_offset(rng, p, slope) + slope * np.log(size))
    if rho:
        spread = (1 - rho) / rho
        mean = rng.beta(np.maximum(mean * spread, 1e-12), np.maximum((1 - mean) * spread, 1e-12))
    return rng.binomial(size, mean), size


def _offset(rng: np.random.Generator, p: float, slope: float) -> float:
    """Return the offset with which the share of kernels is p."""
    size = np.exp(rng.uniform(np.log(16), np.log(1000), 100_000)).astype(int)
    offset = logit(p)
    for _ in range(50):
        now = size @ expit(offset + slope * np.log(size)) / size.sum()
        offset += logit(p) - logit(now)
    return offset


def percentiles(rng: np.random.Generator, hits: np.ndarray, sizes: np.ndarray):
    """Return the ends of a bootstrap over layers, for every row."""
    n, m = hits.shape
    drawn = rng.multinomial(m, np.full(m, 1 / m), (n, RESAMPLES))
    values = np.einsum("nrm,nm->nr", drawn, hits) / np.einsum("nrm,nm->nr", drawn, sizes)
    return np.quantile(values, (0.025, 0.975), axis=1)


def votes(rng: np.random.Generator, n: int, m: int, level: float, seeds: np.ndarray):
    """Return scores of 64 kernels in each of m layers by 3 seeds, (n, m, 64, 3).

    Parameters
    ----------
    level
        Mean score.
    seeds : ndarray of shape (n, 3)
        Effects of the seeds.
    """
    layer, kernel = rng.normal(0, 0.3, (n, m, 1, 1)), rng.normal(0, 1, (n, m, 64, 1))
    alone = rng.normal(0, 0.2, (n, m, 64, 3))
    return level + layer + kernel + alone + seeds[:, None, None]


def by_votes(scores: np.ndarray, majority: bool):
    """Return hits by vote, (n, m), and the share by each seed alone, (n, 3)."""
    vote = np.median(scores, axis=3) if majority else scores.mean(axis=3)
    return (vote > 0).sum(axis=2), (scores > 0).mean(axis=(1, 2))


def vote_table(rng: np.random.Generator, repetitions: int) -> pd.DataFrame:
    rows = []
    for m, spread, majority in itertools.product((5, 12, 40), (0, 0.03, 0.1), (False, True)):
        truth = {}
        for level in (0.2, -0.5):
            effects = rng.normal(0, spread, (2000, 3))
            scores = votes(rng, 2000, 10, level, effects)
            truth[level] = by_votes(scores, majority)[0].mean() / 64
        effects = rng.normal(0, spread, (repetitions, 3))
        found = {}
        for level in truth:
            hits, alone = by_votes(votes(rng, repetitions, m, level, effects), majority)
            found[level] = share(hits, np.full_like(hits, 64)), alone
        (one, alone), (other, others) = found.values()
        p, q = truth.values()
        row = {"layers": m, "seeds": spread, "vote": "majority" if majority else "mean"}
        for name, estimate, value in (
            ("share, layers alone", one, p),
            ("share", one.over_seeds(alone), p),
            ("difference, layers alone", one.minus(other), p - q),
            ("difference", one.minus(other).over_seeds(alone - others), p - q),
        ):
            row[name] = ((estimate.low <= value) & (value <= estimate.high)).mean()
        row["width, layers alone"] = (one.high - one.low).mean()
        with_seeds = one.over_seeds(alone)
        row["width"] = (with_seeds.high - with_seeds.low).mean()
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rng = np.random.default_rng(0)
    rows = []
    for m, sizes, p, rho in itertools.product(LAYERS, SIZES, SHARES, CORRELATIONS):
        hits, size = draw(rng, repetitions, m, sizes, p, rho)
        found = share(hits, size)
        low, high = percentiles(rng, hits, size)
        rows.append(
            {
                **{"layers": m, "sizes": sizes, "share": p, "ρ": rho},
                "cv": np.sqrt(rho * max(p, 1 - p) / min(p, 1 - p)),
                "held": ((found.low <= p) & (p <= found.high)).mean(),
                "width": (found.high - found.low).mean(),
                "held by percentiles": ((low <= p) & (p <= high)).mean(),
                "their width": (high - low).mean(),
            }
        )
    table = pd.DataFrame(rows)
    kinds = np.where(table["cv"] <= USUAL, "cv ≤ 1.5", "cv > 1.5")
    values = ["held", "held by percentiles"]
    print(f"{repetitions} repetitions of {len(table)} cells: mean and least coverage, mean width")
    for by in ("layers", "sizes", "share", "ρ"):
        groups = table.groupby([kinds, by])
        summary = groups[values].agg(["mean", "min"])
        summary.columns = [" ".join(name) for name in summary.columns]
        print(summary.join(groups[["width", "their width"]].mean()).round(3).to_string(), "\n")
    rows = []
    for m, sizes, rho in itertools.product(LAYERS, SIZES, (0.0, 0.03, 0.1)):
        for p, q in ((0.3, 0.02), (0.6, 0.55), (0.1, 0.1), (0.95, 0.9)):
            first = share(*draw(rng, repetitions, m, sizes, p, rho))
            found = first.minus(share(*draw(rng, repetitions, m, sizes, q, rho / 10)))
            held = ((found.low <= p - q) & (p - q <= found.high)).mean()
            rows.append({"layers": m, "sizes": sizes, "held": held})
    print("differences")
    print(pd.DataFrame(rows).groupby(["sizes", "layers"])["held"].agg(["mean", "min"]).round(3))
    print("\nvotes of three seeds")
    print(vote_table(rng, repetitions).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
