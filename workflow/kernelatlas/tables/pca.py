"""Principal components of a corpus."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from kernelatlas.kernels.corpus import corpus_kernels, corpus_keys
from kernelatlas.kernels.layer import side
from kernelatlas.kernels.table import KEY

SHOWN = 5000
COMPONENTS = 10
PLOTTED = 3  # components of which scores are kept
SEED = 0
NAMES = {"model": "str", "layer": "str"}


def pca_tables(
    corpus: str | Path, labels: Sequence[str | Path]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of up to 5000 kernels, with their labels, and the loadings.

    The components are of all kernels; scikit-learn fixes their signs.
    """
    kernels = corpus_kernels(corpus)
    k = side(kernels)
    n = min(COMPONENTS, *kernels.shape)
    fitted = PCA(n, svd_solver="covariance_eigh").fit(kernels)
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.choice(len(kernels), min(SHOWN, len(kernels)), replace=False))
    scores = fitted.transform(kernels[rows])[:, :PLOTTED]
    keys = corpus_keys(corpus).iloc[rows][KEY].astype(NAMES).reset_index(drop=True)
    read = [*KEY, "label", "identified", "reason"]
    known = pd.concat(
        [
            pd.read_parquet(path, columns=read, filters=[("k", "==", k)])
            .astype({**NAMES, "reason": "str"})
            .merge(keys, on=KEY)  # of one network at a time: few are shown
            for path in labels
        ],
        ignore_index=True,
    )
    columns = {f"pc{number + 1}": scores[:, number] for number in range(scores.shape[1])}
    table = keys.assign(**columns).merge(known, how="left", on=KEY)
    for column in ("label", "reason"):  # not categories, which depend on the networks
        table[column] = table[column].astype("str")
    components = pd.DataFrame(
        {
            "component": np.arange(1, n + 1),
            "explained_variance_ratio": fitted.explained_variance_ratio_,
            "loading": list(fitted.components_),
        }
    )
    return table, components
