use rule cacheable_job as kernels with:
    input:
        checkpoint_of,
    output:
        result("<results>/kernels/{model}.parquet", of=["all", "dynamics"]),
    pathvars:
        name="kernels/{model}",
    # Corpora and trainings, for which most else waits, begin when the last network is extracted.
    priority: 2
    group:
        submitted_with("kernels" if NODES_EXTRACT else None)
    localrule: not NODES_EXTRACT
    resources:
        mem_mb=memory(300, 2),
        runtime=minutes(5),
        downloads=lambda wildcards: 1 if model_of(wildcards).remote else 0,
    params:
        **runs("kernels/kernels"),
        model="{model}",
        remote=lambda wildcards: as_json(model_of(wildcards).remote),
        packaged=lambda wildcards: as_json(model_of(wildcards).packaged),
        architecture=lambda wildcards: model_of(wildcards).architecture,
        layers=layers_of,
        options=lambda wildcards: as_json(model_of(wildcards).options),
        sha256=digest_of_checkpoint,
    message:
        "Extracting the depthwise kernels of {wildcards.model}"


# Snakemake makes checkpoints of no other rule, so that all is said here.
checkpoint sizes:
    input:
        expand("<results>/kernels/{model}.parquet", model=MODELS),
    output:
        **tables("sizes", of=["all", "release"]),
    log:
        "<results>/logs/tables/sizes.log",
    benchmark:
        "<results>/benchmarks/tables/sizes.tsv"
    priority: 2
    group:
        submitted_with("kernels" if NODES_EXTRACT else None)
    localrule: not NODES_EXTRACT
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300, 0.3),
        runtime=minutes(5),
    params:
        **runs("kernels/sizes"),
        models=EXPERIMENT.describe(MODELS),
        kernel_sizes=config["kernel_sizes"],
        minimum=config["minimum_kernels"],
    message:
        "Counting kernels by size"
    script:
        "../scripts/{params.script}.py"


use rule job as corpus with:
    input:
        of_size("<results>/kernels/{model}.parquet", trained=True),
    output:
        result("<results>/corpora/k{k}.parquet", of="all"),
    pathvars:
        name="corpora/k{k}",
    priority: 2
    resources:
        mem_mb=memory(500, 4),
        runtime=minutes(2, 0.01),
    params:
        **runs("kernels/corpus"),
    message:
        "Gathering the {wildcards.k}x{wildcards.k} kernels"
