"""Networks of timm tested on pictures, through the real Snakefile."""

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from localhub import Hub
from PIL import Image
from safetensors.torch import save
from timm.data import ImageNetInfo, create_transform, resolve_model_data_config

from project import Project, new_project, nothing_to_do

ARCHITECTURE = "mobilenetv3_small_050"
TAG = f"{ARCHITECTURE}.lamb_in1k"
IDS = ImageNetInfo("imagenet-1k").label_names()
PICTURES = 18
TABLE = "results/tables/replacements.parquet"


def network(seed: int, classes: int = 1000) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = timm.create_model(ARCHITECTURE, num_classes=classes)
    with torch.no_grad():  # kernels are all that differs between channels: make them matter
        for name, weight in model.named_parameters():
            if weight.ndim == 4 and weight.shape[1] == 1:
                weight.mul_(4)
            if name.startswith("classifier"):
                weight.mul_(20)
    return model.eval()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A project of untrained networks; pictures have the class that one of them sees."""
    folder = tmp_path_factory.mktemp("pictures")
    project = new_project(folder / "project")
    model = network(1)
    torch.save(model.state_dict(), project.path / "nets/net.pth")
    torch.save(network(3, 12).state_dict(), project.path / "nets/twelve.pth")
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        small = random.integers(0, 256, (5, 5, 3), np.uint8)
        picture = Image.fromarray(small).resize((90 + number, 120), Image.Resampling.BICUBIC)
        with torch.no_grad():
            seen = IDS[int(model(transform(picture)[None]).argmax())]
        (project.path / "images" / seen).mkdir(parents=True, exist_ok=True)
        picture.save(project.path / "images" / seen / f"{number}.png")
    zoo = {
        "timm": [
            {"name": "net", "file": "nets/net.pth", "architecture": ARCHITECTURE},
            {"name": "twelve", "file": "nets/twelve.pth", "architecture": ARCHITECTURE},
            TAG,
        ],
    }
    (project.path / "zoo.yaml").write_text(yaml.safe_dump({"families": zoo}))
    project.update("config.yaml", kernel_sizes=[5], images="images")
    with Hub(folder / "hub") as hub:
        hub.publish(f"timm/{TAG}", {"model.safetensors": save(network(2).state_dict())})
        project.variables = hub.environment(folder / "home")
        run = project.snakemake(TABLE)
        assert run.code == 0, run.text
        yield project


@pytest.fixture
def tested(made: Project, tmp_path) -> Project:
    copy = made.copy(tmp_path / "copy")
    copy.variables = made.variables
    return copy


def accuracies(project: Project) -> pd.DataFrame:
    return pd.read_parquet(project.path / TABLE).set_index(["model", "variant"]).sort_index()


def test_networks_of_files_and_of_a_hub_are_tested(made: Project) -> None:
    table = accuracies(made)
    reason = "twelve: has 12 classes, not the 1,000 of ImageNet-1k"
    assert table.loc[("twelve", "untouched"), "skipped"] == reason
    table = table.drop("twelve")
    assert (table["pictures"] == PICTURES).all()
    assert (table["measure"] == "top-1").all()
    assert table.loc[("net", "untouched"), "accuracy"] == 1
    assert (table["kernels"] == 1216).all()
    assert (table["kept"] == 112).all()  # of 3×3, which is not studied here
    assert table.loc[("net", "mean"), "accuracy"] < 1
    assert table.loc[(TAG, "untouched"), "accuracy"] < 1  # it has other weights
    assert (table["accuracy"] <= table["accuracy_top5"]).all()
    assert nothing_to_do(made.snakemake(TABLE))


def test_the_other_form_and_new_pictures_are_noticed(tested: Project) -> None:
    file = "results/replacements/net.parquet"
    before = pd.read_parquet(tested.path / file)
    flat = tested.path / "flat"
    flat.mkdir()
    for path in (tested.path / "images").rglob("*.png"):
        shutil.copy2(path, flat / f"{path.parent.name}_{path.name}")
    run = tested.snakemake(TABLE, "--dry-run", "--config", "images=flat")
    assert run.counts == {"replacements": 3, "tables_replacements": 1}
    run = tested.snakemake(file, "--config", "images=flat")
    assert run.code == 0, run.text
    assert run.jobs == ["replacements"]
    pd.testing.assert_frame_equal(pd.read_parquet(tested.path / file), before)
    first = min(flat.iterdir())
    shutil.copy2(first, first.with_name(f"{first.stem}_again.png"))
    jobs = tested.snakemake(file, "--dry-run", "--config", "images=flat").jobs
    assert "replacements" in jobs
    assert not {"kernels", "fits", "masterkeys", "tables_baselines"} & set(jobs)
    os.utime(first, (1, 1))
    assert "replacements" in tested.snakemake(file, "--dry-run", "--config", "images=flat").jobs


def test_bad_pictures_are_one_clear_line(tested: Project) -> None:
    images = tested.path / "images"
    broken = next(images.iterdir()) / "broken.jpg"
    broken.write_bytes(b"no picture")
    run = tested.snakemake("results/replacements/net.parquet")
    [line] = run.errors
    assert "broken.jpg: cannot be read as a picture" in line
    assert (tested.path / "results/fits/net.parquet").exists()
    broken.unlink()
    (images / "n00000000").mkdir()
    (images / "n00000000/1.png").touch()
    run = tested.snakemake(TABLE)
    [line] = run.errors
    assert "'n00000000/' is of n00000000, which is no class of ImageNet-1k" in line
    run = tested.snakemake(TABLE, "--config", "images=gone")
    [line] = run.errors
    assert "config: images: there is no folder 'gone'" in line


def test_a_killed_test_resumes(tested: Project) -> None:
    before = accuracies(tested)
    results = tested.path / "results/replacements"
    (results / "net.parquet").unlink()
    resume = results / "net.resume"
    run = subprocess.Popen(
        tested.command("results/replacements/net.parquet"),
        cwd=tested.path,
        env=tested.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not resume.exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert resume.exists()
    assert tested.snakemake("--unlock").code == 0
    run = tested.snakemake("results/replacements/net.parquet", TABLE)
    assert run.code == 0, run.text
    log = (tested.path / "results/logs/replacements/net.log").read_text()
    assert "resuming after " in log
    assert not resume.exists()
    pd.testing.assert_frame_equal(accuracies(tested), before)


def test_master_keys_are_searched_by_accuracy(tested: Project) -> None:
    files = [f"results/accuracy_search/{model}.parquet" for model in ("net", "twelve")]
    run = tested.snakemake(*files)
    assert run.code == 0, run.text
    table, skipped = (pd.read_parquet(tested.path / file) for file in files)
    found = table[table["criterion"] == "accuracy"]
    assert found.loc[found["stage"] == 2, "filters"].min() == 8
    assert (table["pictures"] == PICTURES - 8).all()
    assert (table["k"] == 5).all()
    assert "12 classes" in skipped["skipped"].item()
    assert tested.snakemake("search", "--dry-run").counts["accuracy_search"] == 1  # the hub's
