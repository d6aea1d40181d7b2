rule tables_models:
    input:
        expand("results/labels/{model}.parquet", model=MODELS),
    output:
        models="results/tables/models.parquet",
        models_csv="results/tables/models.csv",
        composition="results/tables/composition.parquet",
        composition_csv="results/tables/composition.csv",
    log:
        "results/logs/tables/models.log",
    benchmark:
        "results/benchmarks/tables/models.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(
            900, 4, of=expand("results/kernels/{model}.parquet", model=MODELS)
        ),
        runtime=minutes(2, 0.05),
    params:
        code=fingerprint("tables_models"),
        models=describe(MODELS),
        thresholds=config["thresholds"],
    message:
        "Counting labels by model and layer"
    script:
        "../scripts/tables_models.py"


rule tables_family:
    input:
        clusters=of_family("results/clusters/k{k}.parquet"),
        kernels=of_family("results/kernels/{model}.parquet"),
        labels=of_family("results/labels/{model}.parquet"),
    output:
        clusters="results/tables/{family}_clusters.parquet",
        clusters_csv="results/tables/{family}_clusters.csv",
        members="results/tables/{family}_members.parquet",
        members_csv="results/tables/{family}_members.csv",
    log:
        "results/logs/tables/{family}.log",
    benchmark:
        "results/benchmarks/tables/{family}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1100, 7),
        runtime=minutes(2, 0.02),
    params:
        code=fingerprint("tables_family"),
        models=lambda wildcards: describe(models_of(wildcards.family)),
    message:
        "Clusters and members of the family {wildcards.family}"
    script:
        "../scripts/tables_family.py"


rule tables_spectrum:
    input:
        autoencoder=f"results/autoencoders/k{{k}}_seed{FIRST_SEED}.safetensors",
        corpus="results/corpora/k{k}.parquet",
    output:
        parquet="results/tables/spectrum_k{k}.parquet",
        csv="results/tables/spectrum_k{k}.csv",
    log:
        "results/logs/tables/spectrum_k{k}.log",
    benchmark:
        "results/benchmarks/tables/spectrum_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1300, 8),
        runtime=minutes(2, 0.01),
    params:
        code=fingerprint("tables_spectrum"),
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "The decoded curve of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables_spectrum.py"


rule tables_pca:
    input:
        corpus="results/corpora/k{k}.parquet",
        labels=expand("results/labels/{model}.parquet", model=TRAINED),
    output:
        scores="results/tables/pca_k{k}.parquet",
        scores_csv="results/tables/pca_k{k}.csv",
        components="results/tables/pca_components_k{k}.parquet",
        components_csv="results/tables/pca_components_k{k}.csv",
    log:
        "results/logs/tables/pca_k{k}.log",
    benchmark:
        "results/benchmarks/tables/pca_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(800, 7),
        runtime=minutes(2, 0.01),
    params:
        code=fingerprint("tables_pca"),
    message:
        "Principal components of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables_pca.py"


rule tables_weightsum:
    input:
        kernels=expand("results/kernels/{model}.parquet", model=TRAINED),
        labels=expand("results/labels/{model}.parquet", model=TRAINED),
    output:
        parquet="results/tables/weightsum_k{k}.parquet",
        csv="results/tables/weightsum_k{k}.csv",
    log:
        "results/logs/tables/weightsum_k{k}.log",
    benchmark:
        "results/benchmarks/tables/weightsum_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(400, 1),
        runtime=minutes(2, 0.01),
    params:
        code=fingerprint("tables_weightsum"),
    message:
        "Sums of weights of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables_weightsum.py"


rule tables_training:
    input:
        expand(
            "results/autoencoders/k{{k}}_seed{seed}_history.parquet",
            seed=config["seeds"],
        ),
    output:
        parquet="results/tables/training_k{k}.parquet",
        csv="results/tables/training_k{k}.csv",
    log:
        "results/logs/tables/training_k{k}.log",
    benchmark:
        "results/benchmarks/tables/training_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        code=fingerprint("tables_training"),
        seeds=config["seeds"],
    message:
        "Training curves of the {wildcards.k}x{wildcards.k} autoencoders"
    script:
        "../scripts/tables_training.py"
