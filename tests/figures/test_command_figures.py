"""The figures of the command line: networks side by side, and one kernel."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from test_figures import assert_texts_apart, texts

from kernelatlas.figures import compared, one_kernel

LONG = "a-very-long-folder-name-of-checkpoints-that-nobody-would-want-to-read-model_best"


def compared_figure(networks: int = 3, ks: tuple[int, ...] = (3, 7), nulls: bool = True) -> Figure:
    rows, counts = [], []
    for k in ks:
        for n in range(networks):
            name = LONG if n == 0 else f"net{n}"
            row = {"network": name, "k": k, "kernels": 100, "threshold": 0.3, "farther": n == 1}
            row |= {"share_identified": 0.6, "low": 0.5, "high": 0.7 if n else np.nan}
            quantiles = zip(("q05", "q25", "median", "q75", "q95"), range(5), strict=True)
            row |= {f"dissimilarity_{q}": 0.05 + 0.05 * at + 0.1 * n for q, at in quantiles}
            for kind in compared.WORDS:
                share = 0.5 if nulls else np.nan
                row |= {f"release_{kind}{end}": share for end in ("", "_low", "_high")}
            medians = (0.1, 0.2) if nulls else (np.nan, np.nan)
            row["release_least_median"], row["release_greatest_median"] = medians
            rows.append(row)
            for label, kernels, identified in (("on-centre", 70, 60), ("other", 30, 0)):
                group = {"k": k, "network": name, "label": label, "kernels": kernels}
                group |= {"identified": identified, "too_far": kernels - identified}
                counts.append(group | {"no_name": 0, "seeds_disagree": 0})
    return compared.draw(pd.DataFrame(rows), pd.DataFrame(counts), "release")


@pytest.mark.parametrize(
    "arguments", [{}, {"networks": 1, "ks": (5,)}, {"networks": 9}, {"nulls": False}]
)
def test_texts_of_compared_networks_do_not_overlap(arguments):
    assert_texts_apart(compared_figure(**arguments))


def test_what_a_release_does_not_have_is_not_drawn():
    assert "release: white noise" in texts(compared_figure())
    assert not any(text.startswith("release: ") for text in texts(compared_figure(nulls=False)))


def test_texts_of_one_kernel_do_not_overlap():
    rng = np.random.default_rng(0)
    names = (
        "weights",
        "reconstruction\ndissimilarity 0.123",
        "nearest template\nsecond-derivative 135° -\ncosine 0.8",
    )
    shown = [(name, rng.normal(size=(7, 7))) for name in (*names, "fit: shifted second\nR² 0.9")]
    title = f"{LONG} · blocks.3.layers.0.conv_dw · channel 100"
    figure = one_kernel.draw(shown, title, "Not identified. " * 10)
    assert_texts_apart(figure)
    assert len(figure.axes) == 4


def test_strips_keep_square_pixels():
    figure = one_kernel.draw([("weights", np.arange(7.0)[None])], "net", "It has no label.")
    box = figure.axes[0].get_window_extent()
    assert box.width == pytest.approx(7 * box.height)
