"""Keys of the config that are no longer there, and results of earlier versions."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kernelatlas.clustering.labels import write_labels
from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import write_parquet
from kernelatlas.running.upgrade import REPLACED, outdated, refuse_replaced


@pytest.mark.parametrize(
    ("section", "key", "value", "found"),
    [
        ("autoencoder", "epochs", 150, "autoencoder.steps"),
        ("autoencoder", "curve_points", 2048, "autoencoder.points"),
        ("clusters", "price", 0.01, "no longer cut"),
    ],
)
def test_keys_that_are_gone_are_told_with_what_replaced_them(section, key, value, found):
    config = {"zoo": "a", section: {"other": 1, key: value}}
    with pytest.raises(KernelAtlasError) as caught:
        refuse_replaced(config, "mine.yaml")
    told = str(caught.value)
    assert told.startswith(f"mine.yaml: {section}.{key}: {value}: ")
    assert found in told
    assert "remove it" in told
    assert "\n" not in told


def test_the_config_of_the_project_has_no_keys_that_are_gone(request):
    config = yaml.safe_load((request.config.rootpath / "config.yaml").read_text())
    refuse_replaced(config, "config.yaml")
    for key in REPLACED:
        section, name = key.split(".")
        assert name not in config[section]


@pytest.mark.parametrize("config", [{}, {"autoencoder": None}, {"autoencoder": [1], "clusters": 3}])
def test_sections_that_are_no_mappings_are_left_to_the_schema(config):
    refuse_replaced(config, "config.yaml")


def test_results_of_the_version_before_are_told(tmp_path):
    assert outdated(tmp_path) is None
    (tmp_path / "labels").mkdir()
    assert outdated(tmp_path) is None
    # A killed job's, which sorts before all others.
    (tmp_path / "labels/.partial-0bbfd16a-7826-net.parquet").write_bytes(b"PAR1")
    assert outdated(tmp_path) is None
    labels = tmp_path / "labels/net.parquet"
    write_parquet(pa.table({"code": [0.5]}), labels, {"schema_version": 1})
    told = outdated(tmp_path)
    assert f"{tmp_path}: results of an earlier version" in told
    assert "checkpoints will be read again" in told
    assert "clusters" not in told
    write_parquet(pa.table({"code": [0.5]}), tmp_path / "clusters/k3_seed0.parquet", {})
    assert f"{tmp_path}/clusters/k*_seed*.parquet" in outdated(tmp_path)
    pq.write_table(pa.table({"code": [0.5]}), labels)  # one that says nothing of its version
    assert outdated(tmp_path) is not None
    write_parquet(pa.table({"identified": [True]}), labels, {"schema_version": 3})  # no reasons
    told = outdated(tmp_path)
    assert "labels will be made again" in told
    assert "checkpoints" not in told
    write_labels([], labels, [0])
    assert outdated(tmp_path) is None
