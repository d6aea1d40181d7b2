"""Values of --config reach the rules as what they say."""

import pytest
import yaml

DYNAMICS = {
    "families": {"f": [{"name": "x.1", "network": "x", "step": 1, "init": "convnext_atto"}]}
}


@pytest.mark.parametrize("value", ["null", ""])
def test_null_on_the_command_line_is_none(fresh, value):
    (fresh.path / "states.yaml").write_text(yaml.safe_dump(DYNAMICS))
    fresh.update("config.yaml", dynamics="states.yaml", container="gone.sif")
    nulls = ["--config", f"dynamics={value}", f"container={value}", "seeds=[4]"]
    run = fresh.snakemake("results/autoencoders/k7_seed4.safetensors", "--dry-run", *nulls)
    assert run.code == 0, run.text
    assert run.errors == []
    assert "autoencoder" in run.jobs
    run = fresh.snakemake("results/kernels/x.1.parquet", "--dry-run", *nulls)
    assert run.errors[0].startswith("ERROR results/kernels/x.1.parquet: no model 'x.1'")
