"""Bad input on the real Snakefile: one clear error, nothing computed lost."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.numpy import save_file

from project import TRAINED, ZOO, planted


def single_error(run, *parts):
    """Check that a run failed with one line of error that holds every part."""
    assert run.code != 0, run.text
    assert len(run.errors) == 1, run.text
    assert "Traceback" not in run.text, run.text
    for part in parts:
        assert part in run.errors[0], run.errors[0]


def with_model(project, **entry):
    zoo = yaml.safe_load((project.path / "zoo.yaml").read_text())
    zoo["families"]["second"].append(entry)
    (project.path / "zoo.yaml").write_text(yaml.safe_dump(zoo))


# --- told when Snakemake starts -----------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"seedz": [1]}, ["config.yaml", "unknown key 'seedz'", "did you mean 'seeds'"]),
        ({"seeds": "three"}, ["config.yaml", "seeds", "'three' is not of type 'array'"]),
        ({"zoo": "gone.yaml"}, ["gone.yaml", "no such zoo file"]),
        ({"device": "quantum"}, ["device", "quantum"]),
    ],
)
def test_a_bad_config(fresh, values, parts):
    fresh.update("config.yaml", **values)
    single_error(fresh.snakemake("all"), *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["zoo.yaml", "empty"]),
        ("families: [", ["zoo.yaml", "not valid YAML"]),
        ("families: {a: [{name: ../x, file: nets/a.safetensors}]}", ["'../x'", "file name"]),
        ("families: {a: [{name: x, file: nets/gone.pth}]}", ["'x'", "nets/gone.pth", "correct"]),
        ("families: {a: [resnet50.a1_in1k]}", ["'resnet50.a1_in1k' has no depthwise layers"]),
    ],
)
def test_a_bad_zoo(fresh, text, parts):
    (fresh.path / "zoo.yaml").write_text(text)
    single_error(fresh.snakemake("all"), *parts)


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("results/figures/fourth_clusters.pdf", ["family 'fourth'", "first, second"]),
        ("results/figures/secnd_clusters.pdf", ["family 'secnd'", "did you mean 'second'?"]),
        ("results/kernels/third.parquet", ["model 'third'", "a, a.untrained, b"]),
    ],
)
def test_an_unknown_name_in_a_target(fresh, target, parts):
    single_error(fresh.snakemake(target), *parts)


# --- told by the job that meets it --------------------------------------------------------


class Runs:
    """A pickle that would run a command."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def truncated(path):
    planted(path, 5)
    path.write_bytes(path.read_bytes()[:-100])


def overlapping(path):
    planted(path, 5)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1)
    path.write_bytes(content[:8] + header + content[8 + length :])


BAD = {
    "void.safetensors": (lambda path: path.write_bytes(b""), ["empty"]),
    "truncated.safetensors": (truncated, ["bytes", "download or copy it again"]),
    "overlapping.safetensors": (overlapping, ["offsets"]),
    "long.safetensors": (lambda path: path.write_bytes(b"\xff" * 8 + b"{" * 99), ["header"]),
    "page.pth": (lambda path: path.write_text("<html>not found</html>"), ["web page"]),
    "command.pth": (
        lambda path: torch.save({"w": Runs()}, path),
        ["system", "nothing was executed"],
    ),
    "ordinary.safetensors": (
        lambda path: save_file({"w.weight": np.ones((4, 3, 3, 3), np.float32)}, path),
        ["no depthwise layers", "leave it out, or name another file"],
    ),
}


def test_bad_checkpoints(fresh):
    for name, (write, _) in BAD.items():
        write(fresh.path / "nets" / name)
        with_model(fresh, name=Path(name).stem, file=f"nets/{name}")
    run = fresh.snakemake("all")
    assert run.code != 0
    assert "Traceback" not in run.text, run.text
    # Each has one line of error that names the file.
    assert len(run.errors) == len(BAD), run.text
    for name, (_, parts) in BAD.items():
        (error,) = [error for error in run.errors if f"nets/{name}" in error]
        assert all(part in error for part in parts), error
        assert not (fresh.path / f"results/kernels/{Path(name).stem}.parquet").exists()
    assert not (fresh.path / "executed").exists()
    # The other models' kernels are there, and mending the zoo goes on from them.
    assert (fresh.path / "results/kernels/a.parquet").exists()
    (fresh.path / "zoo.yaml").write_text(yaml.safe_dump(ZOO))
    assert "Extracting" not in fresh.snakemake("all", "--dry-run").text


def test_a_bad_checkpoint_alone_is_the_only_error(fresh):
    truncated(fresh.path / "nets/bad.safetensors")
    with_model(fresh, name="bad", file="nets/bad.safetensors")
    run = fresh.snakemake("results/tables/sizes.csv")
    single_error(run, "nets/bad.safetensors", "download or copy it again")


def test_kernels_without_shape_are_flagged_and_nothing_breaks(fresh):
    planted(fresh.path / "nets/odd.safetensors", 5)
    kernels = np.random.default_rng(0).normal(size=(60, 1, 7, 7)).astype(np.float32)
    kernels[0] = np.nan
    kernels[1, 0, 3, 3] = np.inf
    kernels[2] = 0
    kernels[3] = 2.5
    state = {"stem.weight": np.ones((4, 3, 4, 4), np.float32), "layer.dw.weight": kernels}
    save_file(state, fresh.path / "nets/odd.safetensors")
    with_model(fresh, name="odd", file="nets/odd.safetensors")
    run = fresh.snakemake("all")
    assert run.code == 0, run.text
    labels = pd.read_parquet(fresh.path / "results/labels/odd.parquet")
    assert labels["degenerate"].tolist() == [True] * 4 + [False] * 56
    assert not labels["identified"][:4].any()
    assert set(labels["label"][:4].astype(str)) == {"degenerate"}
    models = pd.read_parquet(fresh.path / "results/tables/models.parquet").set_index("model")
    assert (models.loc["odd", "kernels"], models.loc["odd", "degenerate"]) == (60, 4)
    corpus = pd.read_parquet(fresh.path / "results/corpora/k7.parquet")
    assert (corpus["model"] == "odd").sum() == 56


def test_a_corpus_that_is_too_small(fresh):
    fresh.update("zoo.yaml", families=TRAINED)
    for name in ("a", "b"):
        planted(fresh.path / f"nets/{name}.safetensors", 1, n=2)
    single_error(fresh.snakemake("all"), "no kernel size to study", "7x7: 4", "50")


@pytest.mark.parametrize(("k", "n"), [(5, 1), (11, 0)])
def test_a_kernel_size_that_few_or_none_have(fresh, k, n):
    fresh.update("zoo.yaml", families=TRAINED)
    sizes = (7, 5) if n else (7,)
    planted(fresh.path / "nets/a.safetensors", 1, sizes)
    if n:
        kernels = np.random.default_rng(0).normal(size=(max(n, 2), 1, 5, 5)).astype(np.float32)
        kernels[n:] = 1  # constant: not usable
        state = {"stem.weight": np.ones((4, 3, 4, 4), np.float32), "few.dw.weight": kernels}
        state["many.dw.weight"] = np.random.default_rng(1).normal(size=(90, 1, 7, 7)).astype("f4")
        save_file(state, fresh.path / "nets/a.safetensors")
    run = fresh.snakemake(f"results/figures/spectrum_k{k}.pdf")
    single_error(run, f"corpus of {k}x{k} kernels", f"{n} in the trained models", "50 needed")


# --- the disk -----------------------------------------------------------------------------

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
can_mount = (
    shutil.which("unshare") is not None
    and subprocess.run(
        [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True
    ).returncode
    == 0
)
needs_mount = pytest.mark.skipif(not can_mount, reason="mounting needs user namespaces")


def on_a_small_disk(options):
    return (*UNSHARE, "sh", "-c", f'mount -t tmpfs -o {options} none results && exec "$@"', "sh")


@needs_mount
def test_no_space_left_on_the_disk(fresh):
    planted(fresh.path / "nets/a.safetensors", 1, n=5000)
    run = fresh.snakemake("results/kernels/a.parquet", prefix=on_a_small_disk("size=300k"))
    single_error(run, "results/kernels/a.parquet", "no space left")


@needs_mount
def test_a_results_folder_that_cannot_be_written(fresh):
    run = fresh.snakemake("all", prefix=on_a_small_disk("ro"))
    single_error(run, "results", "cannot be written")
