"""What jobs that take minutes at the scale of all of timm tell of how far they are."""

import itertools
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kernelatlas.clustering import labels as labelling
from kernelatlas.clustering.autoencoder import Settings
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import label_kernels, write_labels
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.baselines import outcomes
from kernelatlas.evidence.crossfit import cross_fit, crossfit_table
from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.evidence.nulls import null_table
from kernelatlas.evidence.sensitivity import sensitivity_table
from kernelatlas.evidence.stability import stability_table
from kernelatlas.kernels.corpus import build_corpus, corpus_kernels, corpus_keys, write_corpus
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.sizes import size_table
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running import progress
from kernelatlas.running.files import write_frame
from kernelatlas.tables import distances, key_frequencies, layers, masterkeys, models
from kernelatlas.tables.jet import jet_table
from kernelatlas.tables.limits import limit_table

K, COSINE, LIMIT = 3, 0.75, 0.5
MODELS = [["one", "fam", True, ""], ["two", "fam", True, ""], ["none", "fam", False, ""]]
SETTINGS = Settings(points=40, widths=(8,), fourier=8, rounds=3, decoder_steps=20, steps=20)
LIMITS = {str(K): LIMIT}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("zoo"), np.random.default_rng(0)
    made = SimpleNamespace(**{kind: [] for kind in ("kernels", "labels", "fits")})
    weights = bank(K).weights
    made.curves = [Curve(K, seed, weights[seed::3], 30.0) for seed in range(2)]
    for name, *_ in MODELS:
        parts = (weights[rng.integers(len(weights), size=40)] for _ in range(2))
        noisy = [part + rng.normal(0, 0.1, part.shape) for part in parts]
        found = [
            Layer(f"dw{i}", part.reshape(-1, K, K).astype(np.float32), None, None)
            for i, part in enumerate(noisy)
        ]
        for kind in ("kernels", "labels", "fits"):
            getattr(made, kind).append(folder / f"{name}.{kind}")
        write_kernels(made.kernels[-1], name, found, {})
        write_fits(fit_model(made.kernels[-1], [K]), made.fits[-1])
    made.corpus, made.trained = folder / "corpus", made.kernels[:2]
    write_corpus(build_corpus(made.trained, K, 1), made.corpus, K)
    made.values, made.key = corpus_kernels(made.corpus), corpus_keys(made.corpus)
    clusters = cluster_table(made.values, made.curves, LIMIT, COSINE)
    for source, target in zip(made.kernels, made.labels, strict=True):
        write_labels(
            [label_kernels(source, made.curves, clusters, LIMIT, COSINE)], target, range(2)
        )
    made.crossfit = cross_fit(made.key, made.values, SETTINGS, [0, 1], "cpu")
    made.unseen = crossfit_table(made.key, made.values, made.crossfit, COSINE)
    made.nulls = folder / "nulls.parquet"
    write_frame(null_table(made.trained, made.crossfit, made.curves, COSINE, 40), made.nulls)
    made.sets = {masterkeys.KEYS: [weights[:4]]}
    made.filters = pd.DataFrame(
        {"filters": masterkeys.KEYS, "number": range(1, 5), "name": "", "label": ""}
    )
    return made


JOBS = {
    "sizes": (
        lambda z: size_table(z.kernels, MODELS, [K], 1),
        ["kernel sizes: 1 of 3 networks"],
    ),
    "corpus": (
        lambda z: build_corpus(z.trained, K, 1),
        ["corpus of 3x3 kernels: 1 of 2 networks"],
    ),
    "clusters": (
        lambda z: cluster_table(z.values, z.curves, LIMIT, COSINE),
        ["labels of 3x3 kernels: 1 of 3 blocks"],
    ),
    "crossfit": (
        lambda z: cross_fit(z.key, z.values, SETTINGS, [0, 1], "cpu"),
        ["cross-fitting of 3x3 kernels: 1 of 4 curves"],
    ),
    "nulls": (
        lambda z: null_table(z.trained, z.crossfit, z.curves, COSINE, 20),
        [
            "moments of 3x3 kernels: 1 of 2 networks",
            "nulls of 3x3 kernels: 1 of 2 networks",
            "labels and fits of 3x3 nulls: 1 of 3 nulls",
        ],
    ),
    "masterkeys": (
        lambda z: masterkeys.search_table(
            z.values, masterkeys.corpus_energies(z.trained, K), z.curves[0], 6, 2, 100
        ),
        ["energies of 3x3 kernels: 1 of 2 networks", "master keys among 6 filters: 1 of 5 filters"],
    ),
    "tables_masterkeys": (
        lambda z: (
            masterkeys.model_table(z.kernels, MODELS, K, z.sets),
            key_frequencies.frequency_table(z.kernels, MODELS, K, z.sets, z.filters),
        ),
        ["explained kernels: 1 of 3 networks", "nearest filters: 1 of 3 networks"],
    ),
    "tables_baselines": (
        lambda z: list(itertools.islice(outcomes(z.values, SETTINGS, {0: ""}, COSINE), 2)),
        [r"baselines on 3x3 kernels: 1 of \d+ runs"],
    ),
    "tables_stability": (
        lambda z: stability_table(z.key["model"], z.values, z.curves, z.unseen, LIMIT, COSINE),
        ["labels of 3x3 kernels: 1 of 3 blocks", "stability of networks: 1 of 2 networks"],
    ),
    "tables_thresholds": (
        lambda z: sensitivity_table(z.kernels, z.crossfit, z.curves, MODELS, (LIMIT, COSINE), 20),
        [
            "thresholds of 3x3 kernels: 1 of 3 networks",
            "shares of 3x3 kernels: 1 of 2 families",
        ],
    ),
    "tables_distances": (
        lambda z: distances.distance_table(z.corpus, z.kernels, MODELS, K),
        [
            "histograms of 3x3 kernels: 1 of 3 networks",
            "distances of 3x3 kernels: 1 of 10 pairs",
        ],
    ),
    "tables_layer_statistics": (
        lambda z: distances.layer_table(z.kernels, MODELS),
        ["statistics of layers: 1 of 3 networks"],
    ),
    "tables_limits": (
        lambda z: limit_table(z.fits, z.nulls, MODELS, K, 0.8),
        ["tables of 3x3 kernels: 1 of 3 networks"],
    ),
    "tables_jet": (
        lambda z: jet_table(z.fits, z.nulls, MODELS, K),
        ["tables of 3x3 kernels: 1 of 3 networks"],
    ),
    "tables_models": (
        lambda z: (
            models.composition_table(z.labels, MODELS),
            layers.layer_table(z.labels, MODELS, LIMITS),
        ),
        ["label tables: 1 of 3 networks", "layers of label tables: 1 of 3 networks"],
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_jobs_tell_how_much_is_done_and_how_long_still(zoo, job, caplog, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0)
    monkeypatch.setattr(labelling, "BLOCK", 60)
    caplog.set_level("INFO", "kernelatlas")
    run, expected = JOBS[job]
    run(zoo)
    told = [record.getMessage() for record in caplog.records]
    for line in expected:
        assert any(re.fullmatch(rf"{line}, .* to go", text) for text in told), told
