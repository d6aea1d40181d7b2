"""Moved paddings and pictures of other sizes, on a network whose right alignment is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from timm.layers import Conv2dSame
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.parity import COLUMNS, moved_padding, parity_table, plan, strided
from kernelatlas.figures import parity as figure
from kernelatlas.figures import style
from kernelatlas.running.files import write_frame
from kernelatlas.tables.parity import bootstrap, parity_tables
from kernelatlas.training.network_maps import map_table

SIDE, PICTURES = 16, 60


class Reader(nn.Module):
    """Tells which of two blobs is brighter, from the outputs of one lopsided layer.

    Its kernels are 2×2 blocks to the upper left of the middle, which on even maps see the pixels
    2i and 2i + 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dw = Conv2dSame(3, 3, 5, stride=2, groups=3, bias=False)
        with torch.no_grad():
            self.dw.weight.zero_()
            self.dw.weight[:, :, 1:3, 1:3] = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Where the bright 2×2 block lies whole in one window, the maximum is 4.
        peak = self.dw(x).flatten(2).amax(2)[:, :2]
        return 5 * peak


def batches(size: int):
    """Yield pictures with a 2×2 block of each of two channels, one of them out of step."""
    rng = np.random.default_rng(0)
    pictures, classes = torch.zeros(PICTURES, 3, size, size), []
    for picture in pictures:
        bright = int(rng.integers(2))
        rows, columns = 2 * rng.integers(1, size // 2 - 2, (2, 2))
        for channel in (0, 1):
            y, x = rows[channel] + (channel != bright), columns[channel] + (channel != bright)
            picture[channel, y : y + 2, x : x + 2] = 1
        classes.append(bright)
    for begin in range(0, PICTURES, 32):
        yield pictures[begin : begin + 32], torch.tensor(classes[begin : begin + 32])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return parity_table(Reader().eval(), batches, SIDE)


def test_what_is_in_step_is_read_and_a_moved_padding_reads_what_is_not(table) -> None:
    right = table[table["size"] == SIDE].groupby(["layer", "moved"])["correct"].mean()
    assert right["", 0] == 1
    assert right["dw", 1] == right["dw", -1] == 0
    even = table.groupby("size")["map"].first() % 2 == 0
    as_it_is = table[table["layer"] == ""].groupby("size")["correct"].mean()
    assert (as_it_is[even] == 1).all()
    # On odd maps the padding is another, and the blocks are out of step.
    assert (as_it_is[~even] == 0).all()


def test_pictures_are_numbered_and_columns_are_as_described(table) -> None:
    assert {name: str(kind) for name, kind in table.dtypes.items()}.keys() == COLUMNS.keys()
    assert (table.groupby(["size", "layer", "moved"])["picture"].nunique() == PICTURES).all()
    row = table[(table["size"] == SIDE)].iloc[0]
    assert row[["last", "map"]].tolist() == ["dw", SIDE]
    assert row[["expected_x", "expected_y"]].tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("n", [8, 9])
@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_a_moved_padding_gives_what_a_moved_picture_gives(n: int, by: int) -> None:
    torch.manual_seed(0)
    for layer in (Conv2dSame(2, 2, 5, stride=2, groups=2), nn.Conv2d(2, 2, 5, 2, 2, groups=2)):
        picture = torch.zeros(1, 2, n, n)
        picture[:, :, 3:-3, 3:-3] = torch.randn(1, 2, n - 6, n - 6)
        model = nn.Sequential(layer)
        with torch.no_grad():
            with moved_padding(model, "0", by):
                moved = model(picture)
            rolled = model(torch.roll(picture, (by, by), (2, 3)))
            assert torch.allclose(moved, rolled, atol=1e-6)
            assert not torch.allclose(model(picture), rolled, atol=1e-3)


def test_a_layer_that_is_no_convolution_is_refused() -> None:
    model = nn.Sequential(nn.ReLU())
    with (
        pytest.raises(KernelAtlasError, match="layer 0: no convolution"),
        moved_padding(model, "0", 1),
    ):
        pass


def test_large_kernels_are_moved_and_sizes_flip_their_maps() -> None:
    model = nn.Sequential(
        Conv2dSame(3, 4, 3, stride=2),
        Conv2dSame(4, 4, 3, stride=2, groups=4),
        Conv2dSame(4, 4, 5, stride=2, groups=4),
    )
    maps = map_table(model, (3, 48, 48))
    assert strided(maps)["layer"].tolist() == ["2"]
    assert strided(maps.iloc[:1])["layer"].tolist() == ["1"]  # small ones where there are no others
    tests, steps = plan(maps, 48)
    assert steps == [40, 44, 48, 52, 56]
    assert [test.moved for test in tests if (test.size, test.layer) == (48, "2")] == [-1, 1]
    assert [test.moved for test in tests if (test.size, test.layer) == (52, "2")] == [-1, 1]
    assert [map_table(model, (3, s, s))["width"].iloc[-1] for s in steps] == [10, 11, 12, 13, 14]


def test_a_network_without_strides_has_nothing_to_test() -> None:
    found = parity_table(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, groups=3)), batches, 8)
    assert found.empty
    assert list(found.columns) == list(COLUMNS)


def layers(x: float, y: float) -> pd.DataFrame:
    return pd.DataFrame({"model": ["net"], "layer": "dw", "k": 5, "median_x": x, "median_y": y})


def test_tables_tell_how_far_each_padding_is_off_and_what_it_costs(table, tmp_path) -> None:
    write_frame(table, tmp_path / "net.parquet")
    models = [["net", "fam", True, ""]]
    sizes, moves = parity_tables([tmp_path / "net.parquet"], layers(-0.5, 0.5), models, 200)
    rows = moves[moves["size"] == SIDE].set_index("moved")
    assert rows["missed"].to_dict() == {-1: 1.0, 0: 0.0, 1: 1.0}
    assert rows["change"].to_dict() == {-1: -1.0, 0: 0.0, 1: -1.0}
    assert rows.loc[1, "gain_high"] < 0
    odd = moves[moves["size"] == SIDE + 1].set_index("moved")
    # No padding is right on an odd map.
    assert odd["missed"].to_dict() == {-1: 0.5, 0: 0.5, 1: 1.5}
    by = sizes.set_index("size")
    assert by.loc[SIDE, ["accuracy", "accuracy_low", "accuracy_high"]].tolist() == [1, 1, 1]
    assert by.loc[SIDE, "excess_low"] > 0 > by.loc[SIDE + 1, "excess_high"]
    assert np.isnan(by["excess"].iloc[[0, -1]]).all()
    assert by.loc[[SIDE, SIDE + 1], "change"].tolist() == [0, -1]
    shown = [t.get_text() for t in figure.draw(sizes, moves).findobj(Text)]
    assert {"net", "even map", "odd map"} <= set(shown)
    for name in "12":
        paths = [tmp_path / f"{name}.{suffix}" for suffix in ("pdf", "png")]
        style.save(figure.draw(sizes, moves), *paths)
    for suffix in ("pdf", "png"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_no_network_leaves_empty_tables_and_words() -> None:
    sizes, moves = parity_tables([], layers(0, 0), [], 10)
    shown = [t.get_text() for t in figure.draw(sizes, moves).findobj(Text)]
    assert "No network that was tested has a layer of stride 2." in shown


def test_the_bootstrap_covers_the_mean() -> None:
    rng = np.random.default_rng(1)
    intervals = [bootstrap(rng.exponential(size=80), 200) for _ in range(300)]
    assert 0.88 <= np.mean([low <= 1 <= high for low, high in intervals]) <= 0.98
