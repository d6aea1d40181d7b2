# A name that is not in the zoo is told as such; Snakemake would know of no rule.
try:
    TARGETS.refuse_unknown(
        sys.argv[1:],
        {"family": FAMILIES, "model": EXPERIMENT.names},
        config["zoo"],
    )
except KernelAtlasError as error:
    stop(error)
