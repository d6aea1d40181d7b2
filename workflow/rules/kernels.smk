rule untrained:
    input:
        recipe=lambda wildcards: recipe_of(model_of(wildcards).recipe),
    output:
        "results/untrained/{model}.safetensors",
    log:
        "results/logs/untrained/{model}.log",
    benchmark:
        "results/benchmarks/untrained/{model}.tsv"
    group:
        "kernels" if NODES_EXTRACT else None
    localrule: not NODES_EXTRACT
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    params:
        code=fingerprint("untrained"),
        architecture=lambda wildcards: model_of(wildcards).init,
        arguments=lambda wildcards: sorted(
            map(list, model_of(wildcards).arguments.items())
        ),
        seed=lambda wildcards: model_of(wildcards).seed,
    message:
        "Initialising {wildcards.model}"
    script:
        "../scripts/untrained.py"


rule kernels:
    input:
        checkpoint_of,
    output:
        "results/kernels/{model}.parquet",
    log:
        "results/logs/kernels/{model}.log",
    benchmark:
        "results/benchmarks/kernels/{model}.tsv"
    group:
        "kernels" if NODES_EXTRACT else None
    localrule: not NODES_EXTRACT
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300, 2),
        runtime=minutes(5),
        downloads=lambda wildcards: 1 if model_of(wildcards).remote else 0,
    params:
        code=fingerprint("kernels"),
        model="{model}",
        remote=lambda wildcards: json.dumps(model_of(wildcards).remote, sort_keys=True),
        architecture=lambda wildcards: model_of(wildcards).architecture,
        layers=layers_of,
    message:
        "Extracting the depthwise kernels of {wildcards.model}"
    script:
        "../scripts/kernels.py"


cacheable("kernels")


rule lock:
    input:
        expand("results/kernels/{model}.parquet", model=REMOTE),
    output:
        str(lock_of(config["zoo"])),
    log:
        "results/logs/lock.log",
    benchmark:
        "results/benchmarks/lock.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300),
        runtime=minutes(5),
    params:
        code=fingerprint("lock"),
    message:
        "Locking the commits of the models in {output}"
    script:
        "../scripts/lock.py"


checkpoint sizes:
    input:
        expand("results/kernels/{model}.parquet", model=MODELS),
    output:
        multiext("results/tables/sizes", parquet=".parquet", csv=".csv"),
    log:
        "results/logs/tables/sizes.log",
    benchmark:
        "results/benchmarks/tables/sizes.tsv"
    group:
        "kernels" if NODES_EXTRACT else None
    localrule: not NODES_EXTRACT
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300, 0.3),
        runtime=minutes(5),
    params:
        code=fingerprint("sizes"),
        models=describe(MODELS),
        kernel_sizes=config["kernel_sizes"],
        minimum=config["minimum_kernels"],
    message:
        "Counting kernels by size"
    script:
        "../scripts/sizes.py"
