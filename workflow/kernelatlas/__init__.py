"""Depthwise convolution kernels of trained networks: extraction, codes, clusters, figures.

To classify the kernels of other networks (`kernelatlas.release.classification`):

load_release(path)
    Open a release: a folder that `snakemake release` made.
classify(weights, release)
    Return labels and analytic fits of an array, a state dict or a checkpoint.
Release
    The class that `load_release` returns.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Release", "classify", "load_release"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # not before: extraction must not import torch and pandas
        from kernelatlas.release import classification

        return getattr(classification, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
