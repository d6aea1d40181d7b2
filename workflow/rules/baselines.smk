rule tables_baselines:
    input:
        corpus="results/corpora/k{k}.parquet",
        autoencoders=expand(
            "results/autoencoders/k{{k}}_seed{seed}.safetensors", seed=config["seeds"]
        ),
    output:
        baselines="results/tables/baselines_k{k}.parquet",
        baselines_csv="results/tables/baselines_k{k}.csv",
        agreement="results/tables/agreement_k{k}.parquet",
        agreement_csv="results/tables/agreement_k{k}.csv",
        prototypes="results/tables/baseline_prototypes_k{k}.parquet",
        prototypes_csv="results/tables/baseline_prototypes_k{k}.csv",
    log:
        "results/logs/tables/baselines_k{k}.log",
    benchmark:
        "results/benchmarks/tables/baselines_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1500, 8),
        runtime=minutes(60),
    params:
        code=fingerprint("tables_baselines"),
        seeds=config["seeds"],
        sample=config["evidence"]["sample"],
        settings=config["autoencoder"],
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Other methods on {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables_baselines.py"


rule figure_baselines:
    input:
        baselines="results/tables/baselines_k{k}.parquet",
        agreement="results/tables/agreement_k{k}.parquet",
        prototypes="results/tables/baseline_prototypes_k{k}.parquet",
    output:
        pdf="results/figures/baselines_k{k}.pdf",
        png=report(
            "results/figures/baselines_k{k}.png",
            caption="../report/baselines.rst",
            category="Kernel sizes",
            labels={"size": "{k}", "figure": "baselines"},
        ),
    log:
        "results/logs/figures/baselines_k{k}.log",
    benchmark:
        "results/benchmarks/figures/baselines_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_baselines"),
    message:
        "Drawing the baselines of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figure_baselines.py"
