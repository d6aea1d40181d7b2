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
        code=fingerprint("kernels/kernels"),
        model="{model}",
        remote=lambda wildcards: json.dumps(model_of(wildcards).remote, sort_keys=True),
        architecture=lambda wildcards: model_of(wildcards).architecture,
        layers=layers_of,
    message:
        "Extracting the depthwise kernels of {wildcards.model}"
    script:
        "../scripts/kernels/kernels.py"


cacheable("kernels")


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
        code=fingerprint("kernels/sizes"),
        models=describe(MODELS),
        kernel_sizes=config["kernel_sizes"],
        minimum=config["minimum_kernels"],
    message:
        "Counting kernels by size"
    script:
        "../scripts/kernels/sizes.py"


rule corpus:
    input:
        expand("results/kernels/{model}.parquet", model=TRAINED),
    output:
        "results/corpora/k{k}.parquet",
    log:
        "results/logs/corpora/k{k}.log",
    benchmark:
        "results/benchmarks/corpora/k{k}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500, 7),
        runtime=minutes(2, 0.01),
    params:
        code=fingerprint("kernels/corpus"),
        minimum=config["minimum_kernels"],
    message:
        "Gathering the {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/kernels/corpus.py"
