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
        code=fingerprint("sources/untrained"),
        architecture=lambda wildcards: model_of(wildcards).init,
        arguments=lambda wildcards: sorted(
            map(list, model_of(wildcards).arguments.items())
        ),
        seed=lambda wildcards: model_of(wildcards).seed,
    message:
        "Initialising {wildcards.model}"
    script:
        "../scripts/sources/untrained.py"


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
        code=fingerprint("sources/lock"),
    message:
        "Locking the commits of the models in {output}"
    script:
        "../scripts/sources/lock.py"
