rule clusters:
    input:
        corpus="results/corpora/k{k}.parquet",
        autoencoders=expand(
            "results/autoencoders/k{{k}}_seed{seed}.safetensors", seed=config["seeds"]
        ),
    output:
        "results/clusters/k{k}.parquet",
    log:
        "results/logs/clusters/k{k}.log",
    benchmark:
        "results/benchmarks/clusters/k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(600, 8),
        runtime=minutes(2, 0.01),
    params:
        code=fingerprint("clusters"),
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Gathering the shapes of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/clusters.py"
