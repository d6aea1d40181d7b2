import gc
import json
import os
import re
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path

from snakemake.logging import logger

# The workflow's own folder, also where it is a module of another or included there.
ROOT = Path(os.fspath(workflow.current_basedir)).parents[2]
WORKFLOW = ROOT / "workflow"
ENVIRONMENT = str(ROOT / "envs" / "environment.yaml")

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
# Planning makes millions of objects that stay: looking for garbage among them every 700 objects,
# as Python does, takes a sixth of its time.
gc.set_threshold(100_000, 50, 100)

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.configuration import (
    refuse_folder,
    refuse_missing,
    refuse_paths,
    settings,
)
from kernelatlas.sources.zoo import lock_of


def stop(message):
    """End Snakemake with one line instead of a traceback."""
    logger.error(f"ERROR {message}")
    raise SystemExit(1)


# Not by `configfile:`, with which Snakemake would look for the defaults in the working folder, and
# read 7 and "7" as two keys.
try:
    refuse_paths(ROOT, sys.executable)
    ALONE = os.path.samefile(workflow.basedir, ROOT)
    config.update(settings(config, workflow.overwrite_configfiles, ROOT, ALONE))
    refuse_missing("images", config["images"])
except KernelAtlasError as error:
    stop(error)


pathvars:
    results=config["results"],


if config["container"]:

    container: config["container"]
