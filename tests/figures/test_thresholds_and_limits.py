"""Pages of dissimilarities, thresholds and fits: of paper's size, with texts apart."""

import itertools

import numpy as np
import pandas as pd
import pytest
from test_figures import assert_texts_apart, kernel

from kernelatlas.figures import dissimilarities, fits, style, thresholds
from kernelatlas.names import ALL_FAMILIES, ALL_NETWORKS, FUNCTIONS, IN_SAMPLE, LABELS, NULLS

SETS = ("trained", IN_SAMPLE, "untrained", *NULLS)


def dissimilarity_tables(families: int, networks: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    groups = [(ALL_FAMILIES, ALL_NETWORKS)]
    for family in (f"family{n}" for n in range(families)):
        groups += [(family, f"{family}_nano.fcmae_ft_in22k_{n}") for n in range(networks)]
        groups.append((family, ALL_NETWORKS))
    rows = [
        {"family": family, "model": model, "set": name, "k": 7}
        for (family, model), name in itertools.product(groups, SETS)
    ]
    summary = pd.DataFrame(rows).assign(
        kernels=123456, threshold=0.3, share_below=0.654, low=0.6, high=0.7, median=0.2
    )
    edges = np.arange(51) / 50
    bins = summary[["family", "model", "set", "k"]].merge(
        pd.DataFrame(
            {"dissimilarity": edges, "kernels": (1e4 * np.exp(-((edges - 0.3) ** 2) / 0.02))}
        ),
        how="cross",
    )
    return summary, bins


def threshold_table() -> pd.DataFrame:
    pairs = itertools.product(SETS, np.arange(1, 31) / 50, np.arange(10, 20) / 20)
    table = pd.DataFrame(pairs, columns=["set", "threshold", "minimum_cosine"])
    table = table[table["set"] != IN_SAMPLE].assign(family=ALL_FAMILIES, k=7)
    share = 0.5 + table["threshold"] / 2 - table["minimum_cosine"] / 3
    excess = (0.4 - table["threshold"]).where(table["set"] != "trained")
    here = (table["threshold"] == 0.3) & (table["minimum_cosine"] == 0.75)
    return table.assign(
        share=share, low=share - 0.1, high=share + 0.1, in_use=here, excess=excess,
        excess_low=excess - 0.1, excess_high=excess + 0.1,
    )  # fmt: skip


def fit_tables(prototypes: int, families: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    functions = pd.DataFrame(
        [
            {"trained": trained, "identified": trained, "label": label, "function": function}
            for trained, label, function in itertools.product((True, False), LABELS[:-1], FUNCTIONS)
        ]
    ).assign(kernels=100, described=50, at_limit=40, described_at_limit=20, form="discrete")
    labels = [LABELS[n % (len(LABELS) - 1)] for n in range(prototypes)]
    shown = pd.DataFrame({"label": labels, "k": 7, "r2": 0.987, "form": "discrete"}).assign(
        function="shifted second", at_limit="greatest sigma"
    )
    shown["prototype"] = [kernel(label, 7, rng) for label in labels]
    shown["fitted"] = shown["prototype"]
    names = [ALL_FAMILIES, *(f"a_long_family_{n}" for n in range(families))]
    sets = ("trained", "untrained", *NULLS)
    rows = [
        {"family": family, "set": name, "function": "selected", "limit": "any"}
        for family, name in itertools.product(names, sets)
    ]
    rows += [
        {"family": ALL_FAMILIES, "set": name, "function": function, "limit": limit, "value": -1.5}
        for name, function, limit in itertools.product(
            ("trained", "untrained"), FUNCTIONS, ("least x", "greatest sigma")
        )
    ]
    limits = pd.DataFrame(rows).assign(
        model=ALL_NETWORKS, share=0.25, low=0.2, high=0.3, at_limit=25, kernels=100
    )
    return functions, shown, limits


FIGURES = {
    "dissimilarities": lambda: [dissimilarities.draw(*dissimilarity_tables(2, 2), 7)],
    "dissimilarities of one network": lambda: [
        dissimilarities.draw(*dissimilarity_tables(1, 1), 7)
    ],
    "dissimilarities of many": lambda: [dissimilarities.draw(*dissimilarity_tables(8, 20), 7)],
    "thresholds": lambda: [thresholds.draw(threshold_table(), 7)],
    "fits": lambda: fits.draw(*fit_tables(30, 3), 0.8),
    "fits of many prototypes and families": lambda: fits.draw(*fit_tables(64, 16), 0.8),
}


@pytest.mark.parametrize("name", FIGURES)
def test_pages_fit_on_paper_and_no_texts_overlap(name: str) -> None:
    for page in FIGURES[name]():
        across, high = page.get_size_inches()
        assert max(across, high) <= style.LONG + 1e-6
        assert min(across, high) <= style.SHORT + 1e-6
        assert_texts_apart(page)
