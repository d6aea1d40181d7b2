"""The decoded curve of one seed, with the names of its points and the density of kernels."""

from pathlib import Path

import numpy as np
import pandas as pd

from kernelatlas.clustering.clusters import name_points
from kernelatlas.clustering.curve import BLOCK, Curve
from kernelatlas.clustering.templates import bank
from kernelatlas.kernels.corpus import corpus_kernels


def spectrum_table(
    corpus: str | Path, autoencoder: str | Path, minimum_cosine: float
) -> pd.DataFrame:
    """Describe the curve of an autoencoder, point by point.

    Parameters
    ----------
    corpus, autoencoder
        Paths.
    minimum_cosine
        A point with a lower cosine to every template is "other".

    Returns
    -------
    DataFrame
        Columns as in results/README.md; `density` integrates to one over the code.
    """
    kernels = corpus_kernels(corpus)
    curve = Curve.load(autoencoder)
    counts = np.zeros(len(curve.points), np.int64)
    for begin in range(0, len(kernels), BLOCK):  # all reconstructions would be another corpus
        point = curve.draw(kernels[begin : begin + BLOCK]).point
        counts += np.bincount(point, minlength=len(counts))
    return pd.DataFrame(
        {
            "code": curve.codes,
            "density": counts * len(counts) / counts.sum(),
            "label": name_points(curve, minimum_cosine),
            "template_cosine": bank(curve.k).name(curve.points, minimum_cosine).cosine,
            "prototype": list(curve.points),
        }
    )
