rule figure_family_clusters:
    input:
        clusters=of_family("results/clusters/k{k}.parquet"),
        shares="results/tables/{family}_clusters.parquet",
        members="results/tables/{family}_members.parquet",
        models="results/tables/models.parquet",
    output:
        pdf="results/figures/{family}_clusters.pdf",
        png=report(
            "results/figures/{family}_clusters.png",
            caption="../report/family_clusters.rst",
            category="Families",
            labels={"family": "{family}", "figure": "clusters"},
        ),
    log:
        "results/logs/figures/{family}_clusters.log",
    benchmark:
        "results/benchmarks/figures/{family}_clusters.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(lambda wildcards: 400 + 20 * len(models_of(wildcards.family))),
        runtime=minutes(5),
    params:
        code=fingerprint("figure_family_clusters"),
        seeds=config["seeds"],
    message:
        "Drawing the clusters of the family {wildcards.family}"
    script:
        "../scripts/figure_family_clusters.py"


rule figure_family_layers:
    input:
        composition="results/tables/composition.parquet",
    output:
        pdf="results/figures/{family}_layers.pdf",
        png=report(
            "results/figures/{family}_layers.png",
            caption="../report/family_layers.rst",
            category="Families",
            labels={"family": "{family}", "figure": "layers"},
        ),
    log:
        "results/logs/figures/{family}_layers.log",
    benchmark:
        "results/benchmarks/figures/{family}_layers.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(lambda wildcards: 400 + 8 * len(models_of(wildcards.family))),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_family_layers"),
        seed=FIRST_SEED,
    message:
        "Drawing the layers of the family {wildcards.family}"
    script:
        "../scripts/figure_family_layers.py"


rule figure_models:
    input:
        models="results/tables/models.parquet",
        composition="results/tables/composition.parquet",
    output:
        pdf="results/figures/models.pdf",
        png=report(
            "results/figures/models.png",
            caption="../report/models.rst",
            category="Models",
            labels={"figure": "models"},
        ),
    log:
        "results/logs/figures/models.log",
    benchmark:
        "results/benchmarks/figures/models.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_models"),
        seed=FIRST_SEED,
    message:
        "Drawing the models"
    script:
        "../scripts/figure_models.py"


rule figure_spectrum:
    input:
        spectrum="results/tables/spectrum_k{k}.parquet",
    output:
        pdf="results/figures/spectrum_k{k}.pdf",
        png=report(
            "results/figures/spectrum_k{k}.png",
            caption="../report/spectrum.rst",
            category="Kernel sizes",
            labels={"size": "{k}", "figure": "spectrum"},
        ),
    log:
        "results/logs/figures/spectrum_k{k}.log",
    benchmark:
        "results/benchmarks/figures/spectrum_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_spectrum"),
        seed=FIRST_SEED,
    message:
        "Drawing the spectrum of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figure_spectrum.py"


rule figure_pca:
    input:
        scores="results/tables/pca_k{k}.parquet",
        components="results/tables/pca_components_k{k}.parquet",
    output:
        pdf="results/figures/pca_k{k}.pdf",
        png=report(
            "results/figures/pca_k{k}.png",
            caption="../report/pca.rst",
            category="Kernel sizes",
            labels={"size": "{k}", "figure": "principal components"},
        ),
    log:
        "results/logs/figures/pca_k{k}.log",
    benchmark:
        "results/benchmarks/figures/pca_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_pca"),
    message:
        "Drawing the principal components of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figure_pca.py"


rule figure_weightsum:
    input:
        "results/tables/weightsum_k{k}.parquet",
    output:
        pdf="results/figures/weightsum_k{k}.pdf",
        png=report(
            "results/figures/weightsum_k{k}.png",
            caption="../report/weightsum.rst",
            category="Kernel sizes",
            labels={"size": "{k}", "figure": "sums of weights"},
        ),
    log:
        "results/logs/figures/weightsum_k{k}.log",
    benchmark:
        "results/benchmarks/figures/weightsum_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_weightsum"),
    message:
        "Drawing the sums of weights of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figure_weightsum.py"


rule figure_training:
    input:
        "results/tables/training_k{k}.parquet",
    output:
        pdf="results/figures/training_k{k}.pdf",
        png=report(
            "results/figures/training_k{k}.png",
            caption="../report/training.rst",
            category="Kernel sizes",
            labels={"size": "{k}", "figure": "training"},
        ),
    log:
        "results/logs/figures/training_k{k}.log",
    benchmark:
        "results/benchmarks/figures/training_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_training"),
    message:
        "Drawing the training of the {wildcards.k}x{wildcards.k} autoencoders"
    script:
        "../scripts/figure_training.py"
