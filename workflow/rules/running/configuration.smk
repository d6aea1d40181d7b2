import json
import os
import re
import sys
import time
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
from kernelatlas.running.upgrade import outdated
from kernelatlas.running.slurm import errors_in, refuse_orphans
from kernelatlas.sources.experiment import Experiment
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
    EXPERIMENT = Experiment.load(
        config["zoo"], config["dynamics"], every_tag=config["tags"] == "all"
    )
    refuse_missing("images", config["images"])
    refuse_unwritable("results")
except KernelAtlasError as error:
    stop(error)


if old := outdated("results"):
    logger.warning(old)

STARTED = time.time()


# By then Snakemake holds the lock of the folder, and has submitted nothing.
onstart:
    try:
        refuse_orphans(
            os.getcwd(), required=workflow.executor_plugin.name == "slurm"
        )
    except KernelAtlasError as error:
        stop(error)


# Jobs on this machine have already printed their errors.
onerror:
    if not workflow.executor_plugin.common_settings.local_exec:
        for line in errors_in("results/logs", STARTED):
            logger.error(line)


if config["container"]:

    container: config["container"]


MODELS, DYNAMICS = list(EXPERIMENT.zoo), list(EXPERIMENT.dynamics)
FAMILIES, TRAINED = EXPERIMENT.families, EXPERIMENT.trained
FIRST_SEED = config["seeds"][0]
FROZEN = ("learned", "keys", "random")  # variants of the trainings of `frozen`
# Whether checkpoints are read in jobs of their own, or where Snakemake runs.
NODES_EXTRACT = config["extract_on"] == "nodes"


wildcard_constraints:
    model="|".join(map(re.escape, EXPERIMENT.names)),
    family="|".join(map(re.escape, FAMILIES)),
    network=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    k=r"[1-9][0-9]*",
    seed=r"[0-9]+",
    variant="|".join(FROZEN),
