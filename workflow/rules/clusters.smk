rule clusters:
    input:
        corpus="results/corpora/k{k}.parquet",
        autoencoder="results/autoencoders/k{k}_seed{seed}.safetensors",
    output:
        "results/clusters/k{k}_seed{seed}.parquet",
    log:
        "results/logs/clusters/k{k}_seed{seed}.log",
    benchmark:
        "results/benchmarks/clusters/k{k}_seed{seed}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1300, 8),
        runtime=minutes(2, 0.01),
    params:
        code=fingerprint("clusters"),
        price=config["clusters"]["price"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Cutting the curve of {wildcards.k}x{wildcards.k} kernels, seed {wildcards.seed}"
    script:
        "../scripts/clusters.py"
