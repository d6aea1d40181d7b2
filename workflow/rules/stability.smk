# Not in a group: on a cluster it may take a GPU, as `autoencoder` does.
rule tables_stability:
    input:
        corpus="results/corpora/k{k}.parquet",
        autoencoders=expand(
            "results/autoencoders/k{{k}}_seed{seed}.safetensors", seed=config["seeds"]
        ),
    output:
        parquet="results/tables/stability_k{k}.parquet",
        csv="results/tables/stability_k{k}.csv",
    log:
        "results/logs/tables/stability_k{k}.log",
    benchmark:
        "results/benchmarks/tables/stability_k{k}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1300, 8),
        runtime=minutes(20 * len(config["seeds"]), 0.1),
        gpu=GPU,
    params:
        code=fingerprint("tables_stability"),
        settings=config["autoencoder"],
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
        device=config["device"],
    message:
        "Comparing the labels of {wildcards.k}x{wildcards.k} kernels between seeds and networks"
    script:
        "../scripts/tables_stability.py"


rule figure_stability:
    input:
        "results/tables/stability_k{k}.parquet",
    output:
        pdf="results/figures/stability_k{k}.pdf",
        png=report(
            "results/figures/stability_k{k}.png",
            caption="../report/stability.rst",
            category="Evidence",
            labels={"size": "{k}", "figure": "stability"},
        ),
    log:
        "results/logs/figures/stability_k{k}.log",
    benchmark:
        "results/benchmarks/figures/stability_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_stability"),
    message:
        "Drawing how the labels of {wildcards.k}x{wildcards.k} kernels come out again"
    script:
        "../scripts/figure_stability.py"
