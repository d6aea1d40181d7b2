"""Values of --config reach the rules as what they say."""

import pandas as pd
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


@pytest.mark.parametrize("key", ['"7"', "7"])
def test_a_threshold_in_a_file_of_ones_own_is_used_with_quotes_and_without(finished, key):
    path = "results/labels/a.parquet"
    before = pd.read_parquet(finished.path / path)
    (finished.path / "mine.yaml").write_text(f"thresholds: {{{key}: 0.01}}")
    run = finished.snakemake(path, "--configfile", "mine.yaml")
    assert run.code == 0, run.text
    after = pd.read_parquet(finished.path / path)
    assert (after.loc[after["identified"], "dissimilarity"] < 0.01).all()
    assert after["identified"].sum() < before["identified"].sum()
