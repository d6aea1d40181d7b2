"""The decoded spectrum: what the autoencoder's curve shows along its one code."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kernelatlas.figures import style
from kernelatlas.names import shape_of

IMAGES = 32  # prototypes in the strip
LEFT, WIDTH, RIGHT = 0.75, 10.4, 1.5  # inches
BAND, LEADER, LINE = 0.2, 0.3, 0.14  # inches
DENSITY, COSINE = 1.6, 1.2  # inches


def draw(
    spectrum: pd.DataFrame,
    clusters: pd.DataFrame,
    seed: int | None = None,
    threshold: float | None = None,
) -> Figure:
    """Draw prototypes, clusters, the density of the kernels and the template cosine.

    Parameters
    ----------
    spectrum
        On a fine grid of the code: columns code, density, template_cosine, prototype.
    clusters
        Columns cluster, code_low, code_high, label, members.
    seed
        Of the autoencoder, for the caption.
    threshold
        Of the dissimilarity, for the caption.
    """
    spectrum = spectrum.sort_values("code")
    clusters = clusters.sort_values("code_low")
    k = style.kernel_size(spectrum["prototype"].iloc[0])
    texts = [f"{row.cluster}  {row.label}" for row in style.rows_of(clusters[["cluster", "label"]])]
    strip = WIDTH / IMAGES
    words = max(style.text_width(text, style.SMALL) for text in texts) + 0.05
    head = strip + 0.08 + BAND + LEADER + words
    height = 0.45 + head + 0.1 + DENSITY + 0.2 + COSINE + 0.5
    figure = style.new_figure(
        LEFT + WIDTH + RIGHT, height, f"Spectrum of decoded {k}×{k} kernels", fixed=True
    )
    bottom = style.caption(figure, _caption(k, clusters, seed, threshold))

    page = style.axes_at(figure, LEFT, bottom + height - 0.45 - head, WIDTH, head)
    page.set(xlim=(0, 1), ylim=(head, 0))  # the code, and inches downwards
    page.axis("off")
    _strip(page, spectrum, k, strip)
    _band(page, clusters, texts, strip + 0.08)
    present = [shape_of(label) for label in clusters["label"]]
    figure.legend(
        handles=style.part_handles(present),
        title="shape",
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(
            (LEFT + WIDTH + 0.1) / (LEFT + WIDTH + RIGHT),
            1 - 0.4 / (height + bottom),
        ),
    )

    density = style.axes_at(figure, LEFT, bottom + 0.5 + COSINE + 0.2, WIDTH, DENSITY)
    density.fill_between(spectrum["code"], spectrum["density"], color=style.CONTROL, linewidth=0)
    density.plot(spectrum["code"], spectrum["density"], color=style.INK, linewidth=0.9)
    density.set_ylabel("density of kernels\nper unit of code")
    density.set(ylim=(0, None), xticklabels=[])
    cosine = style.axes_at(figure, LEFT, bottom + 0.5, WIDTH, COSINE)
    cosine.plot(spectrum["code"], spectrum["template_cosine"], color=style.INK, linewidth=0.9)
    cosine.set(ylabel="cosine to the\nbest template", xlabel="code")
    cosine.set_ylim(min(0.5, float(spectrum["template_cosine"].min())), 1.0)
    for ax in (density, cosine):
        ax.set_xlim(0, 1)
        for cut in clusters["code_low"].iloc[1:]:
            ax.axvline(cut, color=style.FAINT, linewidth=0.6, linestyle=(0, (4, 2)))
        sns.despine(ax=ax)
    figure.align_ylabels([density, cosine])
    return figure


def _caption(k: int, clusters: pd.DataFrame, seed: int | None, threshold: float | None) -> str:
    return (
        f"Top: {IMAGES} kernels decoded at equally spaced codes (red positive, blue negative, "
        f"each on its own scale); below them the {style.count(len(clusters), 'cluster')} into "
        "which the curve is cut, with number and label, coloured by shape. Middle: density of "
        f"the projected codes of {style.count(int(clusters['members'].sum()), 'kernel')} of "
        f"{k}×{k}; it integrates to 1. Bottom: cosine between the decoded kernel and the analytic "
        "template that fits it best. Dashed lines are the cuts."
        + ("" if seed is None else f" Seed of the autoencoder: {seed}.")
        + ("" if threshold is None else f" Threshold of the dissimilarity: {threshold:.2f}.")
    )


def _strip(page: Axes, spectrum: pd.DataFrame, k: int, high: float) -> None:
    codes = spectrum["code"].to_numpy(dtype=float)
    margin = 0.06 / IMAGES
    for number in range(IMAGES):
        nearest = int(np.abs(codes - (number + 0.5) / IMAGES).argmin())
        style.show_kernel(
            page,
            spectrum["prototype"].iloc[nearest],
            k,
            (number / IMAGES + margin, (number + 1) / IMAGES - margin, high * 0.94, high * 0.06),
        )


def _band(page: Axes, clusters: pd.DataFrame, texts: list[str], upper: float) -> None:
    """Draw a coloured box per cluster and, at the end of a thin line, its label."""
    middles = (clusters["code_low"] + clusters["code_high"]).to_numpy(dtype=float) / 2
    colours = style.palette(clusters["label"])
    lower = upper + BAND
    places = spread(middles, LINE / WIDTH)
    rows = style.rows_of(clusters[["code_low", "code_high", "label"]])
    for row, middle, place, text in zip(rows, middles, places, texts, strict=True):
        box = Rectangle(
            (row.code_low, upper),
            row.code_high - row.code_low,
            BAND,
            facecolor=colours[row.label],
            edgecolor=style.INK,
            linewidth=0.5,
            clip_on=False,
        )
        page.add_patch(box)
        page.plot(
            [middle, middle, place, place],
            [lower, lower + 0.05, lower + LEADER - 0.08, lower + LEADER - 0.03],
            color=style.FAINT,
            linewidth=0.6,
        )
        page.text(
            place, lower + LEADER, text, rotation=270, ha="center", va="top", size=style.SMALL
        )


def spread(places: np.ndarray, distance: float) -> np.ndarray:
    """Move sorted places in [0, 1] as little as needed to be `distance` apart.

    Places that would touch form a group, which stays centred on the mean of what was wanted.
    """
    distance = min(distance, 1 / max(len(places), 1))
    groups: list[list[float]] = []  # sum of the wanted starts, number of places
    for number, place in enumerate(places):
        groups.append([place - number * distance, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    starts = np.concatenate([np.full(int(n), total / n) for total, n in groups])
    low, high = distance / 2, 1 - (len(places) - 0.5) * distance
    return np.clip(starts, low, max(low, high)) + np.arange(len(places)) * distance
