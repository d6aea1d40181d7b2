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
        code=fingerprint("evidence/fits"),
        sizes=lambda wildcards: fitted_sizes([wildcards.model]),
    message:
        "Fitting analytic functions to the kernels of {wildcards.model}"
    script:
        "../scripts/evidence/fits.py"


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
        code=fingerprint("evidence/nulls"),
        minimum_cosine=config["clusters"]["minimum_cosine"],
        sample=config["evidence"]["sample"],
    message:
        "Looking at {wildcards.k}x{wildcards.k} kernels without structure"
    script:
        "../scripts/evidence/nulls.py"


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
        code=fingerprint("evidence/masterkeys"),
        codes=config["evidence"]["codes"],
        n_keys=config["evidence"]["keys"],
        sample=config["evidence"]["sample"],
        seed=FIRST_SEED,
    message:
        "Searching for master keys of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/evidence/masterkeys.py"


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
        code=fingerprint("evidence/replacements"),
    message:
        "Testing {wildcards.model} with its kernels replaced"
    script:
        "../scripts/evidence/replacements.py"
