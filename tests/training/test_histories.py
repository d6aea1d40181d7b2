from pathlib import Path

from kernelatlas.sources.zoo import Model
from kernelatlas.training.histories import history_of, with_history


def test_a_history_stands_beside_the_weights(tmp_path):
    weights = tmp_path / "v1.2/net.a.safetensors"
    weights.parent.mkdir()
    recorded = Model("net.a", "f", file=str(weights))
    bare = Model("other", "f", file=str(tmp_path / "other.safetensors"))
    models = [recorded, bare, Model("untrained", "f", init="x"), Model("far", "f", hub="o/r")]
    assert history_of(recorded) == Path(tmp_path / "v1.2/net.a_history.parquet")
    assert with_history(models) == []
    history_of(recorded).touch()
    assert with_history(models) == [recorded]
