"""The command `kernelatlas classify`: one file, several, and without PyTorch."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from released import K, noise, planted
from safetensors.numpy import save_file

import kernelatlas
from kernelatlas.__main__ import main
from kernelatlas.clustering.reasons import composition
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.intervals import share
from kernelatlas.figures import compared
from kernelatlas.release.classification import COLUMNS, fit_columns
from kernelatlas.release.classify_files import names_of
from kernelatlas.release.comparison import beyond, compare, identified, reference

ROOT = Path(__file__).parents[2]
OWN = {"labels.csv", "labels.parquet", "shapes.pdf", "shapes.png"}


@pytest.fixture(scope="module")
def release(whole_release):
    return kernelatlas.load_release(whole_release)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Networks like those of the release, of other such kernels, and of noise."""
    folder = tmp_path_factory.mktemp("files")
    for name, layers in {
        "first": [planted(40, 3)[0], planted(30, 4)[0]],
        "second": [planted(20, 5)[0], noise(4)],
        "noise": [noise(30)],
    }.items():
        state = {f"{i}.dw.weight": weights[:, None] for i, weights in enumerate(layers)}
        save_file(state, folder / f"{name}.safetensors")
    return folder


def command(folder: Path, *arguments: object, path: str = "") -> subprocess.CompletedProcess[str]:
    library = os.pathsep.join(filter(None, [path, str(ROOT / "workflow")]))
    return subprocess.run(
        [sys.executable, "-m", "kernelatlas", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": library, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
    )


# --- one file ----------------------------------------------------------------------------


def test_one_file_gives_labels_and_a_figure_beside_the_nulls(
    whole_release, release, files, tmp_path
):
    done = command(tmp_path, "classify", files / "first.safetensors", "--release", whole_release)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "first.safetensors: 70 kernels in 2 layers" in done.stdout
    assert {path.name for path in (tmp_path / "first_kernels").iterdir()} == OWN
    expected = release.classify(files / "first.safetensors")
    written = pd.read_csv(tmp_path / "first_kernels/labels.csv")
    assert list(written) == [*COLUMNS, *fit_columns()]
    assert written["label"].tolist() == expected["label"].tolist()
    assert written["reason"].isna().tolist() == expected["identified"].tolist()
    assert (tmp_path / "first_kernels/shapes.png").stat().st_size > 10_000

    assert "fitted to the kernels of 1 trained network, net (60 of 7×7)" in done.stdout
    hits = expected.groupby("layer_index")["identified"].sum().to_numpy()
    by_layer = share(hits, np.array([40, 30]))
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("7×7: "))
    assert f"{100 * by_layer.value:.1f} % (" in line
    assert "trained networks 80.0 % (70.0–90.0)" in line
    assert "white noise 1.2 % (0.0–10.0)" in line  # and of no null that this release lacks
    assert "shuffled" not in line


def test_the_interval_is_over_layers_and_seeds(release, files):
    table = release.classify(files / "second.safetensors", fits=False)
    found = identified(table, 0.3)
    hits, sizes = (
        np.array([table["identified"][:20].sum(), table["identified"][20:].sum()]),
        [20, 4],
    )
    layers = share(hits, np.array(sizes))
    alone = [
        np.mean([not np.isnan(v[seed]) and v[seed] < 0.3 for v in table["by_seed"]])
        for seed in range(3)
    ]
    assert found.value == hits.sum() / 24
    # The seeds' part of the width: a t-interval of three values.
    reach = 4.302652729911275 * np.std(alone, ddof=1) / np.sqrt(3)
    low = found.value - np.hypot(layers.value - layers.low, reach)
    assert found.low == pytest.approx(max(low, 0))
    assert release.threshold(K) == 0.3


def test_noise_lies_farther_from_the_curves_than_the_kernels_of_the_release(
    whole_release, release, files, tmp_path, results, capsys
):
    own = pd.read_parquet(results / "labels/net.parquet")["dissimilarity"].median()
    given = release.classify(files / "noise.safetensors", fits=False)["dissimilarity"].median()
    rest = ["--release", str(whole_release), "--no-fits", "--output", str(tmp_path)]
    # Kernels like those of the release do not, though half of them are beyond the median.
    assert main(["classify", str(files / "second.safetensors"), *rest]) == 0
    assert capsys.readouterr().err == ""
    assert main(["classify", str(files / "noise.safetensors"), *rest]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"WARNING {files}/noise.safetensors: its 7×7 kernels lie farther")
    assert f"above {own:.3f}, the greatest median of 1 network of the release" in warning
    assert f"their own median is {given:.3f}" in warning


def test_how_many_kernels_are_beyond_is_a_share_with_an_interval():
    rows = {"dissimilarity": [0.1, 0.3, 0.3, 0.4, np.nan], "layer_index": [0, 0, 1, 1, 1]}
    table = pd.DataFrame(rows).assign(degenerate=[False] * 4 + [True])
    found = beyond(table, 0.2)
    assert (found.value, found.low) == (0.75, share(np.array([1, 2]), np.array([2, 2])).low)
    alone = beyond(table[:2], 0.2)  # of one layer as of independent kernels
    assert alone.low == share(np.array([0, 1]), np.array([1, 1])).low
    assert np.isnan(beyond(table, np.nan).low)
    assert np.isnan(beyond(table[4:], 0.2).value)


def test_medians_of_the_release_are_by_curves_that_have_not_seen_the_network(release, monkeypatch):
    """Where the release has them; else those in sample."""
    known = reference(release, K)
    assert not known.unseen
    models = release.table("models").set_index("model")
    assert known.medians.to_dict() == {"net": models.loc["net", "median_dissimilarity"]}
    rows = {
        "kind": ["vote", "network", "network"],
        "model": [None, "net", "other"],
        "median_dissimilarity_crossfit": [0.9, 0.2, np.nan],
    }
    tables = {"stability_k7": pd.DataFrame(rows), "models": release.table("models")}
    monkeypatch.setattr(release, "table", tables.get)
    known = reference(release, K)
    assert known.unseen
    assert known.medians.to_dict() == {"net": 0.2}
    assert known.shares.empty
    monkeypatch.setattr(release, "table", lambda name: None)
    known = reference(release, K)
    assert known.networks == ["net"]
    assert known.medians.empty


# --- several -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def side_by_side(whole_release, files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    paths = [files / f"{name}.safetensors" for name in ("first", "second", "noise")]
    done = command(folder, "classify", *paths, "--release", whole_release, "--no-fits")
    assert done.returncode == 0, done.stderr
    return done, folder / "compared_kernels"


def test_several_files_are_compared_in_a_table_and_a_figure(side_by_side, release, files):
    done, folder = side_by_side
    comparison = {f"comparison.{kind}" for kind in ("csv", "parquet", "pdf", "png")}
    assert {path.name for path in folder.iterdir()} == {*comparison, "first", "second", "noise"}
    table = pd.read_parquet(folder / "comparison.parquet").set_index("network")
    assert table.index.tolist() == ["first", "second", "noise"]
    shown = done.stdout.splitlines()
    for name, row in table.iterrows():
        assert {path.name for path in (folder / name).iterdir()} == OWN
        own = release.classify(files / f"{name}.safetensors", fits=False)
        assert row["kernels"] == len(own)
        assert row["share_identified"] == own["identified"].mean()
        assert row["dissimilarity_median"] == pytest.approx(own["dissimilarity"].median())
        reasons = own["reason"].value_counts()
        for column in ("too_far", "no_name", "seeds_disagree"):
            assert row[column] == reasons.get(column.replace("_", " "), 0)
        shapes = own.loc[own["identified"], "label"].str.split(" ").str[0].value_counts()
        assert row["on_centre"] == shapes.get("on-centre", 0)
        assert row["first_derivative"] == shapes.get("first-derivative", 0)
        assert row["release_white"] == 0.0125
        (line,) = (s for s in shown if s.split()[:2] == ["7", name])
        assert f"{100 * row['share_identified']:.1f} %" in line
    assert table["farther"].tolist() == [False, False, True]
    assert table["beyond"].between(0, 1).all()
    assert pd.isna(table.loc["noise", "low"])  # of one layer there is no interval
    assert "noise.safetensors: its 7×7 kernels lie farther" in done.stderr


def test_the_columns_of_the_comparison_are_described(side_by_side):
    text = (ROOT / "results/README.md").read_text()
    begin = text.index("comparison.csv")
    described = text[begin : text.index("\n## ", begin)]
    for column in pd.read_parquet(side_by_side[1] / "comparison.parquet"):
        if not column.startswith("release_"):
            assert column in described or column.replace("_", "-") in described, column


def test_the_figure_of_several_files_names_networks_and_nulls(release, files):
    tables = {
        name: release.classify(files / f"{name}.safetensors", fits=False)
        for name in ("first", "noise")
    }
    rows = compare(tables, release, {K: reference(release, K)})
    named = pd.concat([table.assign(network=name) for name, table in tables.items()])
    figure = compared.draw(rows, composition(named, ["k", "network"]), "release")
    found = {text.get_text() for text in figure.findobj(Text)}
    assert {"first", "noise", "release: trained networks", "release: white noise"} <= found
    assert "7×7 kernels · 100 kernels" in found
    assert any("noise (7×7)" in text.replace("\n", " ") for text in found)  # which is farther


def test_files_with_the_same_name_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [Path(p) for p in ("a/net.pth", "b/net.pth", "c/b/net.onnx", "other.pth")]
    assert names_of(paths) == ["a-net", f"{tmp_path.name}-b-net", "c-b-net", "other"]
    assert names_of([Path("a/net.pth")]) == ["net"]
    with pytest.raises(KernelAtlasError, match=r"net\.pth: named twice"):
        names_of([Path("net.pth"), Path("../" + tmp_path.name + "/net.pth").resolve()])


def test_a_damaged_file_among_several_costs_no_work(whole_release, files, tmp_path, capsys):
    (tmp_path / "bad.pth").write_text("no checkpoint")
    paths = [str(files / "first.safetensors"), str(tmp_path / "bad.pth")]
    output = ["--output", str(tmp_path / "out")]
    assert main(["classify", *paths, "--release", str(whole_release), *output]) == 1
    assert "bad.pth: is neither" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- without PyTorch ---------------------------------------------------------------------

BLOCKER = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def blocked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    done = subprocess.run(
        [sys.executable, "-c", "import torch"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert "No module named 'torch'" in done.stderr
    return str(folder)


def test_labels_need_no_torch_and_are_the_same(whole_release, files, tmp_path, blocked):
    arguments = ["classify", files / "second.safetensors", "--release", whole_release]
    without = command(tmp_path, *arguments, "--output", "without", path=blocked)
    assert without.returncode == 0, without.stderr
    (warning,) = without.stderr.splitlines()
    assert warning.startswith("WARNING PyTorch is not installed: analytic fits are left out; ")
    assert "pip install torch" in warning
    assert "--no-fits" in warning
    done = command(tmp_path, *arguments, "--output", "with", "--no-fits")
    assert (done.returncode, done.stderr) == (0, "")
    names = {path.name for path in (tmp_path / "with").iterdir()}
    assert names == OWN
    for name in names:
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("with", "without"))
        assert one == other, name
    whole = command(tmp_path, *arguments, "--output", "fitted")
    assert whole.returncode == 0, whole.stderr
    labels = pd.read_parquet(tmp_path / "without/labels.parquet")
    assert list(labels) == COLUMNS
    fitted = pd.read_parquet(tmp_path / "fitted/labels.parquet")
    pd.testing.assert_frame_equal(fitted[COLUMNS], labels)
    assert fitted["r2"].notna().all()


def test_asking_for_no_fits_is_silent_and_for_fits_an_error_without_torch(
    whole_release, files, tmp_path, blocked
):
    arguments = ["classify", files / "second.safetensors", "--release", whole_release]
    done = command(tmp_path, *arguments, "--no-fits", path=blocked)
    assert (done.returncode, done.stderr) == (0, "")
    done = command(tmp_path, *arguments, "--fits", path=blocked)
    assert done.returncode == 1
    (error,) = done.stderr.splitlines()
    assert error.startswith(
        "ERROR fits need PyTorch, which is not installed: install PyTorch (`pip"
    )
    assert "--no-fits" in error


# --- errors ------------------------------------------------------------------------------


def test_errors_are_one_line_and_speak_of_the_command_line(
    whole_release, files, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    released = ["--release", str(whole_release)]
    Path("net.pth").write_text("no checkpoint")
    Path("net.safetensors").write_bytes((files / "second.safetensors").read_bytes())
    save_file({"w": np.ones((4, 4), np.float32)}, "dense.safetensors")
    kernels = {"dw.weight": torch.from_numpy(planted(3, 3)[0][:, None])}
    torch.save({"ema": kernels, "teacher": kernels}, "two.pth")
    told = []
    for arguments, found in (
        (
            ["net.safetensors", "--output", "net.pth", *released],
            "net.pth: cannot create this folder",
        ),
        (["gone.pth", *released], "gone.pth: no such file"),
        (["net.safetensors", "gone.pth", *released], "gone.pth: no such file"),
        (["net.pth"], "results/release: not a release (it has no manifest.json, "),
        (["net.pth", "--release", "net.pth"], "net.pth: not a release"),
        (["net.pth", *released], "net.pth: is neither"),
        (["net.safetensors", "net.safetensors", *released], "net.safetensors: named twice"),
        (["dense.safetensors", *released], "dense.safetensors: has no depthwise layers"),
        (["two.pth", "--key", "teachers", *released], "two.pth: has no 'teachers'"),
        (["net.safetensors", "--device", "abacus", *released], "device 'abacus'"),
    ):
        told.append((main(["classify", *arguments]), *capsys.readouterr(), found))
    for code, output, errors, found in told:
        assert (code, output) == (1, "")
        assert errors.startswith(f"ERROR {found}")
        assert len(errors.splitlines()) == 1
        assert "zoo" not in errors
        assert "config" not in errors
    assert main(["classify", "two.pth", "--key", "teacher", "--no-fits", *released]) == 0


def test_no_message_of_a_reader_of_files_names_the_zoo():
    """They are those of the command line too."""
    readers = [
        path
        for name in ("checkpoints", "fused", "source", "weights", "wrappers", "shards", "zips")
        for path in [ROOT / f"workflow/kernelatlas/sources/{name}.py"]
    ]
    for path in readers:
        lines = [line for line in path.read_text().splitlines() if "in the zoo" in line]
        assert not [line for line in lines if '"' in line], path


def test_a_network_of_the_release_itself_is_told_to_be_in_sample(
    whole_release, files, tmp_path, capsys
):
    """By its content, whatever its name."""
    file = files / "second.safetensors"
    release = Path(shutil.copytree(whole_release, tmp_path / "release"))
    manifest = json.loads((release / "manifest.json").read_text())
    for model in manifest["models"]:
        model["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (release / "manifest.json").write_text(json.dumps(manifest))
    rest = ["--no-fits", "--output", str(tmp_path / "out")]
    told = []
    for folder in (release, whole_release):
        assert main(["classify", str(file), "--release", str(folder), *rest]) == 0
        told.append("This is the release's own network net:" in capsys.readouterr().out)
    assert told == [True, False]


def test_a_release_without_tables_still_classifies(whole_release, files, tmp_path, capsys):
    """Autoencoders and clusters suffice."""
    manifest = json.loads((whole_release / "manifest.json").read_text())
    for name in manifest["files"]:
        if name.startswith(("autoencoders", "clusters")):
            (tmp_path / "part" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "part" / name).write_bytes((whole_release / name).read_bytes())
    (tmp_path / "part/manifest.json").write_text(json.dumps(manifest))
    rest = ["--release", str(tmp_path / "part"), "--no-fits", "--output", str(tmp_path / "out")]
    assert main(["classify", str(files / "noise.safetensors"), *rest]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "the release has no nulls of this size to compare with" in told.out
