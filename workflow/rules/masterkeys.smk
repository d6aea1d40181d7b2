rule masterkeys:
    input:
        corpus="results/corpora/k{k}.parquet",
        autoencoder=f"results/autoencoders/k{{k}}_seed{FIRST_SEED}.safetensors",
        kernels=expand("results/kernels/{model}.parquet", model=TRAINED),
    output:
        safetensors="results/masterkeys/k{k}.safetensors",
        table="results/tables/masterkeys_k{k}.parquet",
        table_csv="results/tables/masterkeys_k{k}.csv",
    log:
        "results/logs/masterkeys/k{k}.log",
    benchmark:
        "results/benchmarks/masterkeys/k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1300, 8),
        runtime=minutes(2, 0.02),
    params:
        code=fingerprint("masterkeys"),
        codes=config["evidence"]["codes"],
        n_keys=config["evidence"]["keys"],
        sample=config["evidence"]["sample"],
        seed=FIRST_SEED,
    message:
        "Searching for master keys of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/masterkeys.py"


rule tables_masterkeys:
    input:
        safetensors="results/masterkeys/k{k}.safetensors",
        corpus="results/corpora/k{k}.parquet",
        clusters="results/clusters/k{k}.parquet",
        trained=expand("results/kernels/{model}.parquet", model=TRAINED),
        kernels=expand("results/kernels/{model}.parquet", model=MODELS),
    output:
        filters="results/tables/masterkeys_filters_k{k}.parquet",
        filters_csv="results/tables/masterkeys_filters_k{k}.csv",
        models="results/tables/masterkeys_models_k{k}.parquet",
        models_csv="results/tables/masterkeys_models_k{k}.csv",
    log:
        "results/logs/tables/masterkeys_k{k}.log",
    benchmark:
        "results/benchmarks/tables/masterkeys_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1000, 8),
        runtime=minutes(2, 0.02),
    params:
        code=fingerprint("tables_masterkeys"),
        models=describe(MODELS),
        sample=config["evidence"]["sample"],
    message:
        "What the master keys of {wildcards.k}x{wildcards.k} kernels explain"
    script:
        "../scripts/tables_masterkeys.py"


rule figure_masterkeys:
    input:
        search="results/tables/masterkeys_k{k}.parquet",
        filters="results/tables/masterkeys_filters_k{k}.parquet",
        models="results/tables/masterkeys_models_k{k}.parquet",
    output:
        pdf="results/figures/masterkeys_k{k}.pdf",
        png=report(
            "results/figures/masterkeys_k{k}.png",
            caption="../report/masterkeys.rst",
            category="Kernel sizes",
            labels={"size": "{k}", "figure": "master keys"},
        ),
    log:
        "results/logs/figures/masterkeys_k{k}.log",
    benchmark:
        "results/benchmarks/figures/masterkeys_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(5),
    params:
        code=fingerprint("figure_masterkeys"),
    message:
        "Drawing the master keys of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figure_masterkeys.py"


rule replacements:
    input:
        network=lambda wildcards: model_of(wildcards).file,
        masterkeys=of_model("results/masterkeys/k{k}.safetensors"),
        clusters=of_model("results/clusters/k{k}.parquet"),
        fits="results/fits/{model}.parquet",
    output:
        "results/replacements/{model}.parquet",
    log:
        "results/logs/replacements/{model}.log",
    benchmark:
        "results/benchmarks/replacements/{model}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        code=fingerprint("replacements"),
    message:
        "Testing {wildcards.model} with its kernels replaced"
    script:
        "../scripts/replacements.py"


rule tables_replacements:
    input:
        lambda wildcards: expand(
            "results/replacements/{model}.parquet", model=evaluated()
        ),
    output:
        parquet="results/tables/replacements.parquet",
        csv="results/tables/replacements.csv",
    log:
        "results/logs/tables/replacements.log",
    benchmark:
        "results/benchmarks/tables/replacements.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        code=fingerprint("tables_replacements"),
        models=describe(TRAINED),
    message:
        "Gathering the accuracies of networks with replaced kernels"
    script:
        "../scripts/tables_replacements.py"


rule figure_replacements:
    input:
        "results/tables/replacements.parquet",
    output:
        pdf="results/figures/replacements.pdf",
        png=report(
            "results/figures/replacements.png",
            caption="../report/replacements.rst",
            category="Models",
            labels={"figure": "kernels replaced"},
        ),
    log:
        "results/logs/figures/replacements.log",
    benchmark:
        "results/benchmarks/figures/replacements.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_replacements"),
    message:
        "Drawing the accuracies of networks with replaced kernels"
    script:
        "../scripts/figure_replacements.py"
