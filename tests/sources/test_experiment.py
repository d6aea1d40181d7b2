"""The models of an experiment: by family, trained or not, and of trainings."""

import pytest
import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.experiment import Experiment

TINY = {"depths": [1, 1, 1, 1], "dims": [16, 16, 16, 16]}


def write(path, families):
    path.write_text(yaml.safe_dump({"families": families}))
    return str(path)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "s1", "s9", "t9"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"weights")
    (tmp_path / "recipe.yaml").write_text("{}")
    zoo = {
        "second": [{"name": "b", "file": "b.safetensors"}],
        "first": [
            {"name": "a", "file": "a.safetensors", "trained_on": "photographs"},
            {"name": "a.untrained", "init": "convnext_atto", "seed": 0, "arguments": TINY},
            {"name": "far", "hub": "owner/far", "filename": "net.safetensors"},
        ],
    }
    dynamics = {
        "f": [
            {"name": "t.9", "network": "t", "step": 9, "file": "t9.safetensors"},
            {
                "name": "s.9",
                "network": "s",
                "step": 9,
                "file": "s9.safetensors",
                "trained_on": "leaves",
            },
            {"name": "s.0", "network": "s", "step": 0, "init": "recipe.yaml"},
            {"name": "s.1", "network": "s", "step": 1, "file": "s1.safetensors"},
        ]
    }
    paths = write(tmp_path / "zoo.yaml", zoo), write(tmp_path / "dynamics.yaml", dynamics)
    return Experiment.load(*paths)


def test_models_of_the_zoo(experiment):
    assert list(experiment.zoo) == ["a", "a.untrained", "far", "b"]
    assert experiment.families == ["first", "second"]
    assert experiment.trained == ["a", "far", "b"]
    assert experiment.remote == ["far"]
    assert experiment.of_family("first") == ["a", "a.untrained", "far"]
    assert experiment.of_family("third") == []
    assert experiment.describe(["b", "a"]) == [
        ["b", "second", True, ""],
        ["a", "first", True, "photographs"],
    ]


def test_checkpoints_of_trainings_are_no_part_of_the_zoo(experiment):
    assert list(experiment.dynamics) == ["s.0", "s.1", "s.9", "t.9"]
    assert experiment.names == [*experiment.zoo, *experiment.dynamics]
    assert experiment.model("s.1").step == 1
    assert experiment.model("b").family == "second"
    with pytest.raises(KeyError):
        experiment.model("none")
    assert [model.name for model in experiment.last_checkpoints] == ["s.9", "t.9"]


def test_training_data_are_those_of_the_last_checkpoint(experiment):
    assert experiment.describe_dynamics() == [
        ["s.0", "f", False, "leaves", "s", 0],
        ["s.1", "f", True, "leaves", "s", 1],
        ["s.9", "f", True, "leaves", "s", 9],
        ["t.9", "f", True, "", "t", 9],
    ]
    assert experiment.recipes_by_data() == {"leaves": "recipe.yaml"}


def test_there_may_be_no_trainings(experiment):
    alone = Experiment.load("zoo.yaml", None)
    assert alone.dynamics == {}
    assert alone.zoo == experiment.zoo
    assert alone.last_checkpoints == alone.describe_dynamics() == []


def test_a_zoo_that_is_not_there_is_told(tmp_path):
    with pytest.raises(KernelAtlasError, match=r"gone\.yaml"):
        Experiment.load(str(tmp_path / "gone.yaml"), None)
