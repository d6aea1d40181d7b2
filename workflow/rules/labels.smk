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
        code=fingerprint("labels"),
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
        seeds=config["seeds"],
    message:
        "Labelling the kernels of {wildcards.model}"
    script:
        "../scripts/labels.py"
