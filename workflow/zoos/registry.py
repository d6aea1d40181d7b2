"""Regenerate the registry of timm's depthwise networks: `make registry`, about 10 minutes.

Writes timm.parquet (a row per pretrained tag), timm_layers.parquet (a row per depthwise
layer of an architecture) and timm.yaml (a zoo of them all), for the timm that is installed.
"""

import logging
import sys
from pathlib import Path

ZOOS = Path(__file__).parent
sys.path.insert(0, str(ZOOS.parent))

from kernelatlas.registry_build import write_registry  # noqa: E402

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_registry(ZOOS)
