from kernelatlas.kernels.sizes import counted
from kernelatlas.running.zoos import refuse_another_zoo


def of_this_zoo():
    """The models, families and, once they are counted, sizes that results may be of."""
    models, sizes = counted(f"{RESULTS}/tables/sizes.parquet")
    # Checkpoints of trainings, also while the config has none.
    checkpoints_of_trainings, _ = counted(f"{RESULTS}/tables/dynamics_sizes.parquet")
    known = {
        "model": {*EXPERIMENT.names, *checkpoints_of_trainings},
        "family": FAMILIES,
    }
    return {**known, "k": set(map(str, sizes))} if models == set(MODELS) else known


def of_another_zoo():
    """A warning about results that are not of this zoo, None if there are none."""
    return refuse_another_zoo(
        RESULTS,
        TARGETS.left_over(of_this_zoo()),
        config["zoo"],
        ".snakemake/kernelatlas/zoos.json",
    )


# All rules are read.
FINGERPRINTS.remember()


# Snakemake itself would only say that no rule makes the file.
try:
    TARGETS.refuse_unknown(
        sys.argv[1:],
        {"family": FAMILIES, "model": EXPERIMENT.names},
        config["zoo"],
    )
    if left_over := of_another_zoo():
        logger.warning(left_over)
except KernelAtlasError as error:
    stop(error)


# The line above is far up by now, and the kernel sizes may have become known.
onsuccess:
    refuse_other_sizes()
    tell_left_out()
    if left_over := of_another_zoo():
        logger.warning(left_over)
