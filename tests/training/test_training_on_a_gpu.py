"""A GPU and the processor train alike."""

from pathlib import Path

import pytest

from gpu import GPU, needs_gpu
from kernelatlas.training.network import train
from kernelatlas.training.recipes import read_recipe

RECIPE = Path(__file__).parents[2] / "workflow/zoos/recipes/convnextv2_mini.yaml"


@needs_gpu
def test_networks_learn_alike():
    recipe = read_recipe(RECIPE)
    recipe["optimiser"].update(steps=8, batch=8)
    recipe["test"].update(every=8, per_subject=1)
    losses = [train({**recipe, "trajectory": 0}, on).history[-1]["loss"] for on in ("cpu", GPU)]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
