"""Fits of many kernels, some at a time."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kernelatlas.kernels.blocks import at_once
from kernelatlas.kernels.normalise import degenerate
from kernelatlas.running.progress import Progress


def in_batches(
    weights: np.ndarray,
    fit: Callable[[Tensor], pd.DataFrame],
    schema: Mapping[str, str],
    batch: int,
    device: str | torch.device,
    what: str,
) -> pd.DataFrame:
    """Fit the kernels that are not degenerate, and leave a row empty for each of the others.

    Parameters
    ----------
    weights : ndarray of shape (n, k·k)
        Raw.
    fit
        Returns a row for each of some kernels, which are on the device; MPS, which has no double
        precision, is replaced by the CPU.
    schema
        Columns and their types.
    batch
        Kernels at once, or fewer if they are large.
    what
        What is fitted, for the progress.

    Returns
    -------
    DataFrame of n rows
    """
    valid = ~degenerate(weights)
    found = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in schema.items()})
    if valid.any():
        on = torch.device("cpu" if torch.device(device).type == "mps" else device)
        kernels = torch.from_numpy(np.asarray(weights[valid], np.float32))
        blocks, parts = kernels.split(at_once(weights.shape[1], batch, on.type)), []
        with Progress(what, len(kernels), "kernels") as progress:
            for block in blocks:
                parts.append(fit(block.to(on)))
                progress.advance(len(block))
        found = pd.concat(parts, ignore_index=True)
    found = found.set_index(np.flatnonzero(valid)).reindex(range(len(weights)))
    return found.reindex(columns=list(schema)).astype(schema)
