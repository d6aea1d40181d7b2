"""Figures that show what is not identified say why: too far, without a name, or seeds disagree."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from kernelatlas.clustering.reasons import COUNTS, composition
from kernelatlas.figures import emergence, family_layers, models, pca, seeds, style
from kernelatlas.names import NO_NAME, OTHER, SEEDS_DISAGREE, TOO_FAR
from kernelatlas.tables.dynamics import shape_shares

KERNELS = 100  # of a layer
WHY = {TOO_FAR: 10, NO_NAME: 25, SEEDS_DISAGREE: 5}  # not identified, of these
LEGEND = ["not identified: too far", "not identified: no name", "not identified: seeds disagree"]


def labels(model: str = "net", layers: int = 2) -> pd.DataFrame:
    """Kernels of a network, of which so many are not identified for each reason."""
    reasons = [reason for reason, n in WHY.items() for _ in range(n)]
    identified = KERNELS - len(reasons)
    one = pd.DataFrame(
        {
            "family": "fam",
            "model": model,
            "trained": True,
            "k": 7,
            "label": ["on-centre"] * identified
            + [OTHER if reason == NO_NAME else "off-centre" for reason in reasons],
            "identified": np.arange(KERNELS) < identified,
            "reason": [None] * identified + reasons,
        }
    )
    parts = [one.assign(layer=f"dw{n}", layer_index=n) for n in range(layers)]
    return pd.concat(parts, ignore_index=True)


def of_models() -> list[Figure]:
    counts = composition(labels(), ["family", "model", "trained", "k", "layer_index", "layer"])
    row = {"family": "fam", "model": "net", "trained": True, "k": 7, "kernels": 2 * KERNELS}
    row |= {"degenerate": 0, "identified": 120, "share_identified": 0.6, "low": 0.5, "high": 0.7}
    return pages(models.draw(pd.DataFrame([row | {"threshold": 0.3}]), counts, seed=0))


def of_layers() -> list[Figure]:
    counts = composition(labels(), ["family", "model", "trained", "k", "layer_index", "layer"])
    known = ["family", "model", "trained", "k", "layer_index", "layer"]
    rows = labels().groupby(known)["identified"].agg(kernels="size", identified="sum").reset_index()
    rows = rows.assign(share_identified=0.6, low=0.5, high=0.7)
    return pages(family_layers.draw(counts, rows, "fam"))


def states() -> pd.DataFrame:
    of_steps = [
        labels(network).assign(network=network, step=step, trained_on="photographs")
        for network, step in itertools.product(("one", "two"), (0, 100))
    ]
    return composition(pd.concat(of_steps), ["family", "network", "trained_on", "step", "k"])


def of_steps() -> list[Figure]:
    known = states().drop_duplicates(["network", "step"])[
        ["family", "network", "trained_on", "step", "k"]
    ]
    table = known.assign(kernels=200, share_identified=0.6, low=0.5, high=0.7)
    table = table.assign(initial_energy=0.5, initial_energy_chance=0.02)
    return pages(emergence.draw(table, states(), None, 0))


def of_seeds() -> list[Figure]:
    return pages(seeds.draw(shape_shares(states()), 0))


def of_components() -> list[Figure]:
    table = labels()
    rng = np.random.default_rng(0)
    scores = table.assign(**{f"pc{n}": rng.normal(size=len(table)) for n in (1, 2, 3)})
    components = pd.DataFrame({"component": range(1, 11), "explained_variance_ratio": 0.1})
    components["loading"] = list(rng.normal(size=(10, 49)))
    return pages(pca.draw(scores, components))


def pages(drawn: Figure | list[Figure]) -> list[Figure]:
    return [drawn] if isinstance(drawn, Figure) else drawn


FIGURES = {
    "models": of_models,
    "layers": of_layers,
    "emergence": of_steps,
    "seeds": of_seeds,
    "components": of_components,
}


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_not_identified_is_split_by_reason(name: str) -> None:
    drawn = FIGURES[name]()
    said = [
        text.get_text() for page in drawn for text in page.findobj() if hasattr(text, "get_text")
    ]
    under = [text.replace("\n", " ") for text in said]
    assert set(LEGEND) <= set(under)
    assert "not identified" not in under
    captions = " ".join(under)
    assert "the first reason is given that holds" in captions


@pytest.mark.parametrize(("name", "horizontal"), [("models", True), ("layers", False)])
def test_bars_are_as_long_as_the_reasons_are_frequent(name: str, horizontal: bool) -> None:
    found = {}
    for page, (reason, part) in itertools.product(FIGURES[name](), style.UNIDENTIFIED.items()):
        look = style.part_style(part)
        bars = [
            bar
            for ax in page.axes
            for patch in ax.patches
            if to_hex(patch.get_facecolor()) == to_hex(look["facecolor"])
            and patch.get_hatch() == look["hatch"]
            for bar in patch.get_path().to_polygons()
        ]
        sizes = {round(float(np.ptp(bar[:, 0 if horizontal else 1])), 6) for bar in bars}
        found[reason] = sizes
    assert found == {reason: {float(n)} for reason, n in WHY.items()}


def test_single_kernels_have_a_marker_of_their_reason() -> None:
    (page,) = of_components()
    plane = page.axes[0]
    counts = {
        line.get_marker(): len(line.get_xdata())
        for line in plane.lines
        if len(line.get_xdata()) > 2
    }
    markers = {
        reason: style.marker_style(part)["marker"] for reason, part in style.UNIDENTIFIED.items()
    }
    assert len(set(markers.values())) == 3
    assert counts == {markers[reason]: 2 * n for reason, n in WHY.items()}
    dots = [len(c.get_offsets()) for c in plane.collections if isinstance(c, PathCollection)]
    assert dots == [2 * (KERNELS - sum(WHY.values()))]


def test_every_reason_looks_different_from_the_others_and_from_controls() -> None:
    parts = [*style.UNIDENTIFIED.values(), "degenerate"]
    looks = [(style.part_style(p)["facecolor"], style.part_style(p)["hatch"]) for p in parts]
    control = style.control_style()
    looks.append((control["facecolor"], control["hatch"]))
    assert len(set(looks)) == len(looks)
    # What has no name is grey like the label `other`.
    assert (
        style.part_style(style.UNIDENTIFIED[NO_NAME])["facecolor"] == style.palette([OTHER])[OTHER]
    )
    assert set(COUNTS.values()) == set(style.UNIDENTIFIED)
