"""The rows of a figure of a family's shapes: name, numbers, prototypes and members of each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from kernelatlas.figures import style
from kernelatlas.names import FIRST, LABELS, OTHER, SECOND, SHAPES, shape_of

MEMBERS = 12
UNNAMED = 4  # maximal number of prototypes of kernels without a name

# Inches from the left edge of the page.
COLOUR, TEXT, COSINE, PROTOTYPES, MEMBER = style.MARGIN, 0.3, 1.98, 2.12, 4.56
BETWEEN = 0.135  # from the name to the numbers under it
SMALL_TILE, SMALL_STEP, TILE, STEP = 0.265, 0.295, 0.28, 0.302

ROW, DIRECTED = 0.325, 0.42  # heights of rows, without and with directions


@dataclass(frozen=True)
class Row:
    """A row of the figure: a shape, or a prototype of kernels without a name.

    Attributes
    ----------
    shape, name
        One of `SHAPES`; what is written.
    clusters
        Rows of the cluster table, in the order of directions: of a second derivative + and then −.
    """

    shape: str
    name: str
    clusters: pd.DataFrame

    @property
    def directed(self) -> bool:
        return self.shape in (FIRST, SECOND)

    @property
    def height(self) -> float:
        return DIRECTED if self.directed else ROW


def rows_of_size(clusters: pd.DataFrame, kernels: pd.Series) -> list[Row]:
    clusters = clusters.assign(shape=clusters["label"].astype(str).map(shape_of))
    rows = []
    for shape in SHAPES:
        here = clusters[clusters["shape"] == shape]
        if shape != OTHER and len(here):
            bright = [str(label).endswith("-") for label in here["label"]]
            place = [LABELS.index(label) for label in here["label"]]
            rows.append(Row(shape, shape, here.iloc[np.lexsort((place, bright))]))
    unnamed = clusters[clusters["shape"] == OTHER].sort_values("cluster")
    number = kernels.reindex(unnamed["cluster"], fill_value=0).to_numpy()
    for index in sorted(np.argsort(-number, kind="stable")[:UNNAMED]):
        rows.append(Row(OTHER, f"no name {index + 1}", unnamed.iloc[[index]]))
    return rows


def describe(page: Axes, row: Row, upper: float, k: int, counts: pd.DataFrame, total: int) -> None:
    """Write name, numbers and cosine; show the prototypes with directions or with the template."""
    middle = upper + row.height / 2
    label = str(row.clusters["label"].iloc[0])
    page.add_patch(
        Rectangle(
            (COLOUR, upper + 0.035),
            0.08,
            row.height - 0.07,
            facecolor=style.palette([label])[label],
            linewidth=0,
        )
    )
    found = counts.reindex(row.clusters["cluster"], fill_value=0).sum()
    number = int(found["kernels" if row.shape == OTHER else "identified"])
    noun = "kernels" if row.shape == OTHER else "identified"
    if row.shape == OTHER and number == 1:
        noun = "kernel"
    share = 100 * number / max(total, 1)
    upper_line, lower_line = middle - 0.5 * BETWEEN, middle + 0.5 * BETWEEN
    page.text(TEXT, upper_line, row.name, size=style.NORMAL, weight="bold", va="center_baseline")
    numbers = f"{number:,} {noun}, {share:.1f} %"
    page.text(TEXT, lower_line, numbers, size=style.SMALL, va="center_baseline")
    cosines = row.clusters["template_cosine"]
    text = "–".join(dict.fromkeys(f"{value:.2f}" for value in (cosines.min(), cosines.max())))
    # Beside the name where the numbers are too long for both in one line.
    taken = style.text_width(numbers, style.SMALL) + style.text_width(text, style.SMALL) + 0.1
    place = middle if taken <= COSINE - TEXT else upper_line
    page.text(COSINE, place, text, size=style.SMALL, ha="right", va="center_baseline")
    if row.directed:
        tile, step = SMALL_TILE, SMALL_STEP
        lefts = [PROTOTYPES + number * step for number in range(len(row.clusters))]
        kernels = list(row.clusters["prototype"])
        high = upper + 0.04
        for left, name in zip(lefts, row.clusters["label"], strict=True):
            page.text(
                left + tile / 2,
                high + tile + 0.055,
                style.direction_of(name).replace(" ", ""),
                size=style.SMALL - 1,
                ha="center",
                va="center_baseline",
            )
    else:
        tile, step = TILE, STEP
        lefts = [PROTOTYPES, PROTOTYPES + step]
        kernels = [row.clusters[name].iloc[0] for name in ("prototype", "template_weights")]
        high = middle - tile / 2
        place = lefts[-1] + tile + 0.08
        text = str(row.clusters["template"].iloc[0])
        best = str(row.clusters["template_label"].iloc[0])
        if shape_of(best) != row.shape:
            text = "nearest: " + " ".join([shape_of(best), style.direction_of(best)]).strip()
        text = style.shorten(text, MEMBER - place - 0.1, style.SMALL)
        page.text(place, middle, text, size=style.SMALL, va="center_baseline")
    style.show_kernels(page, kernels, k, lefts, high, tile)


def chosen(members: pd.DataFrame, directed: bool) -> pd.DataFrame:
    """Choose the members of a row: identified ones first, and for derivatives every direction.

    Parameters
    ----------
    members
        Columns label, rank, direction, identified, weights.
    directed
        Whether they are put into the order of their directions.
    """
    if members.empty:
        return members
    order = members.assign(missed=~members["identified"].astype(bool))
    order = order.sort_values(["missed", "label", "rank"], kind="stable")
    order = order.assign(turn=order.groupby("label", observed=True).cumcount())
    by = ["missed", "turn", "rank"] if directed else ["missed", "rank"]
    order = order.sort_values(by, kind="stable").head(MEMBERS)
    if directed:
        labels = order["label"].astype(str)
        angle = labels.map(lambda label: float(style.direction_of(label).split("°")[0]))
        turn = 360.0 if labels.map(shape_of).iloc[0] == FIRST else 180.0
        direction = order["direction"].astype(float)
        beside = ((direction - angle + turn / 2) % turn - turn / 2).fillna(0)
        order = order.assign(bright=labels.str.endswith("-"), angle=angle, beside=beside)
        order = order.sort_values(["bright", "angle", "beside"], kind="stable")
    return order


def show_members(page: Axes, row: Row, upper: float, k: int, members: pd.DataFrame) -> None:
    middle = upper + row.height / 2
    shown = chosen(members, row.directed)
    if shown.empty:
        page.text(
            MEMBER,
            middle,
            "no kernel of the trained networks",
            size=style.SMALL,
            color=style.FAINT,
            va="center_baseline",
        )
        return
    faint = None if row.shape == OTHER else (~shown["identified"].astype(bool)).tolist()
    lefts = [MEMBER + number * STEP for number in range(len(shown))]
    style.show_kernels(page, list(shown["weights"]), k, lefts, middle - TILE / 2, TILE, faint)


def count_rest(page: Axes, rows: list[Row], counts: pd.DataFrame, total: int, place: float) -> None:
    """Count the kernels of the groups without a name that are not shown."""
    shown = [cluster for row in rows for cluster in row.clusters["cluster"]]
    rest = counts[~counts.index.isin(shown)]
    number = int(rest["kernels"].sum())
    if number:
        share = 100 * number / max(total, 1)
        text = (
            f"{style.count(len(rest), 'more group')} of kernels without a name: "
            f"{style.count(number, 'kernel')}, {share:.1f} %"
        )
        page.text(TEXT, place, text, size=style.SMALL, va="center_baseline")
