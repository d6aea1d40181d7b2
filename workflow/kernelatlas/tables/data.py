"""The pictures that networks are trained on: samples and power spectra."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from kernelatlas.running.progress import tracked
from kernelatlas.training.pictures import Crops
from kernelatlas.training.spectra import exponent, radial_power

N_CROPS, N_SAMPLES = 512, 6


def data_tables(recipes: Mapping[str, Mapping[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw training crops as the recipes do.

    Parameters
    ----------
    recipes
        By the training data in words.

    Returns
    -------
    spectra : DataFrame
        frequency and power (`kernelatlas.training.spectra.radial_power`) of grey crops, whose
        values are in units of the full range, and the exponent of their power law.
    samples : DataFrame
        side and pixels: side·side·3 bytes, row by row, of a few crops each.
    """
    spectra, samples = [], []
    for name, recipe in tracked(list(recipes.items()), "training pictures", "recipes"):
        generator = torch.Generator().manual_seed(0)
        crops, _ = Crops(**recipe["data"]).batch(N_CROPS, generator)
        values = (crops * 0.25 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
        frequency, power = radial_power(values.mean(axis=3, dtype=np.float64))
        spectra.append(
            pd.DataFrame(
                {
                    "trained_on": name,
                    "frequency": frequency,
                    "power": power,
                    "exponent": exponent(frequency, power),
                }
            )
        )
        pixels = (255 * values[:N_SAMPLES]).round().astype(np.uint8)
        samples.append(
            pd.DataFrame(
                {
                    "trained_on": name,
                    "sample": np.arange(len(pixels)),
                    "side": pixels.shape[1],
                    "pixels": list(pixels.reshape(len(pixels), -1)),
                }
            )
        )
    return pd.concat(spectra, ignore_index=True), pd.concat(samples, ignore_index=True)
