from pathlib import Path

import pytest
import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.schema import validate
from kernelatlas.sources.zoo import load_zoo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_config_and_its_schema_agree(config):
    validate(config, "config", "config.yaml")
    schema = yaml.safe_load(
        (ROOT / "workflow/kernelatlas/running/schemas/config.schema.yaml").read_text()
    )

    def same_keys(values: dict, node: dict) -> None:
        if "properties" in node:
            assert sorted(values) == sorted(node["properties"]) == sorted(node["required"])
            for key, value in values.items():
                if isinstance(value, dict):
                    same_keys(value, node["properties"][key])

    same_keys(config, schema)


def test_the_settings_of_the_config_are_those_of_the_library(config):
    from dataclasses import fields

    from kernelatlas.clustering.autoencoder import Settings

    assert sorted(config["autoencoder"]) == sorted(field.name for field in fields(Settings))


def test_the_zoos_of_the_repository_are_valid(monkeypatch):
    monkeypatch.chdir(ROOT)
    zoos = sorted((ROOT / "workflow/zoos").glob("*.yaml"))
    assert zoos
    for zoo in zoos:
        assert load_zoo(zoo)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", 1, "unknown key 'seed': did you mean 'seeds'"),
        ("zoo", 3, "zoo: 3 is not of type 'string'; expected the path of a zoo file"),
        ("kernel_sizes", [], "kernel_sizes"),
        ("kernel_sizes", [7, 7], "kernel_sizes"),
        ("kernel_sizes", ["7"], "kernel_sizes.0: '7' is not of type 'integer'"),
        ("seeds", [-1], "seeds.0: -1 is less than the minimum"),
        ("device", "gpu", "device"),
        ("thresholds", {"seven": 0.3}, "thresholds"),
        ("thresholds", {"7": "low"}, "thresholds.7"),
        ("minimum_kernels", 0, "minimum_kernels"),
    ],
)
def test_a_bad_config_is_one_clear_error(config, key, value, message):
    config[key] = value
    with pytest.raises(KernelAtlasError) as caught:
        validate(config, "config", "config.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("config.yaml: ")
