"""Models from a hub and from addresses, through the real Snakefile."""

import math
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from localhub import Hub
from safetensors.numpy import save

from kernelatlas.running.files import metadata_of
from kernelatlas.sources.registry import expected_layers
from project import Project, new_project

TOKEN = "hf_ThisIsASecretOfTheTests"
TAG = "mobilenetv3_small_050.lamb_in1k"
REPO = f"timm/{TAG}"


def network(seed, architecture="mobilenetv3_small_050"):
    """Weights of a network's depthwise layers, and others between them."""
    random = np.random.default_rng(seed)
    state = {}
    for row in expected_layers(architecture):
        shape = row["channels"], 1, row["kh"], row["kw"]
        state[row["layer"] + ".weight"] = random.normal(size=shape).astype(np.float32)
        state[row["layer"] + "_pw.weight"] = np.zeros((64, row["channels"], 1, 1), np.float32)
    return state


@pytest.fixture
def hub(tmp_path):
    with Hub(tmp_path / "hub", token=TOKEN) as hub:
        hub.publish(REPO, {"model.safetensors": save(network(1))})
        hub.publish("owner/own", {"net.safetensors": save(network(2))})
        (hub.root / "plain").mkdir()
        (hub.root / "plain/net.safetensors").write_bytes(save(network(3)))
        yield hub


@pytest.fixture
def project(tmp_path, hub) -> Project:
    project = new_project(tmp_path / "project")
    project.variables = {**hub.environment(tmp_path / "home"), "HF_TOKEN": TOKEN}
    project.variables["HF_HUB_DOWNLOAD_TIMEOUT"] = project.variables["HF_HUB_ETAG_TIMEOUT"] = "2"
    zoo(
        project,
        tagged=["mobilenetv3_small_050"],
        own=[
            {"name": "own", "hub": "owner/own", "filename": "net.safetensors"},
            {"name": "address", "url": hub.url("net.safetensors") + "?key=secret-in-a-query"},
            {"name": "local", "file": "nets/a.safetensors"},
        ],
    )
    return project


def zoo(project, **families):
    (project.path / "zoo.yaml").write_text(yaml.safe_dump({"families": families}))


def table(project, model):
    return project.path / f"results/kernels/{model}.parquet"


def values(project, model):
    return pq.read_table(table(project, model))["weights"].to_pylist()


def made(run):
    return run.counts.get("kernels", 0), run.code


SIZES = "results/tables/sizes.csv"


def test_every_source_ends_in_a_table(project, hub):
    run = project.snakemake(SIZES)
    assert run.code == 0, run.text
    for model, seed in ((TAG, 1), ("own", 2), ("address", 3)):
        rows = pq.read_table(table(project, model)).to_pylist()
        state = network(seed)
        found = {row["layer"]: [] for row in rows}
        for row in rows:
            found[row["layer"]].append(row["weights"])
        assert len(found) == len(expected_layers("mobilenetv3_small_050"))
        for layer, weights in found.items():
            expected = state[f"{layer}.weight"].reshape(len(weights), -1)
            assert np.array_equal(np.array(weights, np.float32), expected)
        # Only a network of timm has strides.
        strides = {row["stride"] for row in rows}
        assert strides == ({1, 2} if model == TAG else {None})
    metadata = metadata_of(table(project, TAG))
    assert metadata["source"] == f"{REPO}/model.safetensors"
    assert metadata["commit"] == hub.commit(REPO)
    assert metadata_of(table(project, "address"))["source"] == hub.url("net.safetensors")
    assert "Nothing to be done" in project.snakemake(SIZES).text
    # Neither the token nor what an address carries stands anywhere in what was written.
    for path in (project.path / "results").rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
            assert b"secret-in-a-query" not in path.read_bytes(), path
    assert TOKEN not in run.text
    assert all("authorization" not in r.headers for r in hub.requests if r.origin == "storage")
    assert any("authorization" in r.headers for r in hub.requests if r.origin == "hub")


def test_one_model_that_fails_is_one_error_and_the_others_finish(project, hub):
    shutil.rmtree(hub.root / "owner/own")
    run = project.snakemake(SIZES)
    assert run.code != 0
    assert len(run.errors) == 1, run.text
    for part in ("own", "owner/own", "check its name, or set HF_TOKEN"):
        assert part in run.errors[0]
    assert "Traceback" not in run.text
    for model in (TAG, "address", "local"):
        assert table(project, model).exists()
    assert not table(project, "own").exists()
    hub.publish("owner/own", {"net.safetensors": save(network(2))})
    run = project.snakemake(SIZES)
    assert made(run) == (1, 0), run.text


def test_a_server_that_breaks_for_ever_leaves_nothing_half_written(project, hub):
    struck = hub.fault("ranges", "cut", times=math.inf)
    run = project.snakemake(str(table(project, TAG).relative_to(project.path)))
    assert run.code != 0
    assert struck.struck
    assert len(run.errors) == 1, run.text
    assert f"{TAG}: {REPO}/model.safetensors" in run.errors[0]
    assert not list(project.path.glob("results/kernels/*"))


def test_a_lock_file_pins_what_was_read(project, hub):
    assert project.snakemake(SIZES).code == 0
    before = values(project, TAG)
    run = project.snakemake("lock")
    assert run.code == 0, run.text
    locked = yaml.safe_load((project.path / "zoo.lock.yaml").read_text())
    assert set(locked) == {TAG, "own", "address"}
    assert locked[TAG]["revision"] == hub.commit(REPO)
    assert set(locked["address"]) == {"etag"}
    assert "Nothing to be done" in project.snakemake(SIZES).text
    hub.publish(REPO, {"model.safetensors": save(network(4))})
    assert "Nothing to be done" in project.snakemake(SIZES).text
    table(project, TAG).unlink()
    run = project.snakemake(SIZES)
    assert made(run) == (1, 0), run.text
    assert values(project, TAG) == before
    assert "Nothing to be done" in project.snakemake(SIZES).text

    # An address has no commits: another file there is told, and not taken.
    (hub.root / "plain/net.safetensors").write_bytes(save(network(5)))
    table(project, "address").unlink()
    run = project.snakemake(SIZES)
    assert len(run.errors) == 1, run.text
    assert "no longer the file that was locked" in run.errors[0]

    (project.path / "zoo.lock.yaml").unlink()
    run = project.snakemake(SIZES)
    # The two that were read since, at what the lock said.
    assert made(run) == (2, 0), run.text
    assert metadata_of(table(project, TAG))["commit"] == hub.commit(REPO)
    assert values(project, TAG) != before


def test_a_revision_is_read_anew_for_its_model_alone(project, hub):
    assert project.snakemake(SIZES).code == 0
    old = hub.commit(REPO)
    hub.publish(REPO, {"model.safetensors": save(network(4))})
    assert "Nothing to be done" in project.snakemake(SIZES).text
    families = yaml.safe_load((project.path / "zoo.yaml").read_text())["families"]
    zoo(project, **families | {"tagged": [{"name": TAG, "revision": "main"}]})
    run = project.snakemake(SIZES)
    assert made(run) == (1, 0), run.text
    assert metadata_of(table(project, TAG))["commit"] == hub.commit(REPO) != old


def test_nothing_to_lock_is_said(fresh):
    run = fresh.snakemake("lock")
    assert len(run.errors) == 1, run.text
    assert "nothing to lock" in run.errors[0]


def test_a_name_with_a_slip_is_told_before_anything_runs(fresh):
    zoo(fresh, a=["convnextv2_bse.fcmae"])
    run = fresh.snakemake("all")
    assert run.code != 0
    assert len(run.errors) == 1, run.text
    assert "zoo.yaml: 'convnextv2_bse.fcmae' is no network of timm" in run.errors[0]
    assert "did you mean 'convnextv2_base.fcmae" in run.errors[0]
    assert "Traceback" not in run.text


@pytest.mark.parametrize(("tags", "expected"), [("default", 471), ("all", 721)])
def test_all_of_timm_makes_one_job_a_model(fresh, tags, expected):
    run = fresh.snakemake(
        "--dry-run", "--config", "zoo=workflow/zoos/timm.yaml", f"tags={tags}", "--", SIZES
    )
    assert run.code == 0, run.text
    assert run.counts["kernels"] == expected
