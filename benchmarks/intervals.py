"""How often 95 % intervals of a share hold it: `kernelatlas.evidence.intervals` and a bootstrap.

`python benchmarks/intervals.py [repetitions]` draws layers whose shares are beta-distributed, so
that two kernels of a layer correlate by ρ, and of which the sizes are equal (64 kernels), unequal
(16 to 1,000), or unequal with more hits in the larger layers. The bootstrap resamples layers and
takes percentiles. `cv` is the standard deviation of the layers' shares over the smaller of the
share and what is left: above 1.5 hardly any layer has what the share is of, and no interval that
the sample alone tells would do. The last table is of differences of two such shares.
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


if __name__ == "__main__":
    main()
