"""Networks that cannot be read: left out where `missing: skip` says so, and told."""

import os

import pandas as pd
import pytest
import yaml
from localhub import Hub
from matplotlib.text import Text

import kernelatlas.figures.models
from kernelatlas.running.files import metadata_of
from project import TRAINED, nothing_to_do, planted

TAG = "mobilenetv3_small_050.lamb_in1k"  # of timm, but the hub has it not
# Each with a part of the message that says why.
DEAD = {
    "gone": "no repository owner/gone",
    "gated": "the repository owner/gated is gated",
    "address": "404",
    "corrupt": "nets/corrupt.safetensors",
    "page": "web page",
    TAG: f"no repository timm/{TAG}",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with Hub(tmp_path_factory.mktemp("hub")) as hub:
        hub.gated.add("owner/gated")
        hub.publish("owner/gated", {"model.safetensors": b"x" * 100})
        yield hub


@pytest.fixture
def project(fresh, hub):
    """Two networks that can be read, in a zoo with six that cannot."""
    fresh.variables = {**hub.environment(fresh.path / "home"), "HF_HUB_DOWNLOAD_TIMEOUT": "2"}
    planted(fresh.path / "nets/corrupt.safetensors", 3)
    os.truncate(fresh.path / "nets/corrupt.safetensors", 9000)
    (fresh.path / "nets/page.pth").write_text("<html>moved</html>")
    dead = [
        {"name": "gone", "hub": "owner/gone"},
        {"name": "gated", "hub": "owner/gated"},
        {"name": "address", "url": hub.url("net.safetensors")},
        {"name": "corrupt", "file": "nets/corrupt.safetensors"},
        {"name": "page", "file": "nets/page.pth"},
        TAG,
    ]
    families = {**TRAINED, "dead": dead}
    (fresh.path / "zoo.yaml").write_text(yaml.safe_dump({"families": families}))
    return fresh


def test_networks_that_cannot_be_read_are_left_out(project):
    project.update("config.yaml", missing="skip")
    run = project.snakemake("all")
    assert run.code == 0, run.text
    assert run.errors == []
    assert "Traceback" not in run.text
    # Each once when it happens, and all once more at the end, with the remedy.
    lines = run.told("WARNING left out: ")
    assert len(lines) == 2 * len(DEAD)
    assert sorted(lines[-len(DEAD) :]) == sorted(set(lines))
    end = run.text.splitlines()[-15:]
    assert set(lines) <= set(end)
    assert any("rm results/kernels/address.parquet" in line for line in end)
    table = pd.read_csv(project.path / "results/tables/left_out.csv").set_index("model")
    assert set(table.index) == set(DEAD)
    for name, part in DEAD.items():
        assert part in table.loc[name, "reason"]
        assert f"WARNING left out: {table.loc[name, 'reason']}" in lines
    models = pd.read_parquet(project.path / "results/tables/models.parquet")
    assert set(models["model"]) == {"a", "b"}
    composition = pd.read_parquet(project.path / "results/tables/composition.parquet")
    page = kernelatlas.figures.models.draw(models, composition, table.reset_index())[0]
    shown = " ".join(" ".join(text.get_text().split()) for text in page.findobj(Text))
    assert "Left out, since they could not be read: " + ", ".join(table.index) in shown
    assert nothing_to_do(project.snakemake("all"))

    # A run that must not leave out anything does not take these results for complete.
    again = project.snakemake("all", "-n", "--config", "missing=stop")
    assert again.code != 0
    assert len(again.errors) == 1
    assert "rm results/kernels/" in again.errors[0]

    # A file that is mended, and a table that is deleted, are read again; the others are not.
    planted(project.path / "nets/corrupt.safetensors", 3)
    (project.path / "results/kernels/gone.parquet").unlink()
    plan = project.snakemake("all", "-n")
    assert plan.counts["kernels"] == 2
    run = project.snakemake("results/tables/left_out.csv")
    assert run.code == 0, run.text
    table = pd.read_csv(project.path / "results/tables/left_out.csv")
    assert set(table["model"]) == set(DEAD) - {"corrupt"}
    assert "skipped" not in metadata_of(project.path / "results/kernels/corrupt.parquet")


def test_without_skip_each_error_is_repeated_once_at_the_end(project):
    run = project.snakemake("all")
    assert run.code != 0
    lines = run.told("ERROR ")
    assert len(lines) == 2 * len(DEAD)
    assert sorted(lines[-len(DEAD) :]) == sorted(set(lines))
    for part in DEAD.values():
        assert any(part in line for line in lines)
    assert not any((project.path / f"results/kernels/{name}.parquet").exists() for name in DEAD)
    # What can be made is made.
    assert (project.path / "results/kernels/b.parquet").exists()


def test_a_full_disk_is_no_fault_of_a_network(tmp_path, monkeypatch):
    """Through the real writer: a folder that cannot be written is an error with `skip` too."""
    from kernelatlas.errors import KernelAtlasError
    from kernelatlas.sources.extract import extract

    (tmp_path / "page.pth").write_text("<html>moved</html>")
    (tmp_path / "file").write_text("")
    reason = extract(tmp_path / "x.parquet", "x", tmp_path / "page.pth", skip=True)
    assert "web page" in reason
    with pytest.raises(KernelAtlasError):
        extract(tmp_path / "y.parquet", "y", tmp_path / "page.pth")
    with pytest.raises((KernelAtlasError, OSError)):
        extract(tmp_path / "file/z.parquet", "z", tmp_path / "page.pth", skip=True)
