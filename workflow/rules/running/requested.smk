# All rules are read.
FINGERPRINTS.remember()


# Snakemake itself would only say that no rule makes the file.
try:
    TARGETS.refuse_unknown(
        sys.argv[1:],
        {"family": FAMILIES, "model": EXPERIMENT.names},
        config["zoo"],
    )
except KernelAtlasError as error:
    stop(error)
