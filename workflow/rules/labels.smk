rule labels:
    input:
        kernels="results/kernels/{model}.parquet",
        autoencoders=of_model("results/autoencoders/k{k}_seed{seed}.safetensors"),
        clusters=of_model("results/clusters/k{k}_seed{seed}.parquet"),
    output:
        "results/labels/{model}.parquet",
    log:
        "results/logs/labels/{model}.log",
    benchmark:
        "results/benchmarks/labels/{model}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=fingerprint("labels"),
        thresholds=config["thresholds"],
    message:
        "Labelling the kernels of {wildcards.model}"
    script:
        "../scripts/labels.py"
