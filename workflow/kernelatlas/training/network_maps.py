"""The maps of networks that are at hand; those of timm's are in the registry."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import torch
from timm.data import resolve_model_data_config
from torch import nn

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.tensors import read_metadata
from kernelatlas.sources.layer_maps import layer_maps
from kernelatlas.training import architectures
from kernelatlas.training.maps import with_expected

META = torch.device("meta")  # shapes without values: no weights, no time


def map_table(model: nn.Module, size: tuple[int, int, int]) -> pd.DataFrame:
    """Describe the map and the padding of every depthwise convolution, in the order of use.

    Parameters and errors are those of `kernelatlas.sources.layer_maps.layer_maps`, columns those of
    results/README.md.
    """
    return with_expected(layer_maps(model, size)).to_pandas()


def picture_size(model: nn.Module) -> tuple[int, int, int]:
    """Return channels, height and width of the pictures that a network of timm is meant for."""
    size: tuple[int, int, int] = resolve_model_data_config(model)["input_size"]
    return size


def of_trained_here(path: str | Path) -> pa.Table:
    """Return the maps of a network that `kernelatlas.training.network.train` wrote, on its crops.

    Raises
    ------
    KernelAtlasError
        If the file holds no such network.
    """
    try:
        recipe = read_metadata(path)["recipe"]
        side = recipe["data"]["size"]
    except KeyError as error:
        raise KernelAtlasError(
            f"{path}: no {error} in its metadata: take one that the rule `network` made"
        ) from error
    with META:
        model = architectures.from_recipe(recipe)
    return with_expected(layer_maps(model, (3, side, side)))
