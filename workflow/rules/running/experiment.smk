import shlex
import time

from kernelatlas.running.slurm import errors_in, refuse_orphans
from kernelatlas.running.together import lead
from kernelatlas.running.upgrade import outdated
from kernelatlas.sources.experiment import Experiment
from kernelatlas.sources.extract import left_out

# As profiles/slurm says.
SLURM_LOGS = ".snakemake/slurm_logs"
# The folder of the results, also where a module statement gives <results> or a prefix.
RESULTS = str(Path(rules.unmeasured_job.log[0]).parents[1])

try:
    refuse_folder(RESULTS, ROOT)
    EXPERIMENT = Experiment.load(
        config["zoo"],
        config["dynamics"],
        every_tag=config["tags"] == "all",
        kernels=f"{RESULTS}/kernels",
        root=ROOT,
    )
except KernelAtlasError as error:
    stop(error)


if old := outdated(RESULTS):
    logger.warning(old)

STARTED = time.time()


def left_out_now():
    """Why networks were left out, by name."""
    return left_out(f"{RESULTS}/kernels", EXPERIMENT.names)


def tell_left_out():
    """Name the networks that are in no result, at the end of a run."""
    if found := left_out_now():
        for name, reason in found.items():
            logger.warning(f"WARNING left out: {reason}")
        logger.warning(f"WARNING {RETRY.format(tables_of(found))}")


def tables_of(models):
    """The kernel tables of networks, for a command line."""
    return shlex.join(f"{RESULTS}/kernels/{name}.parquet" for name in models)


RETRY = "to read networks again that were left out: rm {}"
if config["missing"] == "stop" and (found := left_out_now()):
    stop(
        f"{', '.join(found)}: left out by an earlier run with `missing: skip`; "
        + RETRY.format(tables_of(found))
    )


# By then Snakemake holds the lock of the folder, and has submitted nothing.
onstart:
    try:
        refuse_orphans(
            os.getcwd(), required=workflow.executor_plugin.name == "slurm"
        )
    except KernelAtlasError as error:
        stop(error)
    # With a limit of jobs a second, which is 100 where none is given, Snakemake looks for jobs again
    # a second after each look: after hundreds of jobs it does little else.
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None
    # A cluster ends its jobs itself.
    if workflow.executor_plugin.common_settings.local_exec:
        lead()


# Each once more: they may be many lines above.
onerror:
    tell_left_out()
    for line in errors_in([f"{RESULTS}/logs", SLURM_LOGS], STARTED):
        logger.error(line)


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
