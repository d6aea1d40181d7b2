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
        code=fingerprint("clustering/autoencoder"),
        seed=lambda wildcards: int(wildcards.seed),
        device=config["device"],
        settings=config["autoencoder"],
    message:
        "Training the autoencoder of {wildcards.k}x{wildcards.k} kernels, seed {wildcards.seed}"
    script:
        "../scripts/clustering/autoencoder.py"


cacheable("autoencoder")


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
        code=fingerprint("clustering/clusters"),
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Gathering the shapes of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/clustering/clusters.py"


rule labels:
    input:
        kernels="results/kernels/{model}.parquet",
        autoencoders=of_model("results/autoencoders/k{k}_seed{seed}.safetensors"),
        clusters=of_model("results/clusters/k{k}.parquet"),
    output:
        "results/labels/{model}.parquet",
    log:
        "results/logs/labels/{model}.log",
    benchmark:
        "results/benchmarks/labels/{model}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1200, 65),
        runtime=minutes(1, 0.02),
    params:
        code=fingerprint("clustering/labels"),
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
        seeds=config["seeds"],
    message:
        "Labelling the kernels of {wildcards.model}"
    script:
        "../scripts/clustering/labels.py"
