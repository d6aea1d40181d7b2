RECIPES = sorted(path.stem for path in (WORKFLOW / "zoos" / "recipes").glob("*.yaml"))


rule zoo:
    input:
        expand("results/networks/{network}.safetensors", network=RECIPES),


rule network:
    input:
        recipe=lambda wildcards: recipe_of(
            f"workflow/zoos/recipes/{wildcards.network}.yaml"
        ),
    output:
        weights="results/networks/{network}.safetensors",
        history="results/networks/{network}_history.parquet",
        trajectory=directory("results/networks/{network}_trajectory"),
    log:
        "results/logs/networks/{network}.log",
    benchmark:
        "results/benchmarks/networks/{network}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(3500),
        runtime=minutes(240),
        gpu=GPU,
    params:
        code=fingerprint("training/network"),
        device=config["device"],
        # Not an output: it outlives a job that was killed.
        resume="results/networks/{network}.resume",
    message:
        "Training the network {wildcards.network}; its progress is told in {log}"
    script:
        "../scripts/training/network.py"


rule dynamics:
    input:
        dynamics_results,


checkpoint dynamics_sizes:
    input:
        kernels=expand("results/kernels/{model}.parquet", model=DYNAMICS),
        sizes="results/tables/sizes.parquet",
    output:
        multiext("results/tables/dynamics_sizes", parquet=".parquet", csv=".csv"),
    log:
        "results/logs/tables/dynamics_sizes.log",
    benchmark:
        "results/benchmarks/tables/dynamics_sizes.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300, 0.3),
        runtime=minutes(5),
    params:
        code=fingerprint("training/dynamics_sizes"),
        models=describe_dynamics(),
    message:
        "Counting the kernels of the states of trainings by size"
    script:
        "../scripts/training/dynamics_sizes.py"
