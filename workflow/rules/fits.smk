rule evidence:
    input:
        evidence_results,


rule fits:
    input:
        kernels_to_fit,
    output:
        "results/fits/{model}.parquet",
    log:
        "results/logs/fits/{model}.log",
    benchmark:
        "results/benchmarks/fits/{model}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1200, 10),
        runtime=minutes(2, 1),
    params:
        code=fingerprint("fits"),
        sizes=lambda wildcards: fitted_sizes([wildcards.model]),
    message:
        "Fitting analytic functions to the kernels of {wildcards.model}"
    script:
        "../scripts/fits.py"


rule tables_fits:
    input:
        labels=expand("results/labels/{model}.parquet", model=MODELS),
        fits=expand("results/fits/{model}.parquet", model=MODELS),
        clusters="results/clusters/k{k}.parquet",
    output:
        functions="results/tables/functions_k{k}.parquet",
        functions_csv="results/tables/functions_k{k}.csv",
        prototypes="results/tables/prototype_fits_k{k}.parquet",
        prototypes_csv="results/tables/prototype_fits_k{k}.csv",
    log:
        "results/logs/tables/fits_k{k}.log",
    benchmark:
        "results/benchmarks/tables/fits_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1200, 10),
        runtime=minutes(2, 0.05),
    params:
        code=fingerprint("tables_fits"),
        models=describe(MODELS),
        k=lambda wildcards: int(wildcards.k),
        bound=config["evidence"]["r2"],
    message:
        "Counting the analytic functions of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables_fits.py"


rule figure_fits:
    input:
        functions="results/tables/functions_k{k}.parquet",
        prototypes="results/tables/prototype_fits_k{k}.parquet",
    output:
        pdf="results/figures/fits_k{k}.pdf",
        png=report(
            "results/figures/fits_k{k}.png",
            caption="../report/fits.rst",
            category="Evidence",
            labels={"size": "{k}", "figure": "analytic fits"},
        ),
    log:
        "results/logs/figures/fits_k{k}.log",
    benchmark:
        "results/benchmarks/figures/fits_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_fits"),
        bound=config["evidence"]["r2"],
    message:
        "Drawing the analytic fits of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figure_fits.py"
