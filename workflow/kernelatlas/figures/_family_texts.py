"""The texts of a figure of a family's shapes."""

from collections.abc import Sequence

import pandas as pd

from kernelatlas.figures import style
from kernelatlas.figures._family_rows import MEMBERS
from kernelatlas.names import OTHER, SQUARES, shape_of

THIN = 8  # maximal number of trained networks with a bar each


def bars_in_order(networks: pd.DataFrame) -> list[str]:
    """Return the lines of text that say which network each bar is."""
    room = style.LONG - 2 * style.MARGIN
    trained = networks[networks["trained"]]
    if len(trained) > THIN:
        text = (
            "Bars are the mean of the networks, lines go from the lowest to the highest; the "
            "networks one by one are in the tables and in the figure of the models."
        )
        return style.wrap(text, room, style.SMALL)
    known = [(row.model, row) for row in style.rows_of(trained)]
    texts = [f"{name} ({style.percent(row.share_identified, row.kernels)})" for name, row in known]
    controls = networks[~networks["trained"]]
    if len(controls):
        mean = f"{100 * controls['share_identified'].mean():.1f} %"
        several = "mean " if len(controls) > 1 else ""
        texts.append(f"{style.count(len(controls), 'untrained control')} ({several}{mean})")
    lines = ["Bars of a row, from top to bottom, and what is identified:"]
    for text in texts:
        longer = f"{lines[-1]} {text};"
        if style.text_width(longer, style.SMALL) <= room:
            lines[-1] = longer
        else:
            lines.append(f"{text};")
    return [*lines[:-1], lines[-1].rstrip(";") + "."]


def caption(
    clusters: pd.DataFrame,
    members: pd.DataFrame,
    networks: pd.DataFrame,
    seeds: Sequence[int],
) -> str:
    ks = networks["k"].unique()
    corpus = int(clusters.loc[clusters["k"].isin(ks), "members"].sum())
    text = (
        f"Depthwise kernels of {style.sizes(ks)} were named by vote of autoencoders with one code "
        f"({'seeds' if len(seeds) > 1 else 'seed'} {style.listed(seeds)}; trained on a corpus of "
        f"{style.count(corpus, 'kernel')}): what their curves draw for a kernel is averaged, and "
        "the mean has the name of the analytic template with the highest cosine. A kernel is "
        "identified if it has a name, most seeds give it this shape, and its dissimilarity "
        f"(1 − cos) to the curves is below the threshold, {style.thresholds(networks)}. Prototypes "
        "are mean kernels of the corpus, one for each direction of a derivative (degrees "
        "anticlockwise from the right; +: a dark ridge, −: a bright one), with their cosine to the "
        "best template, which is beside them. Kernels without a name are grouped by k-means, the "
        "most frequent in the corpus first; they are not identified, and their bars are shares of "
        "kernels in the group. Percentages beside bars are means over networks, lines "
        "on bars 95 % intervals over the layers of a network (of many networks their range). All "
        "shares are of all kernels of a network: "
        f"{style.count(int(networks['kernels'].sum()), 'kernel')} here, of which "
        f"{int(networks['degenerate'].sum()):,} are degenerate (without a shape). Kernels are "
        "centred: red is above their mean, blue below, each on its own scale."
    )
    means = clusters[clusters["k"].isin(ks)]
    if means["label"].isin(SQUARES).any():
        text += " Squares are mirrored to one corner for their prototype."
    named = means[means["label"] != OTHER][["label", "template_label"]].astype(str)
    if (named["label"].map(shape_of) != named["template_label"].map(shape_of)).any():
        text += " A mean can look like another shape than its kernels (“nearest”)."
    if len(members):
        text += (
            f" Members, at most {MEMBERS}, are drawn at random from the family’s trained networks, "
            "identified ones first, those of derivatives in the order of their directions; a "
            "dashed frame marks a kernel with the name that is not identified."
        )
    return text


def _range(values: pd.Series) -> str:
    texts = list(dict.fromkeys(f"{100 * value:.1f}" for value in (values.min(), values.max())))
    return "–".join(texts) + " %"


def heading_of(k: int, networks: pd.DataFrame) -> str:
    trained = networks[networks["trained"]]
    controls = networks[~networks["trained"]]
    parts = []
    if len(trained):
        sources = [text for text in trained["trained_on"].unique() if text]
        on = f" (on {sources[0]})" if len(sources) == 1 else ""
        parts.append(
            f"{style.count(len(trained), 'trained network')}{on}: "
            f"{_range(trained['share_identified'])} identified"
        )
    if len(controls):
        parts.append(
            f"{style.count(len(controls), 'untrained control')}: "
            f"{_range(controls['share_identified'])}"
        )
    return f"{k}×{k} kernels · " + "; ".join(parts)
