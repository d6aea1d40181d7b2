"""What a lock file says of kernel tables, and what it asks for."""

import numpy as np
import pytest
import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.table import write_kernels
from kernelatlas.sources.lock import settled, write_lock
from kernelatlas.sources.zoo import Model, load_zoo, lock_of

OLD, NEW = "0" * 40, "1" * 40
DIGEST = "2" * 64
LAYERS = [Layer("a", np.ones((2, 3, 3), np.float32))]


@pytest.fixture
def tables(tmp_path):
    """From a hub, from an address by ranges, and from one that was read whole."""
    for name, found in {
        "hub": {"commit": OLD, "etag": "e"},
        "ranged": {"commit": None, "etag": "e"},
        "whole": {"commit": None, "etag": None, "sha256": DIGEST},
    }.items():
        write_kernels(tmp_path / f"{name}.parquet", name, LAYERS, {**found, "asked": {}})
    return sorted(tmp_path.glob("*.parquet"))


def models(folder) -> dict[str, Model]:
    zoo = folder / "zoo.yaml"
    zoo.write_text(
        "families: {f: [{name: hub, hub: o/r}, {name: ranged, url: 'https://a/b'}, "
        "{name: whole, url: 'https://a/c'}]}"
    )
    return {model.name: model for model in load_zoo(zoo)}


def test_each_table_is_pinned_by_the_best_that_is_known_of_it(tmp_path, tables):
    write_lock(tmp_path / "zoo.lock.yaml", tables)
    assert yaml.safe_load((tmp_path / "zoo.lock.yaml").read_text()) == {
        "hub": {"revision": OLD},
        "ranged": {"etag": "e"},
        "whole": {"sha256": DIGEST},
    }
    found = models(tmp_path)
    assert lock_of(tmp_path / "zoo.yaml") == tmp_path / "zoo.lock.yaml"
    assert found["hub"].remote == {"hub": "o/r", "revision": OLD}
    assert found["ranged"].remote == {"url": "https://a/b", "etag": "e"}
    assert found["whole"].remote == {"url": "https://a/c", "sha256": DIGEST}


def test_a_lock_that_agrees_with_the_table_asks_for_nothing_else(tmp_path, tables):
    unlocked = models(tmp_path)
    write_lock(tmp_path / "zoo.lock.yaml", tables)
    for name, model in models(tmp_path).items():
        assert model.remote != unlocked[name].remote
        assert settled(model, tmp_path / f"{name}.parquet").remote == unlocked[name].remote
        # With no table there, or one that cannot be read, the lock holds.
        assert settled(model, tmp_path / "gone.parquet") == model
        (tmp_path / "damaged.parquet").write_text("damaged")
        assert settled(model, tmp_path / "damaged.parquet") == model


def test_a_table_that_was_read_by_the_lock_goes_on_asking_for_it(tmp_path, tables):
    write_lock(tmp_path / "zoo.lock.yaml", tables)
    metadata = {"commit": OLD, "asked": {"revision": OLD}}
    write_kernels(tmp_path / "hub.parquet", "hub", LAYERS, metadata)
    assert settled(models(tmp_path)["hub"], tmp_path / "hub.parquet").revision == OLD


def test_another_commit_than_the_locked_one_is_asked_for(tmp_path, tables):
    write_lock(tmp_path / "zoo.lock.yaml", tables)
    write_kernels(tmp_path / "hub.parquet", "hub", LAYERS, {"commit": NEW, "asked": {}})
    model = models(tmp_path)["hub"]
    assert settled(model, tmp_path / "hub.parquet") == model


def test_without_tables_there_is_nothing_to_lock(tmp_path):
    with pytest.raises(KernelAtlasError, match="nothing to lock"):
        write_lock(tmp_path / "zoo.lock.yaml", [])
