"""Networks are trained by their rule, followed through their training, and go on when killed."""

import json
import shutil
import signal
import subprocess
import time

import pandas as pd
import psutil
import pytest
import yaml
from safetensors import safe_open
from safetensors.numpy import load_file

from project import ROOT, new_project, nothing_to_do

RECIPES = "workflow/zoos/recipes"
KEPT = [10, 22]  # steps between the ends, of 50


def tiny_recipe(project):
    """Write the recipe of a network that trains in seconds; return it."""
    recipe = yaml.safe_load((ROOT / RECIPES / "convnextv2_mini.yaml").read_text())
    recipe["arguments"] = {"depths": [1, 1, 1, 0], "dims": [16, 16, 32, 32], "patch_size": 2}
    recipe["data"] |= {"photographs": {"names": ["camera", "coins"], "held_out": 0.35}, "size": 48}
    recipe["optimiser"] |= {"steps": 50, "batch": 2, "warmup": 5}
    recipe |= {"test": {"per_subject": 2, "every": 10}, "trajectory": len(KEPT)}
    (project.path / RECIPES / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    return recipe


@pytest.fixture(scope="module")
def _trained(tmp_path_factory):
    """A project that has trained a tiny network, and one of another seed and other data."""
    project = new_project(tmp_path_factory.mktemp("trained") / "project")
    recipe = tiny_recipe(project)
    leaves = {"worlds": 2, "pictures": 1, "side": 64, "seed": 0}
    data = {"photographs": None, "dead_leaves": leaves}
    (project.path / RECIPES / "other.yaml").write_text(
        yaml.safe_dump({"base": "tiny.yaml", "seed": 1, "data": data})
    )
    networks = [f"results/networks/{name}.safetensors" for name in ("tiny", "other")]
    run = project.snakemake(*networks)
    assert run.code == 0, run.text
    return project, recipe


@pytest.fixture
def trained(_trained, tmp_path):
    project, recipe = _trained
    return project.copy(tmp_path / "trained"), recipe


def states(network, trained_on):
    """Return the entries of a network's states from the untrained to the trained one."""
    folder = f"results/networks/{network}"
    files = {step: f"{folder}_trajectory/step{step:05d}.safetensors" for step in KEPT}
    files[50] = f"{folder}.safetensors"
    sources = {0: {"init": f"{RECIPES}/{network}.yaml"}}
    sources |= {step: {"file": file} for step, file in files.items()}
    common = {"network": network, "trained_on": trained_on}
    return [
        {"name": f"{network}.step{step}", "step": step, **common, **source}
        for step, source in sources.items()
    ]


def test_a_recipe_becomes_a_network_of_the_zoo(trained):
    project, recipe = trained
    weights = project.path / "results/networks/tiny.safetensors"
    with safe_open(weights, "np") as file:
        metadata = json.loads(file.metadata()["kernelatlas"])
    assert metadata["recipe"] == recipe
    assert 0 <= metadata["held_out"]["accuracy"] <= 1
    history = pd.read_parquet(project.path / "results/networks/tiny_history.parquet")
    assert history["step"].to_list() == [10, 20, 30, 40, 50]
    kept = sorted((project.path / "results/networks/tiny_trajectory").glob("*.safetensors"))
    assert [path.name for path in kept] == [f"step{step:05d}.safetensors" for step in KEPT]
    depthwise = {f"stages.{i}.blocks.0.conv_dw.weight" for i in range(3)}
    assert set(load_file(kept[0])) == depthwise < set(load_file(weights))
    log = (project.path / "results/logs/networks/tiny.log").read_text()
    assert "step 10 of 50" in log
    assert "INFO training: 50 steps in " in log

    zoo = [
        {"name": "tiny", "file": "results/networks/tiny.safetensors"},
        {"name": "tiny.untrained", "init": f"{RECIPES}/tiny.yaml"},
    ]
    project.update("zoo.yaml", families={"tiny": zoo})
    run = project.snakemake("results/figures/tiny_clusters.pdf")
    assert run.code == 0, run.text
    assert "Training the network" not in run.text


def test_the_kernels_of_a_network_that_is_trained_again_are_read_once(trained):
    """They are read after the training, but planned before it."""
    project, _ = trained
    zoo = [{"name": "tiny", "file": "results/networks/tiny.safetensors"}]
    project.update("zoo.yaml", families={"tiny": zoo})
    table = "results/kernels/tiny.parquet"
    assert project.snakemake(table).jobs == ["kernels"]
    project.edit(f"{RECIPES}/tiny.yaml", "warmup: 5", "warmup: 6")
    assert project.snakemake(table).jobs == ["kernels", "network"]
    assert nothing_to_do(project.snakemake(table))


def test_a_recipe_that_builds_on_another_depends_on_it(trained):
    project, _ = trained
    other = "results/networks/other.safetensors"
    assert nothing_to_do(project.snakemake(other))
    project.edit(f"{RECIPES}/tiny.yaml", "warmup: 5", "warmup: 6")
    run = project.snakemake(other, "--dry-run")
    assert run.jobs == ["network"]
    (project.path / RECIPES / "tiny.yaml").unlink()
    run = project.snakemake(other)
    assert run.code != 0
    assert run.errors == [
        f"ERROR {RECIPES}/other.yaml: base: no file '{RECIPES}/tiny.yaml': "
        "name a recipe beside this one"
    ]
    assert "Traceback" not in run.text


def test_trainings_are_followed(trained):
    project, _ = trained
    zoo = project.path / "dynamics.yaml"
    families = {"photographs": states("tiny", "two pictures"), "leaves": states("other", "leaves")}
    zoo.write_text(yaml.safe_dump({"families": families}))
    project.update("config.yaml", dynamics="dynamics.yaml")
    run = project.snakemake("dynamics")
    assert run.code == 0, run.text
    tables = project.path / "results/tables"
    emergence = pd.read_parquet(tables / "emergence.parquet")
    assert emergence[["network", "step"]].apply(tuple, axis=1).to_list() == [
        (network, step) for network in ("other", "tiny") for step in (0, *KEPT, 50)
    ]
    assert set(emergence["k"]) == {7}
    assert set(emergence["kernels"]) == {16 + 16 + 32}
    energy = emergence.set_index(["network", "step"])["initial_energy"]
    assert energy["tiny", 0] == pytest.approx(1)
    assert 1 > energy["tiny", 10] > energy["tiny", 50]
    networks = pd.read_parquet(tables / "networks.parquet").set_index("network")
    assert networks.loc["other", "held_out"] == "a picture of its own of each world"
    assert set(pd.read_parquet(tables / "data_spectra.parquet")["trained_on"]) == {
        "leaves",
        "two pictures",
    }
    for name in ("emergence", "drift", "seeds", "data"):
        assert (project.path / f"results/figures/{name}.png").stat().st_size > 10_000
    # Checkpoints of trainings are in no corpus, and `all` does not know of them.
    corpus = pd.read_parquet(project.path / "results/corpora/k7.parquet", columns=["model"])
    assert set(corpus["model"]) == {"a", "b"}
    assert nothing_to_do(project.snakemake("dynamics"))
    assert not any("step" in line for line in project.snakemake("all", "-n", "-q").text.split())


def test_trainings_of_others_are_followed(fresh):
    """Without recipes, histories, or the untrained network; the data said of the last state."""
    state = {"network": "x", "file": "nets/a.safetensors"}
    zoo = [
        {"name": "x.1", "step": 1, **state},
        {"name": "x.9", "step": 9, **state, "file": "nets/b.safetensors", "trained_on": "theirs"},
    ]
    (fresh.path / "theirs.yaml").write_text(yaml.safe_dump({"families": {"f": zoo}}))
    run = fresh.snakemake("--config", "dynamics=theirs.yaml", "--", "dynamics")
    assert run.code == 0, run.text
    table = pd.read_parquet(fresh.path / "results/tables/emergence.parquet")
    assert table["step"].to_list() == [1, 9]
    assert set(table["trained_on"]) == {"theirs"}
    assert table["initial_energy"].isna().all()
    drift = pd.read_parquet(fresh.path / "results/tables/drift.parquet")
    assert drift[["step", "last_step", "kernels"]].to_numpy().tolist() == [[1, 9, 120]]
    # The kernels of both files are planted independently of each other.
    assert drift["cosine"].iloc[0] == pytest.approx(drift["cosine_null"].iloc[0], abs=0.2)
    assert not (fresh.path / "results/tables/networks.parquet").exists()
    for name in ("emergence", "drift", "seeds", "data"):
        assert (fresh.path / f"results/figures/{name}.pdf").stat().st_size > 10_000


def test_without_trainings_dynamics_says_so(fresh):
    run = fresh.snakemake("dynamics")
    assert run.code != 0
    assert run.errors == [
        "ERROR config.yaml: dynamics is null: name a zoo of checkpoints of trainings"
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_ends_with_snakemake_and_goes_on_where_it_was(trained, number):
    """Ended once a state is kept: the next run ends with the bytes of one that was not ended."""
    project, _ = trained
    expected = project.digests()
    shutil.rmtree(project.path / "results")
    weights = "results/networks/tiny.safetensors"
    run = subprocess.Popen(
        project.command(weights),
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kept = project.path / "results/networks/tiny.resume"
    deadline = time.monotonic() + 120
    while not kept.exists():
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    jobs = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(number)  # to Snakemake alone
    _, alive = psutil.wait_procs(jobs, timeout=10)
    assert not alive
    assert run.wait(timeout=20) != 0
    assert not (project.path / weights).exists()
    if number == signal.SIGKILL:
        assert project.snakemake("--unlock").code == 0
    again = project.snakemake(weights)
    assert again.code == 0, again.text
    assert "resuming after step" in (project.path / "results/logs/networks/tiny.log").read_text()
    assert not kept.exists()
    found = project.digests()
    assert found == {path: digest for path, digest in expected.items() if "/tiny" in path}
    assert {weights, f"results/networks/tiny_trajectory/step{KEPT[-1]:05d}.safetensors"} < set(
        found
    )


def committed():
    return sorted((ROOT / "resources/zoo").glob("*.safetensors"))


def test_the_committed_networks_are_of_their_recipes():
    from kernelatlas.training.network import trajectory_steps
    from kernelatlas.training.recipes import read_recipe

    recipes = sorted((ROOT / RECIPES).glob("*.yaml"))
    assert [path.stem for path in committed()] == [path.stem for path in recipes]
    for path, recipe in zip(committed(), recipes, strict=True):
        with safe_open(path, "np") as file:
            metadata = json.loads(file.metadata()["kernelatlas"])
        content = read_recipe(recipe)
        assert metadata["recipe"] == content
        steps = trajectory_steps(content["trajectory"], content["optimiser"]["steps"])
        kept = sorted(path.with_name(f"{path.stem}_trajectory").glob("*.safetensors"))
        assert [file.name for file in kept] == [f"step{step:05d}.safetensors" for step in steps]


def test_the_committed_networks_are_small():
    files = [path for path in (ROOT / "resources").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25_000_000


def test_the_committed_zoos_name_every_state_there_is():
    zoos = [yaml.safe_load((ROOT / f"workflow/zoos/{z}.yaml").read_text()) for z in
            ("embedded", "dynamics")]  # fmt: skip
    entries = [entry for zoo in zoos for family in zoo["families"].values() for entry in family]
    here = [entry for entry in entries if "package" not in entry]
    named = {entry["file"] for entry in here if "file" in entry}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "resources").rglob("*.safetensors")}
    assert named == there
    begun = {entry["init"] for entry in entries if entry.get("init", "").endswith(".yaml")}
    assert begun == {str(path.relative_to(ROOT)) for path in (ROOT / RECIPES).glob("*.yaml")}
