"""`snakemake evidence` and `release` on the tiny zoo, through the real Snakefile."""

import subprocess
import sys

import pandas as pd

from project import nothing_to_do


def test_evidence_and_release_of_a_tiny_zoo(described):
    # In a copy of the folder too there is nothing to do.
    assert nothing_to_do(described.snakemake("evidence", "release"))

    tables = described.path / "results/tables"
    nulls = pd.read_parquet(tables / "nulls_k7.parquet")
    all_families = nulls[(nulls["family"] == "all families") & (nulls["rule"] == "r2")]
    share = all_families.set_index("set")["share"]
    # The zoo's networks are noisy templates.
    assert share["trained"] > 0.8
    assert set(share.index) == {"trained", "untrained", "shuffled", "white", "covariance"}
    assert share[["untrained", "shuffled", "white"]].max() < 0.05
    fits = pd.read_parquet(described.path / "results/fits/a.parquet")
    assert len(fits) == len(pd.read_parquet(described.path / "results/labels/a.parquet"))
    # No accuracy is known of these networks, and none is made up.
    assert pd.read_parquet(tables / "accuracy.parquet").empty
    assert not (tables / "replacements.parquet").exists()
    for path in (described.path / "results/figures").glob("*.pdf"):
        assert path.with_suffix(".png").stat().st_size > 5000, path

    # The release classifies a checkpoint as the workflow did.
    done = subprocess.run(
        [sys.executable, "-m", "kernelatlas", "classify", "nets/a.safetensors", "--output", "out"],
        cwd=described.path,
        env=described.environment | {"PYTHONPATH": str(described.path / "workflow")},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    found = pd.read_parquet(described.path / "out/labels.parquet")
    labels = pd.read_parquet(described.path / "results/labels/a.parquet")
    assert list(found["label"]) == list(labels["label"])
    assert list(found["function"]) == list(fits["function"])

    # What is deleted of the release is made again, and nothing else.
    release = described.path / "results/release"
    before = described.digests()
    for names in (("labels/a.parquet", "tables/sizes.csv"), ("README.md",), ("SHA256SUMS",)):
        for name in names:
            (release / name).unlink()
        run = described.snakemake("release")
        assert run.code == 0, run.text
        assert not {"labels", "sizes", "autoencoder", "fits"} & set(run.jobs)
        assert described.digests() == before
        assert nothing_to_do(described.snakemake("release"))

    # A formula of the fits changes fits, and what is made of them, and nothing before.
    described.edit("workflow/kernelatlas/evidence/functions.py", "FREE = 3", "FREE = 4")
    jobs = described.snakemake("evidence", "release", "--dry-run").jobs
    assert {"fits", "nulls", "tables_nulls", "figure_fits", "release"} <= set(jobs)
    assert not {"labels", "clusters", "autoencoder", "tables_baselines", "masterkeys"} & set(jobs)
    assert nothing_to_do(described.snakemake("all"))
