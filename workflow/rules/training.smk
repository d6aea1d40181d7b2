NETWORKS = sorted(path.stem for path in (WORKFLOW / "zoos" / "recipes").glob("*.yaml"))


rule zoo:
    input:
        expand("<results>/networks/{network}.safetensors", network=NETWORKS),


use rule job as network with:
    input:
        recipe=lambda wildcards: recipe_of(
            f"workflow/zoos/recipes/{wildcards.network}.yaml"
        ),
    output:
        weights="<results>/networks/{network}.safetensors",
        history="<results>/networks/{network}_history.parquet",
        trajectory=directory("<results>/networks/{network}_trajectory"),
    pathvars:
        name="networks/{network}",
    resources:
        mem_mb=memory(3500),
        runtime=minutes(240),
        gpu=GPU,
        gpu_quarters=WHOLE,
    params:
        **runs("training/network"),
    message:
        "Training the network {wildcards.network}; its progress is in {log}"


rule dynamics:
    input:
        dynamics_results,


# Snakemake makes checkpoints of no other rule, so that all is said here.
checkpoint dynamics_sizes:
    input:
        kernels=expand("<results>/kernels/{model}.parquet", model=DYNAMICS),
        sizes="<results>/tables/sizes.parquet",
    output:
        **tables("dynamics_sizes", of="dynamics"),
    log:
        "<results>/logs/tables/dynamics_sizes.log",
    benchmark:
        "<results>/benchmarks/tables/dynamics_sizes.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300, 0.3),
        runtime=minutes(5),
    params:
        **runs("training/dynamics_sizes"),
        models=EXPERIMENT.describe_dynamics(),
    message:
        "Counting the kernels of the checkpoints of trainings by size"
    script:
        "../scripts/{params.script}.py"
