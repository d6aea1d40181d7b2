"""Legends name what is drawn, few kernels have no percentages, controls are drawn once."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from test_figures import (
    FIGURES,
    assert_texts_apart,
    drawn_clusters,
    family_tables,
    models_figure,
    pages,
    texts,
)

from kernelatlas.figures import family_layers, models, style


def kind(line: Line2D) -> tuple[str, bool]:
    """Return a line's marker, and whether it is hollow."""
    face = to_rgba(line.get_markerfacecolor())
    return str(line.get_marker()), face[3] == 0 or face[:3] == (1, 1, 1)


def marked(lines: list[Line2D]) -> set[tuple[str, bool]]:
    return {kind(line) for line in lines if line.get_marker() not in ("None", "none", "", None)}


# Small dots on lines are the points of the line that the legend names.
@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"emergence", "training"}))
def test_legends_name_every_marker(name: str) -> None:
    for page in pages(FIGURES[name]()):
        legends = [*page.legends, *filter(None, (ax.get_legend() for ax in page.axes))]
        named = {
            mark
            for legend in legends
            for mark in marked([h for h in legend.legend_handles if isinstance(h, Line2D)])
        }
        drawn = set().union(*(marked(ax.lines) for ax in page.axes))
        assert {m for m, _ in drawn} <= {m for m, _ in named} | {"|", "_"}, name
        assert {m for m, hollow in drawn if hollow} <= {m for m, hollow in named if hollow}, name


def test_percentages_of_few_kernels_are_not_drawn() -> None:
    tables = family_tables()
    table = tables["models"]
    table.loc[table["trained"], "kernels"] = style.FEW - 1
    found = texts(models.draw(table, tables["composition"]))
    assert f"{style.FEW - 1} kernels" in found
    share = table.loc[table["trained"], "share_identified"].iloc[0]
    assert not any(text.startswith(f"{100 * share:.1f} %") for text in found)
    assert any(f"fewer than {style.FEW} kernels" in text.replace("\n", " ") for text in found)
    assert style.percent(0.5, style.FEW) == "50.0 %"
    layers = tables["layers"]
    few = layers["layer_index"] == layers["layer_index"].min()
    layers.loc[few, "kernels"] = 12
    (page,) = family_layers.draw(tables["composition"], layers, "convnextv2")
    assert texts(page).count("12 kernels") == 1
    lefts = [patch.get_path().get_extents().x0 for patch in page.axes[0].patches]
    assert min(lefts) > 0.5  # no bar at the first place


def test_untrained_controls_are_one_row_of_models_and_markers_of_layers() -> None:
    found = texts(models_figure(networks=5))
    assert found.count("5 untrained controls") == 1
    assert not any(".untrained" in text for text in found)
    tables = family_tables(networks=3)
    (page,) = family_layers.draw(tables["composition"], tables["layers"], "convnextv2")
    assert len(page.axes) == 3  # trained networks alone
    layers = tables["layers"]
    pooled = layers[~layers["trained"]].groupby("layer_index")[["identified", "kernels"]].sum()
    expected = 100 * pooled["identified"] / pooled["kernels"]
    for ax in page.axes:
        (marks,) = (line for line in ax.lines if line.get_marker() == "D")
        np.testing.assert_allclose(marks.get_ydata(), expected)


def test_controls_without_a_trained_network_have_panels() -> None:
    tables = family_tables(networks=2)
    alone = {name: tables[name][~tables[name]["trained"]] for name in ("composition", "layers")}
    (page,) = family_layers.draw(alone["composition"], alone["layers"], "convnextv2")
    assert len(page.axes) == 2
    assert sum("(untrained control)" in text for text in texts(page)) == 2


def test_intervals_of_models_and_layers_are_those_of_the_tables() -> None:
    tables = family_tables()
    table = tables["models"]
    table.loc[table["trained"], ["share_identified", "low", "high"]] = [0.5, 0.321, 0.678]
    pages = models.draw(table, tables["composition"])
    assert "50.0 % (32–68)" in texts(pages)
    (lines,) = pages[0].axes[0].collections
    assert any(np.allclose(line[:, 0], [32.1, 67.8]) for line in lines.get_segments())


def test_names_stay_different_and_fit() -> None:
    names = [f"convnextv2_huge.fcmae_ft_in22k_in1k_{n}_of_a_long_name" for n in range(12)]
    names += ["mobilenetv4_conv_small_050.e3000_r224_in1k", "short"]
    shown = style.distinct(names, 1.2, style.SMALL)
    assert len(set(shown)) == len(names)
    assert shown[-1] == "short"
    assert all(
        style.text_width(line, style.SMALL) <= 1.2
        for text in shown
        for line in text.split("\n")
        if "…" in text
    )
    assert style.distinct(["a", "a"], 1.2, style.SMALL) == ["a", "a"]


def test_layers_keep_what_tells_them_apart() -> None:
    short = family_layers.short_names
    assert short(["stages.0.blocks.0.conv_dw", "stages.1.blocks.0.conv_dw"]) == ["0.0", "1.0"]
    # Without what all share, these two would be the same.
    same = ["a.dw.b.0", "b.dw.a.0"]
    assert len(set(short(same))) == 2
    assert short(["token_mixer.dwconv_hw"]) == ["token_mixer.dwconv_hw"]


def test_long_names_of_many_layers_stay_beside_each_other() -> None:
    tables = family_tables(layers=60)
    block = "stages.0.blocks.{}.{}_convolution_over_the_whole_of_the_map.proj.conv"
    for name in ("composition", "layers"):
        number = tables[name]["layer_index"]
        tables[name]["layer"] = [block.format(n // 2, ("small", "large")[n % 2]) for n in number]
    drawn = family_layers.draw(tables["composition"], tables["layers"], "convnextv2")
    assert sum("…" in text for text in texts(drawn)) == 60
    assert_texts_apart(drawn)


def test_numbers_of_large_families_leave_room_for_cosines() -> None:
    tables = family_tables(clusters=None)
    tables["clusters"].loc[::2, "template_cosine"] = 0.88
    for name in ("shares", "models"):
        tables[name][["kernels", "identified"]] *= 10_000
    drawn = drawn_clusters(tables)
    assert any("," in text and "identified," in text for text in texts(drawn))
    assert "0.88–0.95" in texts(drawn)
    assert_texts_apart(drawn)
