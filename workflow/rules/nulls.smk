rule nulls:
    input:
        kernels=expand("results/kernels/{model}.parquet", model=TRAINED),
        autoencoders=expand(
            "results/autoencoders/k{{k}}_seed{seed}.safetensors", seed=config["seeds"]
        ),
    output:
        "results/nulls/k{k}.parquet",
    log:
        "results/logs/nulls/k{k}.log",
    benchmark:
        "results/benchmarks/nulls/k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1500, 8),
        runtime=minutes(10, 0.01),
    params:
        code=fingerprint("nulls"),
        minimum_cosine=config["clusters"]["minimum_cosine"],
        sample=config["evidence"]["sample"],
    message:
        "Looking at {wildcards.k}x{wildcards.k} kernels without structure"
    script:
        "../scripts/nulls.py"


rule tables_nulls:
    input:
        labels=expand("results/labels/{model}.parquet", model=MODELS),
        fits=expand("results/fits/{model}.parquet", model=MODELS),
        nulls="results/nulls/k{k}.parquet",
    output:
        shares="results/tables/nulls_k{k}.parquet",
        shares_csv="results/tables/nulls_k{k}.csv",
        curves="results/tables/null_curves_k{k}.parquet",
        curves_csv="results/tables/null_curves_k{k}.csv",
    log:
        "results/logs/tables/nulls_k{k}.log",
    benchmark:
        "results/benchmarks/tables/nulls_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(900, 10),
        runtime=minutes(5, 0.05),
    params:
        code=fingerprint("tables_nulls"),
        models=describe(MODELS),
        k=lambda wildcards: int(wildcards.k),
        thresholds=config["thresholds"],
        r2=config["evidence"]["r2"],
        rate=config["evidence"]["false_positives"],
        resamples=config["evidence"]["resamples"],
    message:
        "Comparing {wildcards.k}x{wildcards.k} kernels with chance"
    script:
        "../scripts/tables_nulls.py"


rule figure_nulls:
    input:
        shares="results/tables/nulls_k{k}.parquet",
        curves="results/tables/null_curves_k{k}.parquet",
    output:
        pdf="results/figures/nulls_k{k}.pdf",
        png=report(
            "results/figures/nulls_k{k}.png",
            caption="../report/nulls.rst",
            category="Evidence",
            labels={"size": "{k}", "figure": "nulls"},
        ),
    log:
        "results/logs/figures/nulls_k{k}.log",
    benchmark:
        "results/benchmarks/figures/nulls_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_nulls"),
        k=lambda wildcards: int(wildcards.k),
        rate=config["evidence"]["false_positives"],
    message:
        "Drawing {wildcards.k}x{wildcards.k} kernels beside chance"
    script:
        "../scripts/figure_nulls.py"
