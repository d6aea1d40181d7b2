"""What most jobs wait for is made first."""

import re

from project import planted


def test_networks_are_extracted_before_any_is_fitted(fresh):
    names = [f"n{number}" for number in range(3)]
    for seed, name in enumerate(names):
        planted(fresh.path / f"nets/{name}.safetensors", seed, n=60)
    networks = [{"name": name, "file": f"nets/{name}.safetensors"} for name in names]
    fresh.update("zoo.yaml", families={"only": networks})
    targets = [f"results/fits/{name}.parquet" for name in names]
    run = fresh.snakemake("--cores", "1", "results/corpora/k7.parquet", *targets)
    assert run.code == 0, run.text
    order = re.findall(r"Job \d+: (Extracting|Gathering|Fitting)", run.text)
    assert order == ["Extracting"] * 3 + ["Gathering"] + ["Fitting"] * 3
