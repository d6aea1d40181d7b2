rule autoencoder:
    input:
        "results/corpora/k{k}.parquet",
    output:
        weights="results/autoencoders/k{k}_seed{seed}.safetensors",
        history="results/autoencoders/k{k}_seed{seed}_history.parquet",
    log:
        "results/logs/autoencoders/k{k}_seed{seed}.log",
    benchmark:
        "results/benchmarks/autoencoders/k{k}_seed{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1300, 8),
        runtime=minutes(10, 0.01),
        gpu=GPU,
    params:
        code=fingerprint("autoencoder"),
        seed=lambda wildcards: int(wildcards.seed),
        device=config["device"],
        settings=config["autoencoder"],
    message:
        "Training the autoencoder of {wildcards.k}x{wildcards.k} kernels, seed {wildcards.seed}"
    script:
        "../scripts/autoencoder.py"


cacheable("autoencoder")
