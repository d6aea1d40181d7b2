"""A release: whole, checked, and able to classify what it has never seen."""

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
from curves import QUICK
from matplotlib.text import Text
from released import DICTIONARY, MANIFEST, MODELS, SETTINGS, SHAPES, K, build, noise, planted
from safetensors.numpy import save_file

import kernelatlas
from kernelatlas import names
from kernelatlas.__main__ import main
from kernelatlas.clustering.autoencoder import fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import vote
from kernelatlas.clustering.templates import bank
from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import fits
from kernelatlas.figures.classified import draw
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.names import LABELS
from kernelatlas.release.classification import COLUMNS, fit_columns
from kernelatlas.release.forms import layers_of
from kernelatlas.release.release import write_release
from kernelatlas.release.summaries import shape_table, typical

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(whole_release, tmp_path):
    """A release to be damaged."""
    return Path(shutil.copytree(whole_release, tmp_path / "copy"))


@pytest.fixture(scope="module")
def release(whole_release):
    return kernelatlas.load_release(whole_release)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- what is written ---------------------------------------------------------------------


def test_equal_results_give_equal_bytes(results, whole_release, tmp_path):
    assert digests(build(results, tmp_path / "again")) == digests(whole_release)


def test_the_checksums_are_of_all_other_files(whole_release):
    lines = (whole_release / "SHA256SUMS").read_text().splitlines()
    written = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = digests(whole_release)
    del found["SHA256SUMS"]
    assert written == found
    manifest = json.loads((whole_release / "manifest.json").read_text())
    assert set(manifest["files"]) == set(found) - {"manifest.json"}
    assert not any("kernels" in name for name in found)


def test_what_an_earlier_release_left_is_gone(results, whole_release, folder):
    stale = folder / "labels/old.parquet"
    stale.write_text("old")
    (folder / "labels/net.parquet").write_text("old")
    (folder / "notes.txt").write_text("the user's own")
    build(results, folder)
    assert not stale.exists()
    assert (folder / "notes.txt").read_text() == "the user's own"
    (folder / "notes.txt").unlink()
    assert digests(folder) == digests(whole_release)


def test_a_release_that_is_not_finished_is_none(results, folder):
    kernels = [results / f"kernels/{name}.parquet" for name, *_ in MODELS]
    missing = folder / "clusters/gone.parquet"
    tables = folder / "tables/models.parquet"
    fitted = folder / "fits/net.untrained.parquet"
    with pytest.raises(FileNotFoundError):
        write_release(
            folder,
            [missing, tables, fitted],
            kernels,
            MODELS,
            SETTINGS,
            results / "README.md",
        )
    with pytest.raises(KernelAtlasError, match="snakemake release"):
        kernelatlas.load_release(folder)


def test_the_card_says_what_is_inside(whole_release):
    card = (whole_release / "README.md").read_text()
    counts = pd.read_parquet(whole_release / "tables/models.parquet").set_index("model")
    share = counts.loc["net", "share_identified"]
    good = (pd.read_parquet(whole_release / "fits/net.parquet")["r2"] >= 0.8).mean()
    assert f"| 7×7 | 1 trained | 60 | 0 | {100 * share:.1f} % | {100 * good:.1f} % |" in card
    assert "| 7×7 | white | 1,000 | 1.2 % | 50.0 % |" in card
    source = "timm/convnext_atto.d2_in1k/model.safetensors `abc` | apache-2.0 "
    assert f"| net | fam | planted kernels | {source}|" in card
    assert "| net.untrained | fam | not trained (a control) | net.untrained.safetensors" in card
    assert "| `clusters.minimum_cosine` | 0.75 |" in card
    assert "decoded curves of all seeds (0, 1, 2)" in card
    assert "(schema version 4)" in card
    assert "Common columns." in card
    assert "### labels/{model}.parquet: the labels" in card
    assert "| nulls_k{k} | of nulls |" in card
    assert "not released" not in card
    assert "of seeds" not in card


def test_columns_without_a_description_are_refused(results, tmp_path):
    (tmp_path / "README.md").write_text(DICTIONARY.replace("## fits/", "## others/"))
    with pytest.raises(KernelAtlasError, match=r"README.md: no section '## fits/"):
        build(results, tmp_path / "release", tmp_path / "README.md")


# --- what is read ------------------------------------------------------------------------


def test_a_release_comes_back(results, release):
    release.verify()
    assert release.models == ["net", "net.untrained"]
    assert release.sizes == [K]
    for what, read in (("labels", release.labels), ("fits", release.fits)):
        pd.testing.assert_frame_equal(read("net"), pd.read_parquet(results / what / "net.parquet"))
    with pytest.raises(KernelAtlasError, match=r"no file 'labels/nett.parquet': did you mean"):
        release.labels("nett")


@pytest.mark.parametrize(
    "name",
    [
        "autoencoders/k7_seed0.safetensors",
        "autoencoders/k7_seed2.safetensors",
        "clusters/k7.parquet",
    ],
)
def test_an_altered_byte_is_told_with_its_file(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    release = kernelatlas.load_release(folder)
    for use in (release.verify, lambda: release.classify(noise(3))):
        with pytest.raises(KernelAtlasError, match=f"{name}: altered or damaged.*download"):
            use()


def test_a_missing_file_is_told_when_it_is_needed(folder):
    (folder / "labels/net.parquet").unlink()
    release = kernelatlas.load_release(folder)
    release.classify(noise(3))
    with pytest.raises(KernelAtlasError, match=r"labels/net.parquet: missing.*snakemake release"):
        release.labels("net")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "labels/../../secret", "a\\b", ""])
def test_names_stay_inside_the_folder(folder, name):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["README.md"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder.parent / "secret").write_bytes((folder / "README.md").read_bytes())
    with pytest.raises(KernelAtlasError, match="not inside the release"):
        kernelatlas.load_release(folder)


def test_links_stay_inside_the_folder(folder):
    outside = folder.parent / "outside.parquet"
    (folder / "labels/net.parquet").rename(outside)
    (folder / "labels/net.parquet").symlink_to(outside)
    with pytest.raises(KernelAtlasError, match=r"labels/net.parquet: altered"):
        kernelatlas.load_release(folder).labels("net")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "not the manifest"),
        ("[]", "not the manifest"),
        ("[" * 100_000, "not the manifest"),
        ('{"schema_version": 2}', "not the manifest"),
        (json.dumps(MANIFEST | {"files": {"a": {"bytes": 1, "sha256": "0"}}}), "damaged"),
        (json.dumps(MANIFEST | {"models": [{"name": 3}]}), "damaged"),
        (json.dumps(MANIFEST | {"settings": SETTINGS | {"thresholds": {"x": 1}}}), "damaged"),
        (json.dumps(MANIFEST | {"settings": SETTINGS | {"kernel_sizes": "7"}}), "damaged"),
        (json.dumps(MANIFEST | {"settings": SETTINGS | {"seeds": []}}), "damaged"),
        (json.dumps(MANIFEST | {"settings": SETTINGS | {"seeds": ["0"]}}), "damaged"),
        (json.dumps(MANIFEST | {"settings": SETTINGS | {"clusters": {}}}), "not the manifest"),
        (
            json.dumps(MANIFEST | {"settings": SETTINGS | {"clusters": {"minimum_cosine": 3}}}),
            "damaged",
        ),
        ('{"schema_version": 2, "settings": [], "files": {}}', "not the manifest"),
    ],
)
def test_no_manifest(tmp_path, text, found):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(KernelAtlasError, match=found):
        kernelatlas.load_release(tmp_path)


def test_another_version(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    with pytest.raises(KernelAtlasError, match="schema version 99"):
        kernelatlas.load_release(folder)


def test_a_release_of_the_version_before_is_refused(folder, capsys):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["settings"]["clusters"]
    manifest["settings"] |= {"first_seed": 0, "clusters": {"price": 0.01, "minimum_cosine": 0.75}}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 1}))
    with pytest.raises(KernelAtlasError, match="schema version 1") as caught:
        kernelatlas.load_release(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert main(["classify", str(folder / "README.md"), "--release", str(folder)]) == 1
    assert "schema version 1" in capsys.readouterr().err


# --- what is classified ------------------------------------------------------------------


def test_planted_kernels_get_their_labels(release):
    weights, labels = planted(300, 7)
    table = release.classify(weights)
    assert list(table) == [*COLUMNS, *fit_columns()]
    assert list(release.classify(weights[:2], fits=False)) == COLUMNS
    right = table["label"] == labels
    assert table["identified"].mean() > 0.8
    assert right[table["identified"]].mean() > 0.8
    fitted = fits.fit(weights.reshape(-1, K * K))
    pd.testing.assert_frame_equal(
        table[list(fits.SCHEMA)].drop(columns="degenerate"), fitted.drop(columns="degenerate")
    )
    assert table.loc[table["identified"], "fit_agrees"].mean() > 0.9


def test_what_was_fitted_is_named_and_compared(release):
    weights = np.concatenate([planted(40, 7)[0], noise(200)])
    table = release.classify(weights)
    fitted, templates = fits.fit(weights.reshape(-1, K * K)), bank(K)
    rendered = normalise(fits.render(fitted, K))
    shapes = [names.SHAPES[templates.shapes[i]] for i in (rendered @ templates.weights.T).argmax(1)]
    assert table["fit_label"].map(names.shape_of).tolist() == shapes
    known = table["label"] != names.OTHER
    assert table.loc[~known, "fit_agrees"].isna().all()
    own = table.loc[known, "label"].map(names.shape_of)
    agrees = own == np.array(shapes)[known]
    assert table.loc[known, "fit_agrees"].tolist() == agrees.tolist()
    assert set(agrees) == {True, False}


def test_all_seeds_vote(results, release, folder):
    """With another curve in place of one seed's, agreement falls and codes change."""
    weights = planted(100, 7)[0]
    table = release.classify(weights)
    assert table["codes"].map(len).tolist() == [3] * 100
    assert table["agreement"].mean() > 0.9
    curves = [Curve.load(folder / f"autoencoders/k7_seed{seed}.safetensors") for seed in (0, 1, 2)]
    votes = vote(normalise(weights.reshape(-1, K * K)), curves, 0.75)
    np.testing.assert_array_equal(np.stack(table["codes"]), votes.codes)
    np.testing.assert_allclose(table["dissimilarity"], votes.dissimilarity)
    # The last seed's autoencoder is now one that has seen nothing but crosses.
    path = folder / "autoencoders/k7_seed2.safetensors"
    crosses = bank(K).weights[np.array(bank(K).labels) == "off-cross"]
    crosses = np.repeat(crosses, 20, axis=0)
    crosses = crosses + np.random.default_rng(0).normal(0, 0.01, crosses.shape)
    fit(normalise(crosses), QUICK, 2, "cpu")[0].save(path, {"seed": 2})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["autoencoders/k7_seed2.safetensors"] = {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    outvoted = kernelatlas.load_release(folder).classify(weights)
    assert outvoted["dissimilarity"].mean() > table["dissimilarity"].mean() + 0.1
    assert outvoted["agreement"].mean() == pytest.approx(2 / 3, abs=0.03)
    assert outvoted["label"].eq(table["label"]).mean() > 0.9
    old, new = np.stack(table["codes"]), np.stack(outvoted["codes"])
    assert np.array_equal(old[:, :2], new[:, :2])
    assert not np.array_equal(old[:, 2], new[:, 2])


def test_noise_is_not_identified(release):
    assert release.classify(noise(300))["identified"].mean() < 0.05


def test_labels_are_those_of_the_workflow(results, release):
    state = {"dw.weight": planted(60, 1)[0][:, None]}
    table, known = release.classify(state), pd.read_parquet(results / "labels/net.parquet")
    for column in ("layer", "channel", "k", "cluster", "label", "dissimilarity", "agreement"):
        assert table[column].tolist() == known[column].tolist()
    assert np.array_equal(np.stack(table["codes"]), np.stack(known["codes"]))
    assert table["identified"].tolist() == known["identified"].tolist()
    assert table["identified_one_seed"].tolist() == known["identified_one_seed"].tolist()


def test_every_form_gives_the_same(whole_release, release, tmp_path):
    weights = planted(20, 3)[0]
    state = {
        "stem.weight": np.ones((4, 3, K, K), np.float32),
        "dw.weight": weights[:, None],
        "count": np.int64(3),
    }
    save_file(
        {name: np.asarray(value) for name, value in state.items()}, tmp_path / "n.safetensors"
    )
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}
    torch.save(tensors, tmp_path / "n.pth")
    forms = [
        *(weights[:, None], torch.nn.Parameter(torch.from_numpy(weights)), weights.astype(float)),
        *(state, tensors, tmp_path / "n.safetensors", str(tmp_path / "n.pth")),
        [Layer("dw", weights)],
    ]
    for number, form in enumerate(forms):
        (layer,) = layers_of(form)
        assert layer.name == ("weights" if number < 3 else "dw")
        assert layer.weights.dtype == np.float32
        assert np.array_equal(layer.weights, weights)
    assert np.array_equal(layers_of(weights[4])[0].weights, weights[4:5])
    expected = release.classify(weights)
    table = kernelatlas.classify(tmp_path / "n.pth", release=whole_release)
    pd.testing.assert_frame_equal(table, expected.assign(layer="dw"))


def test_a_state_dict_in_memory_is_judged_as_a_file_is(tmp_path, caplog):
    weights = planted(20, 3)[0]
    state = {
        "conv1.weight": torch.randn(20, 1, 7, 7),  # the first layer
        "conv2.weight": torch.randn(20, 20, 1, 1),
        "block.dw.weight": torch.from_numpy(weights[:, None]),
        "block.pos_embed": torch.randn(8, 1, 7, 7),
        "aux.weight": torch.randn(3, 1, 5, 5),
    }
    torch.save(state, tmp_path / "n.pth")
    for form in (state, tmp_path / "n.pth"):
        caplog.clear()
        assert [layer.name for layer in layers_of(form)] == ["block.dw", "aux"]
        assert "1 of 2 layers may not be depthwise" in caplog.text
        assert caplog.text.rstrip().endswith("aux")


def test_half_precision_and_degenerate_kernels(release):
    weights = planted(6, 3)[0]
    weights[2] = 0.5
    table = release.classify({"a.weight": torch.from_numpy(weights[:, None]).bfloat16()})
    assert table["degenerate"].tolist() == [False, False, True, False, False, False]
    assert table["label"][2] == "degenerate"
    assert (
        table.loc[2, ["codes", "agreement", "function", "r2", "fit_label", "fit_agrees"]]
        .isna()
        .all()
    )


def test_sizes_without_an_autoencoder_are_reported(release, caplog):
    rng = np.random.default_rng(0)
    state = {
        "a.weight": rng.normal(size=(4, 1, 5, 5)),
        "b.weight": planted(3, 3)[0][:, None],
        "c.weight": rng.normal(size=(2, 1, 1, 7)),
    }
    table = release.classify(state)
    assert table["layer"].tolist() == ["b"] * 3
    assert set(table["layer_index"]) == {1}
    assert "2 of 1×7, 4 of 5×5" in caplog.text
    with pytest.raises(KernelAtlasError, match="4 of 5×5; it has 7×7"):
        release.classify({"a.weight": state["a.weight"]})


@pytest.mark.parametrize(
    "weights",
    [
        *(np.ones(49), np.ones((3, 2, 7, 7)), np.ones((0, 7, 7)), np.ones((3, 1, 1)), 3, None, []),
        *({}, {"w": np.ones((4, 4))}, np.full((7, 7), "x"), np.ones((7, 7), complex)),
    ],
)
def test_what_is_no_kernels_is_refused(weights):
    with pytest.raises(KernelAtlasError, match="give"):
        layers_of(weights)


def test_typical_kernels_are_the_nearest_to_their_prototype(release):
    layers = [Layer("a", planted(80, 3)[0]), Layer("b", planted(80, 4)[0])]
    table = release.classify(layers)
    chosen = typical(table, layers, release, 2)
    assert chosen["identified"].all()
    prototypes = np.stack(list(release.clusters(K)["prototype"]))
    for (_, label), rows in chosen.groupby(["k", "label"]):
        every = table[table["identified"] & (table["label"] == label)]
        raw = [layers[r.layer_index].weights[r.channel].ravel() for r in every.itertuples()]
        cosines = (normalise(np.stack(raw)) * prototypes[every["cluster"].to_numpy(int)]).sum(1)
        np.testing.assert_allclose(rows["cosine"], np.sort(cosines)[::-1][:2], atol=1e-6)
        best = every.iloc[cosines.argmax()]
        assert tuple(rows.iloc[0][["layer", "channel"]]) == (best["layer"], best["channel"])
        assert np.array_equal(rows.iloc[0]["weights"], raw[cosines.argmax()])
    assert len(typical(table[:0], layers, release, 2)) == 0


def test_shapes_are_counted():
    table = pd.DataFrame(
        {
            "k": 7,
            "channel": range(5),
            "label": ["on-centre", "on-centre", "on-centre", "first-derivative 90°", "degenerate"],
            "identified": [True, True, False, True, False],
            "reason": [None, None, "seeds disagree", None, "degenerate"],
            "degenerate": [False] * 4 + [True],
            "r2": [0.5, 0.7, 0.1, 0.9, np.nan],
            "function": ["dog", "dog", "first", "first", None],
            "fit_agrees": pd.array([True, False, None, None, None], "boolean"),
        }
    )
    found = shape_table(table)
    assert found["shape"].tolist() == [
        *("on-centre", "first-derivative", "not identified: seeds disagree", "degenerate")
    ]
    assert found["kernels"].tolist() == [2, 1, 1, 1]
    assert found["share"].tolist() == [0.4, 0.2, 0.2, 0.2]
    assert found["r2"].tolist()[:2] == pytest.approx([0.6, 0.9])
    assert found["function"].tolist() == ["dog", "first", "first", ""]
    assert found["agrees"].isna().tolist() == [False, True, True, True]
    assert found["agrees"][0] == 0.5


# --- the figure --------------------------------------------------------------------------


def texts(pages):
    every = [text.get_text() for page in pages for text in page.findobj(Text)]
    return [text for text in every if text]


def test_the_figure_shows_layers_and_typical_kernels(release):
    layers = [Layer("first.dw", planted(80, 3)[0]), Layer("second.dw", planted(30, 4)[0])]
    table = release.classify(layers)
    chosen = typical(table, layers, release, 3)
    figure = draw(table, chosen, {"name": "net", "settings": SETTINGS})
    found = texts(figure)
    share = 100 * table["identified"].mean()
    heading = f"7×7 kernels · 110 kernels in 2 layers: {share:.1f} % identified · threshold 0.30"
    assert heading in found
    assert {"all layers", "first.dw", "second.dw", *map(names.shape_of, SHAPES)} <= set(found)
    for direction in (0, 90):
        number = (table["label"] == f"first-derivative {direction}°").sum()
        assert f"{direction}°: {number}" in found
    images = [image for page in figure for ax in page.axes for image in ax.get_images()]
    # Of a derivative it is the first kernel of each direction, of other shapes every one.
    derivative = chosen["label"].map(names.shape_of) == names.FIRST
    chosen = chosen[~derivative | (chosen["rank"] == 0)]
    assert len(images) == len(chosen) == 3 + 3 + 1 + 1
    order = chosen["label"].map(LABELS.index).argsort(kind="stable")
    for image, weights in zip(images, chosen["weights"].iloc[order], strict=True):
        assert image.get_array().mean() == pytest.approx(0, abs=1e-6)
        assert np.corrcoef(image.get_array().ravel(), weights)[0, 1] == pytest.approx(1)
    for row in chosen.itertuples():
        assert {row.function, f"{row.r2:.2f}"} <= set(found)


def test_the_figure_of_nothing_identified(release, tmp_path):
    layers = [Layer("dw", noise(12)), Layer("flat", np.ones((2, K, K), np.float32))]
    table = release.classify(layers).assign(identified=False)
    empty = typical(table, layers, release, 3)
    figure = draw(table, empty, {"name": "net", "settings": SETTINGS})
    assert (
        "7×7 kernels · 14 kernels in 2 layers: no kernel is identified · threshold 0.30"
        in texts(figure)
    )
    assert not any(ax.get_images() for page in figure for ax in page.axes)


# --- the package ---------------------------------------------------------------------


def test_the_package_itself_is_light():
    code = (
        "import sys, kernelatlas\n"
        "assert {'classify', 'load_release', 'Release'} <= set(dir(kernelatlas))\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'timm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kernelatlas.nothing  # noqa: B018
