"""Read three small networks from the hub, and compare with what timm loads: `make verify-hub`.

Needs a network; moves about 60 MB, nearly all of it for timm. The caches are thrown away.
"""

import os
import sys
import tempfile
from pathlib import Path

CACHE = tempfile.TemporaryDirectory()
os.environ["HF_HUB_CACHE"] = CACHE.name  # read when huggingface_hub is imported
sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))

import numpy as np  # noqa: E402
import timm  # noqa: E402

from kernelatlas.errors import KernelAtlasError  # noqa: E402
from kernelatlas.sources.hub import read_hub  # noqa: E402
from kernelatlas.sources.registry import conform, tags  # noqa: E402

NETWORKS = (
    "convnextv2_atto.fcmae_ft_in1k",
    "mobilenetv3_small_100.lamb_in1k",
    "efficientnet_b0.ra_in1k",
)


def check(name: str) -> bool:
    """Print a line on one network; whether all its depthwise layers are timm's, bit for bit."""
    tag = tags()[name]
    found = read_hub(name, str(tag.hub))
    layers = conform(name, found.reading.layers, tag.architecture)
    theirs = timm.create_model(name, pretrained=True).state_dict()
    equal = [
        np.array_equal(layer.weights, theirs[f"{layer.name}.weight"][:, 0].numpy())
        for layer in layers
    ]
    print(
        f"{name:32} commit {str(found.origin['commit'])[:12]}  {len(layers):3} layers  "
        f"{found.reading.bytes_read / 1e6:5.2f} MB needed of {found.reading.size / 1e6:6.2f}  "
        f"{'equal to timm' if all(equal) else f'{equal.count(False)} LAYERS DIFFER'}"
    )
    return all(equal)


if __name__ == "__main__":
    try:
        passed = [check(name) for name in NETWORKS]
    except KernelAtlasError as error:
        sys.exit(f"ERROR {error}")
    sys.exit(0 if all(passed) else 1)
