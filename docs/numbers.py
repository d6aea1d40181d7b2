"""Fill the tables of README.md and docs/*.md with the numbers in results/tables (`make docs`).

A table stands between `<!-- numbers: NAME -->` and `<!-- end -->`; NAME is a function of `TABLES`,
or one of `BY_SIZE` with a kernel size, as in `functions_k7`. Equal tables give equal text. With
--check nothing is written, and text that differs is an error.

Numbers of results stand nowhere else, so that a new run changes all of them. What the default
results do not contain stands between `<!-- recorded: SOURCE -->` and `<!-- end -->`, and is left
as it is.
"""

import argparse
import functools
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    sys.path.pop(0)  # with this folder in front, Python's own module `numbers` would not be found

import pandas as pd
import yaml

from kernelatlas.errors import KernelAtlasError, suggest
from kernelatlas.evidence.described import described as passes
from kernelatlas.names import (
    ALL_FAMILIES,
    ALL_NETWORKS,
    DEGENERATE,
    FIRST,
    FUNCTIONS,
    IN_SAMPLE,
    LABELS,
    OTHER,
    SHAPES,
    SMALLEST_FIT,
    SQUARES,
    TRAINED,
    UNTRAINED,
    shape_of,
)
from kernelatlas.running.files import (
    FIRST_VERSION,
    LABELS_VERSION,
    SCHEMA_VERSION,
    metadata_of,
)

ROOT = Path(__file__).parents[1]
BEGIN = re.compile(r"^<!-- numbers: (.*?) -->$")
RECORDED = re.compile(r"^<!-- recorded: .+ -->$")
END = "<!-- end -->"
NONE = "–"
MADE_BY = {  # which command makes a table; all others are of `make evidence`
    "make": ("models",),
    "make dynamics": ("emergence", "networks", "seeds", "data_spectra", "drift"),
}
VERSIONS = {  # of tables; all others have SCHEMA_VERSION
    FIRST_VERSION: ("networks", "distances", "accuracy_correlations", "data_spectra"),
    LABELS_VERSION: ("models", "emergence", "seeds"),
}
CHANCE = (UNTRAINED, "shuffled", "white")  # nulls without any structure of the trained kernels
COVARIANCE = "covariance"
SETS = (*CHANCE, COVARIANCE)
METHODS = {  # of baselines, in the order of their lines
    "autoencoder 1-D": "curve, best code",
    "autoencoder 1-D, encoder": "curve, the encoder's code",
    "autoencoder 2-D": "code of 2 dimensions",
    "autoencoder 3-D": "code of 3 dimensions",
    "k-means 8": "k-means, 8 centroids",
    "k-means 20": "k-means, 20 centroids",
    "k-means 50": "k-means, 50 centroids",
    "Gaussian mixture 20": "Gaussian mixture, 20",
    "HDBSCAN": "HDBSCAN",
    "PCA 1": "1 principal component",
    "PCA 5": "5 principal components",
    "PCA 10": "10 principal components",
}
FITTED = {"selected": "selected function", "described": "selected function, R² ≥ 0.8"}
FILTERS = ("master keys", "idealised D2", "idealised, refitted", "random")
IDEALISED = tuple(f"idealised {name}" for name in ("A", "B", "C1", "C2", "D1", "D2"))
SHOWN = (5, 7)  # kernel sizes of findings that are not given for all
FEWEST = 30  # kernels, of whose fits shares are given
MUCH = 0.2  # difference of shares, or a share, that is called much
LARGE = 5  # size of kernels with room to move
NEAR_HALF = 0.25  # pixels: medians of moves above it are nearer to a half than to none
SETTINGS = {  # of commands in docs/paper.yaml
    "zoo": "zoo=workflow/zoos/paper.yaml results=results_paper",
    "images": "images=path/to/imagenet",
}
DRIFT = ("cosine", "same_shape", "moved")
PARTS = (0.02, 0.05, 0.1, 0.2, 0.35, 1.0)  # shares of a training's steps


class Results:
    """Tables of a results folder, each read once.

    Attributes
    ----------
    folder
        Of the results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = functools.cache(self._table)

    def __call__(self, name: str) -> pd.DataFrame:
        """Return a table.

        Raises
        ------
        KernelAtlasError
            If it is missing or of an earlier version.
        """
        return self._read(name)

    def _table(self, name: str) -> pd.DataFrame:
        path = self.folder / "tables" / f"{name}.parquet"
        remedy = next((make for make, names in MADE_BY.items() if name in names), "make evidence")
        if not path.is_file():
            raise KernelAtlasError(f"{path}: missing: run `{remedy}` first")
        kind = re.sub(r"_k\d+$", "", name)
        version = next((v for v, names in VERSIONS.items() if kind in names), SCHEMA_VERSION)
        if metadata_of(path).get("schema_version", FIRST_VERSION) < version:
            raise KernelAtlasError(f"{path}: of an earlier version: run `{remedy}` again")
        return pd.read_parquet(path)

    @property
    def sizes(self) -> list[int]:
        """Sizes that were studied and fitted."""
        return sorted(int(k) for k in self("models")["k"].unique() if k >= SMALLEST_FIT)


# --- writing -----------------------------------------------------------------------------


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def percent(value: Any, low: Any = None, high: Any = None) -> str:
    """Write a share in [0, 1], with its interval if there is one."""
    if pd.isna(value):
        return NONE
    text = f"{100 * value:.1f} %"
    known = low is not None and not pd.isna(low)
    return f"{text} ({100 * low:.1f}–{100 * high:.1f})" if known else text


def number(value: Any, digits: int = 2) -> str:
    return NONE if pd.isna(value) else f"{value:z.{digits}f}".replace("-", "−")


def span(values: Iterable[float], digits: int = 3) -> str:
    """Write the least and the greatest of some numbers."""
    known = sorted(float(value) for value in values if not pd.isna(value))
    if not known:
        return NONE
    low, high = f"{known[0]:.{digits}f}", f"{known[-1]:.{digits}f}"
    return low if low == high else f"{low}–{high}"


def percents(values: Iterable[float]) -> str:
    found = span([100 * value for value in values], 1)
    return found if found == NONE else f"{found} %"


def square(k: int) -> str:
    return f"{k}×{k}"


# --- findings: one table with a row a question ---------------------------------------------


def findings(results: Results) -> str:
    """What trained networks show, a null or control, and our answer.

    Numbers come from the tables. Answers are our reading of them: if a new run changes the numbers
    much, change the answers here.
    """
    sizes = results.sizes
    shown = [k for k in SHOWN if k in sizes]
    rows = [_identified_row(results, k, family) for k in sizes for family in _asked(results, k)]
    for make in (_described_row, _functions_row, _stability_row, _continuum_row):
        rows += [make(results, k) for k in shown]
    rows += [_keys_row(results, k) for k in shown]
    rows += [_prototypes_row(results), _replaced_row(results)]
    rows += [_shuffled_row(results, SHOWN[-1])]
    return markdown(
        ["question", "trained networks", "null or control", "answer"],
        [*rows, _squares_row(results), _accuracy_row(results)],
    )


def _asked(results: Results, k: int) -> list[str]:
    """Return the families with k×k kernels if they were trained on different data, else all."""
    models = results("models")
    models = models[models["trained"] & (models["k"] == k)]
    if len(set(models["trained_on"])) == 1:
        return [ALL_FAMILIES]
    return sorted(models["family"].astype(str).unique())


def _identified_row(results: Results, k: int, family: str) -> list[str]:
    shares = _shares_of(results, k, family, "identified")
    chance = [shares.loc[name, "share"] for name in CHANCE if name in shares.index]
    if max(chance, default=0) > 0.1:
        answer = "more than chance, which already gives many"
    else:
        answer = "far more than chance"
    if COVARIANCE in shares.index:
        found = shares.loc[COVARIANCE]
        more = "much" if found["excess"] > MUCH else "somewhat"
        more = more if found["distinguishable"] else "not surely"
        answer += f"; {more} more than the same covariance"
    name = "" if family == ALL_FAMILIES else f", {family}"
    paper = "; the paper: over 90 % of ConvNeXt's, 95 % of ConvNeXt V2's" if k == 7 else ""
    null = f"chance {percents(chance)}; same covariance {_share_of(shares, COVARIANCE)}"
    if COVARIANCE in shares.index:
        null += f", excess in points: {_points(shares.loc[COVARIANCE])}"
    trained = shares.loc[TRAINED]
    found = f"{_with_interval(trained)}; in sample {percent(trained['share_in_sample'])}"
    return [f"Identified, {square(k)}{name}{paper}", found, null, answer]


def _described_row(results: Results, k: int) -> list[str]:
    shares = _shares_of(results, k, ALL_FAMILIES, "r2")
    threshold = shares["threshold"].iloc[0]
    part = shares.loc[TRAINED, "share"]
    few = "few" if part < MUCH else "less than half" if part < 1 / 2 else "not nearly all"
    chance = percents(shares.loc[name, "share"] for name in CHANCE if name in shares.index)
    reached = _at_limits(results, k, "described").loc[TRAINED]
    return [
        f"Described by an analytic function (R² ≥ {threshold:g}), {square(k)}",
        f"{_with_interval(shares.loc[TRAINED])}; of these at a limit of the search: "
        f"{_with_interval(reached)}",
        f"chance {chance}; same covariance {_share_of(shares, COVARIANCE)}",
        f"beyond both nulls, but {few} of the kernels",
    ]


def _prototypes_row(results: Results) -> list[str]:
    counts = {}
    for named in (True, False):
        good = total = 0
        for k in results.sizes:
            table = results(f"prototype_fits_k{k}")
            part = table[(table["label"] != OTHER) == named]
            good, total = good + _good(results, k, part["r2"]), total + len(part)
        counts[named] = f"{good} of {total}"
    text = f"prototypes without a name: {counts[False]}"
    return ["Described prototypes with a name, all sizes", counts[True], text, "yes"]


def _functions_row(results: Results, k: int) -> list[str]:
    table = results(f"functions_k{k}")
    table = table[table["function"] != DEGENERATE]
    groups = {
        "DoG": ("dog", "elongated", "shifted dog"),
        "derivatives": ("first", "second", "shifted first", "shifted second"),
        "Gaussian off the centre": ("shifted",),
    }
    texts = []
    for trained in (True, False):
        part = table[table["trained"] == trained]
        texts.append(
            ", ".join(
                f"{text} {percent(_share(part, part['function'].isin(names)))}"
                for text, names in groups.items()
            )
            + f"; mean R² {number(_weighted(part, 'mean_r2'))}"
            if len(part)
            else NONE
        )
    question = f"Best-fitting functions, {square(k)}"
    trained, control = (table[table["trained"] == known] for known in (True, False))
    often = _share(trained, trained["function"].isin(groups["DoG"])) > 0.1
    answer = "DoGs sometimes" if often else "DoGs rarely"
    more = [
        _share(part, part["function"].isin(groups["derivatives"])) for part in (trained, control)
    ]
    answer += (
        "; derivatives more often than for noise"
        if more[0] - more[1] > MUCH
        else ("; derivatives not much more often than for noise")
    )
    return [question, texts[0], f"untrained: {texts[1]}", answer]


def _stability_row(results: Results, k: int) -> list[str]:
    pairs = results(f"stability_k{k}").query("kind == 'pair'")
    return [
        f"Same shapes from two trainings of the autoencoder, {square(k)} (adjusted Rand index)",
        span(pairs["adjusted_rand_index"], 2),
        f"k-means, 20 centroids: {number(_seeds_agree(results, k, 'k-means 20'))}",
        "labels are reproducible",
    ]


def _continuum_row(results: Results, k: int) -> list[str]:
    scores = results(f"baselines_k{k}").groupby("method")["silhouette"].mean()
    return [
        f"Separate clusters? Silhouette of the shapes, {square(k)}",
        number(scores["autoencoder 1-D"]),
        f"k-means, 20 centroids: {number(scores['k-means 20'])}",
        "regions of a continuum",
    ]


def _keys_row(results: Results, k: int) -> list[str]:
    table = results(f"masterkeys_models_k{k}")
    table = table[table["trained"]]
    parts = [table[table["filters"] == name] for name in ("master keys", "random")]
    keys, random = (
        _explained(_weighted(part, "mean_r2"), _weighted(part, "share_r2_80")) for part in parts
    )
    centroids = _explained(*_centroids(results, k)[["mean_r2", "share_r2_80"]])
    return [
        f"Eight filters for all kernels: mean R² of a·f + b (share with R² ≥ 0.8), {square(k)}",
        keys,
        f"random filters {random}; k-means centroids {centroids}",
        "not in these networks",
    ]


def _replaced_row(results: Results) -> list[str]:
    table = results("replacements")
    found = table.query("measure == 'subject'").pivot_table("accuracy", "model", "variant")
    kept, mean = (percents(found[name] / found["untouched"]) for name in ("fits", "mean"))
    question = "Accuracy kept when every kernel is replaced by its analytic fit"
    return [question, kept, f"by its mean alone: {mean}", "mostly, but not in ConvMixer"]


def _shuffled_row(results: Results, k: int) -> list[str]:
    states = results("emergence").sort_values("step").query("k == @k")
    last = states.groupby(["trained_on", "family", "network"])["share_identified"].last()
    shuffled = last[last.index.get_level_values("trained_on").str.contains("shuffled")]
    photographs = last[last.index.get_level_values("trained_on") == "photographs"]
    return [
        f"Identified after training on photographs, {square(k)}",
        percents(photographs),
        f"on photographs with shuffled pixels: {percents(shuffled)}",
        "the share does not show learned structure; the mix of shapes does",
    ]


def _squares_row(results: Results) -> list[str]:
    layers = results("offsets_layers")
    known = layers[(layers["k"] == LARGE) & layers["stride"].notna()]
    strided = known["stride"] > 1
    moved = strided & (known["median_x"].abs() > NEAR_HALF)
    shares = [percents(known.loc[rows, "share_squares"]) for rows in (moved, strided & ~moved)]
    return [
        f"Squares in layers of stride 2, {square(LARGE)}",
        f"{shares[0]} where centres are moved, {shares[1]} where they are not",
        f"layers of stride 1: {percents(known.loc[~strided, 'share_squares'])}",
        "squares are centres moved to suit lopsided padding",
    ]


def _accuracy_row(results: Results) -> list[str]:
    table = results("accuracy_correlations")
    row = table[table["k"].isna()].iloc[0]
    between = NONE if pd.isna(row["low"]) else f"{number(row['low'])} to {number(row['high'])}"
    return [
        "Share identified and accuracy (rank correlation)",
        f"{number(row['rho'])} ({between})",
        f"{int(row['networks'])} networks",
        "too few to tell",
    ]


# --- tables ------------------------------------------------------------------------------


def identified(results: Results) -> str:
    """Shares identified by network, by curves that have not seen it, beside chance."""
    return _shares(results, "identified")


def described(results: Results) -> str:
    """Shares with a good analytic fit, likewise."""
    return _shares(results, "r2")


def _shares(results: Results, rule: str) -> str:
    rows = []
    for k in results.sizes:
        shares = results(f"nulls_k{k}")
        for text, own in _networks(shares[shares["rule"] == rule]):
            trained = own.loc[TRAINED]
            row = [square(k), text, f"{int(trained['kernels']):,}", f"{int(trained['live']):,}"]
            row.append(_with_interval(trained))
            row.append(percent(trained["share_live"]))
            if rule == "identified":
                row.append(percent(trained["share_in_sample"]))
            rows.append([*row, *(_share_of(own, name) for name in SETS)])
    head = ["size", "network or family", "kernels", "live", "trained (95 %)", "of live ones"]
    return markdown([*head, *["in sample"] * (rule == "identified"), *SETS], rows)


def _networks(shares: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return shares by set: of networks, of families of several, and of all if there are more."""
    found = []
    groups = shares.groupby(["family", "model"], sort=False)
    families = shares.loc[shares["model"] != ALL_NETWORKS, ["family", "model"]].drop_duplicates()
    count = families["family"].value_counts()
    for (family, model), own in groups:
        several = count.get(family, 0) > 1 or (family == ALL_FAMILIES and len(count) > 1)
        if model != ALL_NETWORKS or several:
            found.append((family if model == ALL_NETWORKS else model, own.set_index("set")))
    return found


def _with_interval(row: pd.Series) -> str:
    return percent(row["share"], row["low"], row["high"])


def _shares_of(results: Results, k: int, family: str, rule: str) -> pd.DataFrame:
    """Return the shares of a family, or of all together, by set."""
    shares = results(f"nulls_k{k}")
    chosen = (shares["family"] == family) & (shares["rule"] == rule)
    return shares[chosen & (shares["model"] == ALL_NETWORKS)].set_index("set")


def _share_of(shares: pd.DataFrame, name: str) -> str:
    return percent(shares["share"].get(name, float("nan")))


def excess(results: Results) -> str:
    """Trained shares minus those of noise of the same covariance, by network."""
    rows = []
    for k in results.sizes:
        shares = results(f"nulls_k{k}")
        by_rule = (_networks(shares[shares["rule"] == rule]) for rule in ("identified", "r2"))
        for (text, one), (_, other) in zip(*by_rule, strict=True):
            if COVARIANCE not in one.index:
                continue
            row = [square(k), text]
            for own, live in ((one, True), (other, False)):
                found = own.loc[COVARIANCE]
                row.append(_points(found))
                row += [number(100 * found["excess_live"], 1)] * live
                row.append("yes" if found["distinguishable"] else "no")
            rows.append(row)
    head = ["size", "network or family", "identified: excess in points (95 %)", "of live ones"]
    head += ["distinguishable", "described: excess in points (95 %)", "distinguishable"]
    return markdown(head, rows)


def _points(found: pd.Series) -> str:
    """Write an excess in points, with its interval if there is one."""
    text = number(100 * found["excess"], 1)
    if pd.isna(found["excess_low"]):
        return text
    low, high = (number(100 * found[f"excess_{end}"], 1) for end in ("low", "high"))
    return f"{text} ({low} to {high})"


def named(results: Results) -> str:
    """Kernels with a name that most seeds give, whatever their dissimilarity."""
    rows = []
    for k in results.sizes:
        curves = results(f"null_curves_k{k}")
        curves = curves[(curves["family"] == ALL_FAMILIES) & (curves["rule"] == "identified")]
        shares = curves.sort_values("threshold").groupby("set")[["share"]].last()
        rows.append([square(k), *(_share_of(shares, name) for name in (TRAINED, *SETS))])
    return markdown(["size", TRAINED, *SETS], rows)


def calibrated(results: Results) -> str:
    """Thresholds that a given rate of a null passes, and the share of trained kernels that does."""
    rows = []
    for k in results.sizes:
        known = _shares_of(results, k, ALL_FAMILIES, "identified")
        row = [square(k), number(known["threshold"].iloc[0])]
        for name in SETS:
            if name not in known.index:
                row.append(NONE)
                continue
            found = known.loc[name]
            threshold = found["calibrated_threshold"]
            # Where fewer kernels of a null have a name at all, any threshold will do.
            text = f"{threshold:.2f}" if threshold < 1 else "any"
            row.append(f"{text}: {percent(found['trained_share'])}")
        rows.append(row)
    return markdown(["size", "in use", *SETS], rows)


def stability(results: Results) -> str:
    """How reproducible labels are, by size."""
    rows = []
    for k in results.sizes:
        table = results(f"stability_k{k}")
        kinds = {kind: table[table["kind"] == kind] for kind in ("pair", "seed", "vote", "network")}
        vote, networks = kinds["vote"].iloc[0], kinds["network"]
        rows.append(
            [
                square(k),
                f"{int(vote['kernels']):,}",
                percents(kinds["seed"]["share_identified"]),
                percent(vote["share_identified"]),
                percent(vote["agreement"]),
                span(kinds["pair"]["agreement"]),
                span(kinds["pair"]["adjusted_rand_index"]),
                span(networks["agreement"]),
            ]
        )
    head = ["size", "kernels", "identified by one seed", "by vote", "seeds that agree, mean"]
    head += ["two seeds: same shape", "adjusted Rand index", "cross-fit: same shape"]
    return markdown(head, rows)


def crossfit(results: Results) -> str:
    """Labels of each network on curves of its own zoo and on curves that have not seen it."""
    rows = []
    for k in results.sizes:
        networks = results(f"stability_k{k}").query("kind == 'network'")
        for row in networks.sort_values("model").to_dict("records"):
            if pd.isna(row["share_identified_crossfit"]):
                continue
            rows.append(
                [
                    *(square(k), row["model"], f"{int(row['kernels']):,}"),
                    *(percent(row["share_identified"]), percent(row["share_identified_crossfit"])),
                    percent(row["agreement"]),
                    number(row["mean_dissimilarity"], 3),
                    number(row["mean_dissimilarity_crossfit"], 3),
                ]
            )
    head = ["size", "network", "kernels", "identified", "cross-fit", "same shape"]
    return markdown([*head, "dissimilarity", "dissimilarity, cross-fit"], rows)


def dissimilarity(results: Results) -> str:
    """Mean dissimilarity of kernels to their reconstruction, by method and size."""
    tables = {
        k: results(f"baselines_k{k}").groupby("method")["mean_dissimilarity"].mean()
        for k in results.sizes
    }
    rows = [
        [text, *(number(tables[k].get(method, float("nan")), 3) for k in tables)]
        for method, text in METHODS.items()
        if any(method in table for table in tables.values())
    ]
    return markdown(["method", *map(square, tables)], rows)


def baselines(results: Results, k: int) -> str:
    """Scores of methods that have clusters, means over seeds."""
    means = results(f"baselines_k{k}").drop(columns="seed").groupby("method").mean()
    rows = []
    for method, text in METHODS.items():
        if method not in means.index or pd.isna(means.loc[method, "clusters"]):
            continue
        row = means.loc[method]
        rows.append(
            [
                *(text, f"{row['clusters']:.0f}"),
                number(row["mean_dissimilarity"]),
                number(row["mean_dissimilarity_prototype"]),
                percent(row["share_identified"]),
                percent(row["share_identified_prototype"]),
                number(row["silhouette"]),
                number(_seeds_agree(results, k, method)),
            ]
        )
    head = ["method", "clusters", "dissimilarity", "to the prototype", "identified"]
    return markdown([*head, "by the prototype", "silhouette", "ARI of seeds"], rows)


def _seeds_agree(results: Results, k: int, method: str) -> float:
    """Return a method's adjusted Rand index between its own seeds."""
    table = results(f"agreement_k{k}")
    same = table[table["method"] == table["other"]].set_index("method")
    return float(same["adjusted_rand_index"].get(method, float("nan")))


def dissimilarities(results: Results) -> str:
    """How far kernels are from their reconstruction, by network and beside the nulls."""
    rows = []
    for k in results.sizes:
        table = results(f"dissimilarities_k{k}")
        for text, own in _networks(table):
            sets = [name for name in (TRAINED, IN_SAMPLE, *SETS) if name in own.index]
            medians = {name: number(own.loc[name, "median"]) for name in sets}
            below = {
                name: percent(*own.loc[name, ["share_below", "low", "high"]])
                for name in (TRAINED, COVARIANCE)
                if name in sets
            }
            row = [square(k), text, *(medians.get(n, NONE) for n in (TRAINED, IN_SAMPLE, *SETS))]
            row += [number(own["threshold"].iloc[0])]
            rows.append([*row, *(below.get(name, NONE) for name in (TRAINED, COVARIANCE))])
    head = ["size", "network or family", "median: trained", "in sample", *SETS, "threshold"]
    return markdown([*head, "trained below it (95 %)", "covariance below it"], rows)


def thresholds(results: Results) -> str:
    """At which thresholds more kernels are identified than of each null, all families together."""
    rows = []
    for k in results.sizes:
        table = results(f"thresholds_k{k}")
        table = table[table["family"] == ALL_FAMILIES]
        here = table[table["in_use"]].iloc[0]
        for null in SETS:
            own = table[(table["set"] == null) & table["excess"].notna()]
            if own.empty:
                continue
            row = [square(k), null, _points(own[own["in_use"]].iloc[0])]
            for name, other in (("threshold", "minimum_cosine"), ("minimum_cosine", "threshold")):
                along = own[own[other] == here[other]]
                more = along.loc[along["excess_low"] > 0, name]
                row.append(f"{_ranges(more, along[name])} ({number(here[name])})")
            best = own.loc[own["excess"].idxmax()]
            at = f"{number(best['threshold'])}, {number(best['minimum_cosine'])}"
            rows.append([*row, f"{_points(best)} at {at}", percent((own["excess_low"] > 0).mean())])
    head = ["size", "null", "excess in use, points", "thresholds with an excess (in use)"]
    head += ["minimum cosines with an excess (in use)", "greatest excess, at threshold and cosine"]
    return markdown([*head, "pairs with an excess"], rows)


def _ranges(chosen: pd.Series, every: pd.Series) -> str:
    """Write which of all values are chosen as ranges without a gap."""
    known = sorted(every.unique())
    places = [known.index(value) for value in sorted(chosen.unique())]
    texts = []
    for _, run in itertools.groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        ends = [known[place] for _, place in run]
        texts.append(span([ends[0], ends[-1]], 2))
    return ", ".join(texts) or "none"


def limits(results: Results) -> str:
    """Fits of which a parameter ended at a limit of the search, beside the nulls."""
    rows = []
    for k in results.sizes:
        table = results(f"limits_k{k}")
        whole = table[(table["model"] == ALL_NETWORKS) & (table["limit"] == "any")]
        for fitted in ("selected", "described", "jet 0", "jet 1", "jet 2", "jet 3"):
            for family, own in whole[whole["function"] == fitted].groupby("family", sort=False):
                if fitted in ("selected", "described") or family == ALL_FAMILIES:
                    sets = own.set_index("set")
                    enough = sets.index[sets["kernels"] >= FEWEST]
                    shares = [
                        _with_interval(sets.loc[name]) if name in enough else NONE
                        for name in (TRAINED, *SETS)
                    ]
                    rows.append([square(k), FITTED.get(fitted, fitted), family, *shares])
    return markdown(["size", "fits", "family", "trained (95 %)", *SETS], rows)


def limits_of(results: Results, k: int) -> str:
    """The limits of selected functions at which most fits of trained kernels end."""
    table = results(f"limits_k{k}")
    table = table[table["limit"] != "any"]
    trained = table[table["set"] == TRAINED].nlargest(10, "at_limit")
    rows = []
    for row in trained.itertuples():
        same = (table["function"] == row.function) & (table["limit"] == row.limit)
        others = table[same].set_index("set")
        shares = [_with_interval(others.loc[n]) if n in others.index else NONE
                  for n in (TRAINED, UNTRAINED, COVARIANCE)]  # fmt: skip
        rows.append([row.function, row.limit, number(row.value), *shares, number(row.mean_r2)])
    head = ["function", "limit", "value", "trained (95 %)", UNTRAINED, COVARIANCE]
    return markdown([*head, "mean R² of the trained"], rows)


def _at_limits(results: Results, k: int, fitted: str) -> pd.DataFrame:
    """Return the shares of fits at limits, of all families together, by set."""
    table = results(f"limits_k{k}")
    chosen = (table["family"] == ALL_FAMILIES) & (table["limit"] == "any")
    return table[chosen & (table["function"] == fitted)].set_index("set")


def unnamed(results: Results) -> str:
    """What has no name, and how far its prototypes are from templates and functions."""
    rows = []
    for k in results.sizes:
        table = results(f"prototype_fits_k{k}")
        parts = table[table["label"] == OTHER]
        rows.append(
            [
                *(square(k), percent(parts["members"].sum() / table["members"].sum())),
                *(str(len(parts)), span(parts["template_cosine"], 2), span(parts["r2"], 2)),
                str((parts["function"] == "shifted").sum()),
            ]
        )
    head = ["size", "kernels without a name", "prototypes", "their cosine to the nearest template"]
    return markdown([*head, "R² of their best function", "which is a shifted Gaussian"], rows)


def prototypes(results: Results) -> str:
    """How well analytic functions fit prototypes with a name, and single kernels."""
    rows = []
    for k in results.sizes:
        table, functions = results(f"prototype_fits_k{k}"), _of_trained(results, k)
        identified = functions[functions["identified"]]
        named = table[table["label"] != OTHER]
        rows.append(
            [
                square(k),
                f"{_good(results, k, named['r2'])} of {len(named)}",
                f"{functions['kernels'].sum():,}",
                number(_weighted(functions, "mean_r2")),
                percent(_share(functions, functions["form"] == "discrete")),
                number(_weighted(functions, "mean_gain"), 3),
                percent(identified["agreeing"].sum() / identified["kernels"].sum()),
            ]
        )
    head = ["size", "named prototypes that are described", "kernels", "mean R²"]
    head += ["discrete form better", "mean gain in R²", "identified: the fit has the label's shape"]
    return markdown(head, rows)


def functions(results: Results) -> str:
    """Which function is selected for the trained kernels of each size."""
    rows = []
    for k in results.sizes:
        table = _of_trained(results, k)
        rows.append(
            [square(k), *(percent(_share(table, table["function"] == name)) for name in FUNCTIONS)]
        )
    return markdown(["size", *FUNCTIONS], rows)


def jets(results: Results) -> str:
    """How well jets of each order describe kernels, and which order the criterion selects."""
    rows = []
    for k in results.sizes:
        table = results(f"jet_k{k}")
        table = table[(table["family"] == ALL_FAMILIES) & (table["model"] == "")]
        for _, row in table.iterrows():
            r2 = [number(row[f"mean_r2_{order}"]) for order in range(4)]
            selected = [percent(row[f"share_order_{order}"]) for order in range(4)]
            both = [number(row["mean_seven_r2"]), number(row["mean_ten_r2"])]
            rows.append([square(k), row["set"], *r2, *both, *selected])
    head = ["size", "kernels", *(f"mean R², order {order}" for order in range(4))]
    head += ["best of seven numbers", "best of ten"]
    return markdown([*head, *(f"order {order} selected" for order in range(4))], rows)


def jet_parts(results: Results) -> str:
    """What the jet of order 2 of trained kernels consists of, by family, beside the nulls."""
    rows = []
    for k in results.sizes:
        table = results(f"jet_k{k}")
        table = table[table["model"] == ""]
        trained = table[table["set"] == TRAINED]
        families = trained[trained["family"] != ALL_FAMILIES]
        chance = table[(table["family"] == ALL_FAMILIES) & (table["set"] != TRAINED)]
        for _, row in pd.concat([families, chance]).iterrows():
            name = row["family"] if row["set"] == TRAINED else row["set"]
            names = ("gaussian", "laplacian", "first", "oriented")
            parts = [row[f"share_{part}"] for part in names]
            shares = [parts[0] + parts[1], *parts]
            rows.append([square(k), name, number(row["mean_r2_2"]), *map(percent, shares)])
    head = ["size", "kernels", "mean R², order 2", "isotropic", "Gaussian", "Laplacian"]
    return markdown([*head, "first derivatives", "oriented second derivatives"], rows)


def functions_of(results: Results, k: int) -> str:
    """Fits beside labels: identified trained kernels by shape."""
    table = _of_trained(results, k)
    table = table[table["identified"]]
    shapes = table["label"].astype(str).map(shape_of)
    rows = []
    for shape in SHAPES:
        part = table[shapes == shape]
        if part.empty:
            continue
        kernels = part["kernels"].sum()
        chosen = part.groupby("function")["kernels"].sum().sort_values(ascending=False)
        first = ", ".join(f"{name} {100 * n / kernels:.0f} %" for name, n in chosen[:3].items())
        described = part["described"].sum() / kernels
        agreeing = part["agreeing"].sum() / kernels
        rows.append([shape, f"{kernels:,}", first, percent(agreeing), percent(described)])
    head = ["shape", "identified kernels", "functions selected", "the fit has this shape"]
    return markdown([*head, "described"], rows)


def _good(results: Results, k: int, r2: pd.Series) -> int:
    """Return how many of these are described."""
    shares = results(f"nulls_k{k}")
    return int(passes(r2, shares.loc[shares["rule"] == "r2", "threshold"].iloc[0]).sum())


def _of_trained(results: Results, k: int) -> pd.DataFrame:
    table = results(f"functions_k{k}")
    return table[table["trained"] & (table["function"] != DEGENERATE)]


def _share(table: pd.DataFrame, chosen: pd.Series) -> float:
    return float(table.loc[chosen, "kernels"].sum() / table["kernels"].sum())


def _weighted(table: pd.DataFrame, column: str) -> float:
    return float((table[column] * table["kernels"]).sum() / table["kernels"].sum())


def masterkeys(results: Results) -> str:
    """Mean R² of the best a·f + b of trained kernels, and the share that has 0.8."""
    rows = []
    for k in results.sizes:
        table = results(f"masterkeys_models_k{k}")
        table = table[table["trained"]]
        row = [square(k)]
        for name in FILTERS:
            part = table[table["filters"] == name]
            row.append(_explained(_weighted(part, "mean_r2"), _weighted(part, "share_r2_80")))
        centroids = _centroids(results, k)
        rows.append([*row, _explained(centroids["mean_r2"], centroids["share_r2_80"])])
    return markdown(["size", *FILTERS, "k-means centroids"], rows)


def scales(results: Results) -> str:
    """Mean R² of trained kernels by each published set of scales of the idealised eight."""
    rows = []
    for k in results.sizes:
        table = results(f"masterkeys_models_k{k}")
        parts = [table[table["trained"] & (table["filters"] == name)] for name in IDEALISED]
        rows.append([square(k), *(number(_weighted(part, "mean_r2"), 3) for part in parts)])
    return markdown(["size", *(name.removeprefix("idealised ") for name in IDEALISED)], rows)


def frequencies(results: Results, k: int) -> str:
    """Share of the kernels of each trained network that each idealised filter explains best."""
    table = results(f"masterkeys_frequencies_k{k}")
    table = table[table["filters"] == FILTERS[1]]
    names = table.drop_duplicates("number").sort_values("number")
    trained = table[table["trained"]]
    rows = [
        [str(model), *(percent(r.share, r.low, r.high) for r in part.itertuples())]
        for model, part in trained.sort_values(["family", "model", "number"]).groupby(
            "model", sort=False
        )
    ]
    controls = table[~table["trained"]].groupby("number")["share"]
    if len(controls):
        pairs = zip(controls.min(), controls.max(), strict=True)
        rows.append(["untrained", *(percents(pd.Series(pair)) for pair in pairs)])
    rows.append(["white noise", *(percent(share) for share in names["share_noise"])])
    return markdown(["network", *(f"{r.number} {r.name}" for r in names.itertuples())], rows)


def _explained(mean: float, share: float) -> str:
    return f"{mean:.2f} ({percent(share)})"


def _centroids(results: Results, k: int) -> pd.Series:
    """Return what as many centroids of k-means as there are master keys explain."""
    models = results(f"masterkeys_models_k{k}")
    keys = models.loc[models["filters"] == "master keys", "number"].iloc[0]
    search = results(f"masterkeys_k{k}")
    return search[(search["source"] == "k-means") & (search["filters"] == keys)].iloc[0]


def replacements(results: Results) -> str:
    """Accuracy of the networks that were trained here, with replaced kernels."""
    table = results("replacements").query("measure == 'subject'")
    found = table.pivot_table("accuracy", "variant", ["family", "model"])
    numbers = table.groupby("variant")["numbers"].mean()
    rows = [
        [
            {"fits": "analytic fits"}.get(name, name),
            number(numbers[name], 0 if numbers[name] == round(numbers[name]) else 1),
            *(number(100 * value, 1) for value in found.loc[name]),
        ]
        for name in dict.fromkeys(table["variant"])
    ]
    chance = f"accuracy of the subject, % (chance {100 * table['chance'].iloc[0]:.0f})"
    return markdown([chance, "numbers", *(str(model) for _, model in found.columns)], rows)


def distances(results: Results) -> str:
    """Divergence between models by kind of pair, beside the noise floor."""
    rows = []
    for k in results.sizes:
        table = results(f"distances_k{k}")
        models = table[
            (table["set_a"] != table["set_b"])
            & ~table["set_a"].str.contains(" ")
            & ~table["set_b"].str.contains(" ")
        ]
        both = models["trained_a"] & models["trained_b"]
        same = models["family_a"] == models["family_b"]
        kinds = {
            "trained, one family": models[both & same],
            "trained, two families": models[both & ~same],
            "trained and untrained": models[models["trained_a"] != models["trained_b"]],
        }
        for kind, part in kinds.items():
            if len(part):
                row = [square(k), kind, str(len(part)), span(part["divergence"], 2)]
                rows.append([*row, span(part["floor"], 2)])
    return markdown(["size", "pairs of models", "number", "divergence (nats)", "floor"], rows)


def offsets(results: Results) -> str:
    """Fitted centres of squares near the middle: how many are moved by half a pixel."""
    rows = []
    table = results("offsets")
    for row in table[(table["near"] > 0) & table["label"].isin(SQUARES)].to_dict("records"):
        pairs = [
            f"{percent(row[f'share_{name}'])} ({percent(row[f'chance_{name}'])})"
            for name in ("centred", "half_one", "half_both")
        ]
        rows.append([square(row["k"]), row["label"], f"{row['near']:,}", *pairs])
    head = ["size", "label", "near the middle", "centred (chance)"]
    return markdown([*head, "half a pixel, one axis", "both axes"], rows)


def strides(results: Results) -> str:
    """Squares and moves of centres by layer of stride 2, beside what padding makes one expect."""
    rows = []
    layers = results("offsets_layers")
    strided = layers[layers["stride"].fillna(1) > 1]
    for row in strided.sort_values(["k", "model", "layer_index"]).to_dict("records"):
        rows.append(
            [
                *(square(row["k"]), row["model"], f"{row['layer_index']}: {row['layer']}"),
                NONE if pd.isna(row["width"]) else str(int(row["width"])),
                _pair(row["expected_x"], row["expected_y"]),
                f"{_pair(row['median_x'], row['median_y'])} of {row['centred']:,}",
                percent(row["share_squares"], row["low"], row["high"]),
            ]
        )
    pooled = results("offsets_strides").query("stride == 1")
    for row in pooled[pooled["k"].isin(strided["k"])].to_dict("records"):
        found = f"{_pair(row['median_x'], row['median_y'])} of {row['centred']:,}"
        share = percent(row["share_squares"], row["low"], row["high"])
        name = f"all {row['layers']} layers of stride 1"
        expected = _pair(row["expected_x"], row["expected_y"])
        rows.append([square(row["k"]), "–", name, NONE, expected, found, share])
    head = ["size", "network", "layer", "map", "expected right, up"]
    return markdown([*head, "found right, up", "squares (95 %)"], rows)


def _pair(x: float, y: float) -> str:
    return NONE if pd.isna(x) else f"{_signed(x)}, {_signed(y)}"


def _signed(value: float) -> str:
    text = f"{value:+z.2f}".replace("-", "−")
    return "0" if text == "+0.00" else text


def accuracy(results: Results) -> str:
    """Rank correlations of the share identified with accuracy."""
    rows = []
    for row in results("accuracy_correlations").to_dict("records"):
        size = "all sizes" if pd.isna(row["k"]) else square(int(row["k"]))
        between = NONE
        if not pd.isna(row["low"]):
            between = f"{number(row['low'])} to {number(row['high'])}"
        rows.append([row["measure"], size, str(row["networks"]), number(row["rho"]), between])
    return markdown(["accuracy", "size", "networks", "rank correlation", "95 %"], rows)


def paper(results: Results) -> str:
    """Statements of the paper, its follow-ups and readers beside ours: rows of docs/paper.yaml."""
    values = _paper_values(results)
    rows = []
    for part in yaml.safe_load((ROOT / "docs/paper.yaml").read_text(encoding="utf-8")):
        rows.append([f"**{part['source']}**", "", "", "", "", ""])
        for row in part["rows"]:
            ours = row["ours"].format(**values)
            settings = [text for key, text in SETTINGS.items() if row.get(key)]
            config = " ".join(["--config", *settings, "-- "]) if settings else ""
            command = f"`snakemake --cores 8 {config}{row['make']}`"
            cells = [row["statement"], row["published"], ours, command]
            rows.append([*cells, row["differs"], row["needs"]])
    head = ["statement or figure", "published", "ours", "command"]
    return markdown([*head, "where it differs, and why", "needs"], rows)


def _paper_values(results: Results) -> dict[str, str]:
    """Return the numbers that docs/paper.yaml names."""
    shares = {rule: _shares_of(results, 7, ALL_FAMILIES, rule) for rule in ("identified", "r2")}
    lost = {
        k: results(f"baselines_k{k}").groupby("method")["mean_dissimilarity"].mean() for k in (3, 7)
    }
    keys = results("masterkeys_models_k7").query("trained")
    explained = {name: number(_weighted(part, "mean_r2")) for name, part in keys.groupby("filters")}
    first = results("masterkeys_filters_k7").query("filters == 'master keys'")["share"]
    sums = results("weightsum_k7")
    kinds = sums["label"].map(shape_of)
    kept = results("replacements").query("measure == 'subject'")
    kept = kept.pivot_table("accuracy", "model", "variant")
    functions = _of_trained(results, 7)
    drift = results("drift")
    last = drift[drift["step"] == drift.groupby("network")["step"].transform("max")]
    last = last[last["step"] > 0]
    rho = results("accuracy_correlations").query("k.isna()").iloc[0]
    layers = results("offsets_layers").query("k == @LARGE and stride.notna()")
    strided = layers["stride"] > 1
    return {
        "silhouette": _continuum_row(results, 7)[1],
        "dissimilarity": number(lost[7]["autoencoder 1-D"]),
        "dissimilarity_pca": number(lost[7]["PCA 5"]),
        "codes": " and ".join(number(lost[7][f"autoencoder {n}-D"]) for n in (2, 3)),
        "kmeans_7": number(lost[7]["k-means 20"]),
        "kmeans_3": number(lost[3]["k-means 20"]),
        "curve_3": number(lost[3]["autoencoder 1-D"]),
        "labels": str(sums["label"].isin(set(LABELS) - {OTHER, DEGENERATE}).sum()),
        "identified": _with_interval(shares["identified"].loc[TRAINED]),
        "identified_9": _with_interval(
            _shares_of(results, 9, ALL_FAMILIES, "identified").loc[TRAINED]
        ),
        "untrained": _share_of(shares["identified"], UNTRAINED),
        "covariance": _share_of(shares["identified"], COVARIANCE),
        "calibrated": number(shares["identified"].loc[COVARIANCE, "calibrated_threshold"]),
        "described": _with_interval(shares["r2"].loc[TRAINED]),
        "described_null": _share_of(shares["r2"], COVARIANCE),
        "dog": percent(
            _share(functions, functions["function"].isin(("dog", "elongated", "shifted dog")))
        ),
        "discrete": percent(_share(functions, functions["form"] == "discrete")),
        "gain": number(_weighted(functions, "mean_gain"), 3),
        **{
            f"sum_{name}": " to ".join(
                number(_weighted(sums[kinds == shape], f"relative_{quartile}"))
                for quartile in ("q25", "q75")
            )
            for name, shape in (("first", FIRST), ("on", "on-centre"), ("off", "off-centre"))
        },
        "keys": explained["master keys"],
        "random": explained["random"],
        "idealised": explained["idealised D2"],
        "refitted": explained["idealised, refitted"],
        "centroids": number(_centroids(results, 7)["mean_r2"]),
        **{
            f"{name}_80": percent(_weighted(keys[keys["filters"] == filters], "share_r2_80"))
            for name, filters in (("keys", "master keys"), ("random", "random"))
        },
        "first_key": percent(first.max()),
        "even_key": percent(1 / len(first)),
        **{
            f"kept_{name}": percents(kept[variant] / kept["untouched"])
            for name, variant in (("fits", "fits"), ("keys", "master keys"), ("random", "random"))
        },
        "rho": number(rho["rho"]),
        "networks": str(int(rho["networks"])),
        "squares": percents(layers.loc[strided, "share_squares"]),
        "squares_1": percents(layers.loc[~strided, "share_squares"]),
        "ari": _stability_row(results, 7)[1],
        "drift": span(last.groupby("network")["cosine"].median(), 2),
        "drift_null": number(last["cosine_null"].median()),
    }


def drift(results: Results) -> str:
    """How far the kernels of some checkpoints are from those of the last, beside random pairs."""
    table = results("drift").query("kernels > 0")
    rows = []
    for (k, network, step), part in table.groupby(["k", "network", "step"]):
        steps = sorted(table.loc[table["network"] == network, "step"].unique())
        if step not in (steps[0], steps[len(steps) // 2], steps[-1]):
            continue
        pairs = [(_weighted(part, name), _weighted(part, f"{name}_null")) for name in DRIFT]
        (cosine, by_chance), (shape, random), (moved, far) = pairs
        rows.append(
            [
                *(square(int(k)), str(network), f"{step:,} to {part['last_step'].iloc[0]:,}"),
                f"{number(cosine)} ({number(by_chance)})",
                _signed(_weighted(part, "norm_change")),
                f"{percent(shape)} ({percent(random)})",
                f"{number(moved)} ({number(far)})",
            ]
        )
    head = ["size", "network", "steps", "cosine (random pairs)", "change of the norm"]
    return markdown([*head, "same shape (random pairs)", "centres moved, pixels"], rows)


def networks(results: Results) -> str:
    """The networks trained here: what they learned, and what is identified of them."""
    known = results("networks").set_index("network")
    states = results("emergence").sort_values("step")
    rows = []
    for (k, name), own in states.groupby(["k", "network"]):
        last, first = own.iloc[-1], own.iloc[0]
        accuracies = NONE
        if name in known.index:
            row = known.loc[name]
            parts = ", ".join(
                number(100 * row[f"accuracy_{a}"], 1) for a in ("subject", "rotation")
            )
            accuracies = f"{percent(row['accuracy'])} ({parts})"
        energy, chance = last["initial_energy"], last["initial_energy_chance"]
        along = NONE if pd.isna(energy) else f"{percent(energy)} ({100 * chance:.1f})"
        untrained = percent(first["share_identified"]) if first["step"] == 0 else NONE
        rows.append(
            [
                *(str(name), f"{int(last['kernels']):,} of {square(int(k))}"),
                *(str(last["trained_on"]), accuracies, along),
                *(percent(last["share_identified"]), untrained),
            ]
        )
    head = ["network", "kernels", "trained on", "accuracy: both (subject, rotation)"]
    head += ["energy along the initial kernels (chance)", "identified", "untrained"]
    return markdown(head, rows)


def emergence(results: Results) -> str:
    """Share identified after some steps of each training with intermediate states."""
    states = results("emergence").sort_values("step")
    rows = []
    for (k, name), own in states.groupby(["k", "network"]):
        shares = own.set_index("step")["share_identified"]
        if len(shares) <= 2:
            continue
        ends = [part * shares.index[-1] for part in PARTS]
        steps = [min(shares.index, key=lambda step, end=end: abs(step - end)) for end in ends]
        cells = [f"{percent(shares[step])} ({step:,})" for step in steps]
        rows.append([square(int(k)), str(name), *cells])
    return markdown(
        ["size", "network", *(f"{100 * part:.0f} % of the steps" for part in PARTS)], rows
    )


def seeds(results: Results) -> str:
    """Shares of shapes in networks of one recipe and several seeds."""
    table = results("seeds")
    table = table[(table["networks"] > 1) & (table["mean"] > 0)]
    table = table.drop_duplicates(["family", "trained_on", "k", "shape"])
    rows = [
        [
            *(row["family"], square(int(row["k"])), str(row["networks"]), row["shape"]),
            f"{100 * row['mean']:.1f} ± {100 * row['sd']:.1f} %",
        ]
        for row in table.to_dict("records")
    ]
    return markdown(
        ["family", "size", "networks", "shape", "share, mean ± standard deviation"], rows
    )


def shapes(results: Results) -> str:
    """Shares of shapes at the end of training, by what the networks were trained on."""
    table = results("seeds")
    keys = ["k", "family", "trained_on"]
    means = table.pivot_table("share", keys, "shape", observed=True)
    known = [shape for shape in SHAPES if shape != OTHER]
    rows = [
        [square(int(k)), str(family), *(percent(row.get(name, 0.0)) for name in known)]
        for (k, family, _), row in means.fillna(0).iterrows()
    ]
    return markdown(["size", "family", *known], rows)


def spectra(results: Results) -> str:
    """How the power of training pictures falls with frequency."""
    exponents = results("data_spectra").groupby("trained_on")["exponent"].first()
    rows = [[str(name), number(value)] for name, value in exponents.items()]
    return markdown(["training pictures", "α of power ∝ frequency^−α"], rows)


TABLES: dict[str, Callable[[Results], str]] = {
    table.__name__: table
    for table in (
        *(findings, identified, described, excess, named, calibrated, stability, crossfit),
        *(dissimilarity, dissimilarities, thresholds, unnamed, prototypes, functions, limits),
        *(jets, jet_parts, masterkeys, scales),
        *(replacements, distances, offsets, strides, accuracy, paper, drift, networks, emergence),
        *(seeds, shapes, spectra),
    )
}
BY_SIZE: dict[str, Callable[[Results, int], str]] = {
    "baselines": baselines,
    "functions": functions_of,
    "frequencies": frequencies,
    "limits": limits_of,
}


def table_of(results: Results, name: str, where: str) -> str:
    """Return a table by the name in its marker.

    Raises
    ------
    KernelAtlasError
        If there is no such table; see `Results`.
    """
    match = re.fullmatch(r"(\w+?)_k(\d+)", name)
    if match and match[1] in BY_SIZE:
        return BY_SIZE[match[1]](results, int(match[2]))
    if name in TABLES:
        return TABLES[name](results)
    known = [*TABLES, *(f"{table}_k7" for table in BY_SIZE)]
    hint = suggest(name, known, f"there are: {', '.join(known)}")
    raise KernelAtlasError(f"{where}: numbers: {name!r}: no such table: {hint}")


def filled(text: str, results: Results, path: str) -> str:
    """Return a document with its tables made anew.

    Raises
    ------
    KernelAtlasError
        If a marker is unknown, not closed, or inside another.
    """
    lines: list[str] = []
    inside = None
    for number_of, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number_of}"
        begin, recorded = BEGIN.match(line), RECORDED.match(line)
        if (begin or recorded) and inside:
            raise KernelAtlasError(f"{where}: {line!r} inside {inside!r}: close that one first")
        if begin:
            inside = line
            lines += [line, "", table_of(results, begin[1], where), "", END]
        elif line == END:
            if not inside:
                raise KernelAtlasError(f"{where}: {END} closes nothing: remove it")
            if RECORDED.match(inside):
                lines.append(line)
            inside = None
        elif line.startswith("<!-- numbers") or (line.startswith("<!-- recorded") and not recorded):
            known = "<!-- numbers: NAME --> or <!-- recorded: SOURCE -->"
            raise KernelAtlasError(f"{where}: {line!r}: write {known}")
        else:
            if recorded:
                inside = line
            if not inside or RECORDED.match(inside):
                lines.append(line)
    if inside:
        raise KernelAtlasError(f"{path}: {inside!r}: not closed: add {END}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("documents", nargs="*", type=Path, help="default: README.md, docs/*.md")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; differences are errors"
    )
    options = parser.parse_args(arguments)
    documents = options.documents or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    results = Results(options.results)
    try:
        texts = {path: path.read_text(encoding="utf-8") for path in documents}
        # All are made before one is written.
        new = {path: filled(text, results, str(path)) for path, text in texts.items()}
        changed = [path for path in documents if new[path] != texts[path]]
        if options.check and changed:
            names = ", ".join(map(str, changed))
            raise KernelAtlasError(f"{names}: not what the tables say: run `make docs`")
    except KernelAtlasError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    for path in changed:
        path.write_text(new[path], encoding="utf-8", newline="\n")
        print(f"{path}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
