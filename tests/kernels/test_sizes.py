"""The counts of kernels by size, and which sizes are studied."""

import numpy as np
import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.sizes import models_with, size_table, sizes_of
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running.files import write_frame

MODELS = [
    ["a", "first", True, "pictures"],
    ["a.untrained", "first", False, ""],
    ["b", "second", True, ""],
]
SIZES = {
    "a": [(4, 3, 3), (3, 7, 7), (9, 1, 7)],
    "a.untrained": [(4, 3, 3), (30, 7, 7), (8, 5, 5)],
    "b": [(2, 3, 3), (3, 7, 7), (2, 9, 9)],
}


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for model, sizes in SIZES.items():
        layers = [
            Layer(f"dw{i}", rng.normal(size=size).astype(np.float32))
            for i, size in enumerate(sizes)
        ]
        if model == "b":
            layers[1].weights[0] = 0  # of six 7×7 kernels in trained models five are usable
        paths.append(tmp_path / f"{model}.parquet")
        write_kernels(paths[-1], model, layers, {})
    return paths


def studied(table):
    return sorted(set(table.loc[table["studied"], "kh"]))


def test_counts(paths, tmp_path):
    table = size_table(paths, MODELS, [3, 7], 5)
    assert list(table) == [
        *("family", "model", "trained", "kh", "kw", "kernels", "degenerate", "studied")
    ]
    assert table.to_numpy().tolist() == [
        ["first", "a", True, 1, 7, 9, 0, False],
        ["first", "a", True, 3, 3, 4, 0, True],
        ["first", "a", True, 7, 7, 3, 0, True],
        ["first", "a.untrained", False, 3, 3, 4, 0, True],
        ["first", "a.untrained", False, 5, 5, 8, 0, False],
        ["first", "a.untrained", False, 7, 7, 30, 0, True],
        ["second", "b", True, 3, 3, 2, 0, True],
        ["second", "b", True, 7, 7, 3, 1, True],
        ["second", "b", True, 9, 9, 2, 0, False],
    ]
    write_frame(table, tmp_path / "sizes.parquet")
    path, models = tmp_path / "sizes.parquet", ["b", "a.untrained", "unknown", "a"]
    assert sizes_of(path, ["a.untrained"]) == [3, 7]
    assert models_with(path, 3, models) == ["b", "a.untrained", "a"]
    assert models_with(path, 5, models) == ["a.untrained"]  # not studied, but there
    assert models_with(path, 9, models) == ["b"]
    assert models_with(path, 11, models) == []


@pytest.mark.parametrize(
    ("sizes", "minimum", "expected"),
    [
        ([3, 5, 7, 9], 1, [3, 7, 9]),  # 5×5 has none in trained models
        ([3, 5, 7, 9], 2, [3, 7, 9]),
        ([3, 5, 7, 9], 3, [3, 7]),
        ([3, 5, 7, 9], 5, [3, 7]),
        ([3, 5, 7, 9], 6, [3]),  # degenerate kernels do not count
        ([7], 1, [7]),
        ([11, 7], 1, [7]),
    ],
)
def test_sizes_that_are_listed_and_have_enough_trained_kernels(paths, sizes, minimum, expected):
    assert studied(size_table(paths, MODELS, sizes, minimum)) == expected


def test_doubtful_layers_do_not_decide(paths):
    weights = np.random.default_rng(0).normal(size=(3, 7, 7)).astype(np.float32)
    write_kernels(paths[0], "a", [Layer("stem", weights, inferred=True)], {})
    table = size_table(paths, MODELS, [3, 7], 2)
    assert studied(table) == [3, 7]  # two kernels of the model b are usable
    found = "3x3: 2, 7x7: 2, 9x9: 2; 3 more are of layers that are perhaps not depthwise"
    with pytest.raises(KernelAtlasError, match=found):
        size_table(paths, MODELS, [3, 7], 3)


def test_sizes_passed_over_are_logged(paths, caplog):
    size_table(paths, MODELS, [3, 7, 9], 6)
    assert caplog.messages == [
        "7x7: 5 usable kernels, 6 needed: passed over",
        "9x9: 2 usable kernels, 6 needed: passed over",
    ]


def test_no_size_is_left(paths):
    with pytest.raises(KernelAtlasError) as caught:
        size_table(paths, MODELS, [5, 9], 100)
    message = str(caught.value)
    assert "kernel_sizes is [5, 9], minimum_kernels is 100" in message
    assert "3x3: 6, 7x7: 5, 9x9: 2" in message
    assert "add models or change the config" in message


def test_no_square_kernels_at_all(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    write_kernels(paths[0], "a", [], {})
    write_kernels(paths[1], "b", [Layer("dw", np.eye(7, dtype=np.float32)[:, None])], {})
    with pytest.raises(KernelAtlasError, match="trained models: none; add models"):
        size_table(paths, [MODELS[0], MODELS[2]], [7], 1)


def test_a_model_without_kernels_changes_nothing(paths, tmp_path):
    write_kernels(tmp_path / "none.parquet", "none", [], {})
    models = [["none", "first", True, ""], *MODELS]
    table = size_table([tmp_path / "none.parquet", *paths], models, [3, 7], 5)
    assert studied(table) == [3, 7]
    assert "none" not in set(table["model"])


def test_sizes_of_some_models_are_read_again_when_the_table_changes(paths, tmp_path):
    path = tmp_path / "sizes.parquet"
    write_frame(size_table(paths, MODELS, [3, 7, 9], 2), path)
    assert sizes_of(path, ["b"]) == [3, 7, 9]
    assert sizes_of(path, ["a.untrained", "a", "unknown"]) == [3, 7]
    assert sizes_of(path, []) == []
    write_frame(size_table(paths, MODELS, [7], 2), path)
    assert sizes_of(path, ["a", "b"]) == [7]
