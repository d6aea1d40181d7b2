"""Depthwise convolution kernels of trained networks: extraction, codes, clusters, figures.

For kernels of one's own:

load_release(path)
    Open a release, a folder that `snakemake release` made (`classification.load_release`).
classify(weights, release)
    Labels and analytic fits of an array, a state dict or a checkpoint
    (`classification.classify`).
Release
    What `load_release` returns.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Release", "classify", "load_release"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # only then: extraction does without torch and pandas
        from kernelatlas.release import classification

        return getattr(classification, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
