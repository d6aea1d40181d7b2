"""A network is trained by its rule and goes through the rest like any other."""

import json

import yaml
from safetensors import safe_open

from project import ROOT


def test_a_recipe_becomes_a_network_of_the_zoo(fresh):
    recipes = fresh.path / "workflow/zoos/recipes"
    recipe = yaml.safe_load((recipes / "convnext_mini.yaml").read_text())
    recipe["arguments"] = {"depths": [1, 1, 1, 0], "dims": [32, 32, 32, 32], "patch_size": 2}
    recipe["data"] |= {"pictures": ["camera", "coins"], "size": 48}
    recipe["optimiser"] |= {"steps": 3, "batch": 2, "warmup": 1}
    recipe["test"] = {"per_picture": 2, "every": 2}
    (recipes / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    (fresh.path / "zoo.yaml").write_text(
        yaml.safe_dump(
            {
                "families": {
                    "tiny": [
                        {"name": "tiny", "file": "results/networks/tiny.safetensors"},
                        {"name": "tiny.untrained", "init": "workflow/zoos/recipes/tiny.yaml"},
                    ]
                }
            }
        )
    )
    # The file is the output of a rule; it must be there before the zoo names it.
    fresh.update("config.yaml", zoo=str(ROOT / "workflow/zoos/embedded.yaml"))
    (fresh.path / "resources").symlink_to(ROOT / "resources")
    run = fresh.snakemake("results/networks/tiny.safetensors")
    assert run.code == 0, run.text
    with safe_open(fresh.path / "results/networks/tiny.safetensors", "np") as file:
        metadata = json.loads(file.metadata()["kernelatlas"])
    assert metadata["recipe"] == recipe
    assert 0 <= metadata["held_out_accuracy"] <= 1

    fresh.update("config.yaml", zoo="zoo.yaml")
    run = fresh.snakemake("results/figures/tiny_clusters.pdf")
    assert run.code == 0, run.text
    assert "Training the network" not in run.text


def test_the_committed_networks_are_of_their_recipes():
    weights = sorted((ROOT / "resources/zoo").glob("*.safetensors"))
    recipes = sorted((ROOT / "workflow/zoos/recipes").glob("*.yaml"))
    assert [path.stem for path in weights] == [path.stem for path in recipes]
    for path, recipe in zip(weights, recipes, strict=True):
        with safe_open(path, "np") as file:
            metadata = json.loads(file.metadata()["kernelatlas"])
        assert metadata["recipe"] == yaml.safe_load(recipe.read_text())
