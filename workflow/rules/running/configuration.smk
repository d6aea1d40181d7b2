import json
import os
import re
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import update_config

WORKFLOW = Path(workflow.basedir) / "workflow"
ENVIRONMENT = str(Path(workflow.basedir) / "envs" / "environment.yaml")

# So that scripts find the library in every environment and on every node.
sys.path.insert(0, str(WORKFLOW))
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [str(WORKFLOW), os.getenv("PYTHONPATH")]))
)
# Bytes of freed memory that the C library keeps for the next array of a job, and the size from
# which arrays get memory of their own (mallopt(3) of Linux). By default it returns all memory at
# once, and clearing it again takes a fifth of the time of testing a network.
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(256 * 2**20))
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(32 * 2**20))

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.configuration import (
    checked,
    read,
    refuse_missing,
    refuse_unwritable,
)
from kernelatlas.sources.zoo import lock_of


def stop(message):
    """End Snakemake with one line instead of a traceback."""
    logger.error(f"ERROR {message}")
    raise SystemExit(1)


try:
    # Once more what is given: in the config, 7 and "7" are two keys.
    SETTINGS = read(config)
    update_config(SETTINGS, read(GIVEN))
    config.update(checked(SETTINGS))
    refuse_missing("images", config["images"])
except KernelAtlasError as error:
    stop(error)


pathvars:
    results=config["results"],


if config["container"]:

    container: config["container"]
