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
        code=fingerprint("corpus"),
        minimum=config["minimum_kernels"],
    message:
        "Gathering the {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/corpus.py"
