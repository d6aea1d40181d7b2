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
        code=fingerprint("figures/figure_family_clusters"),
        seeds=config["seeds"],
    message:
        "Drawing the clusters of the family {wildcards.family}"
    script:
        "../scripts/figures/figure_family_clusters.py"


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
        code=fingerprint("figures/figure_family_layers"),
        seed=FIRST_SEED,
    message:
        "Drawing the layers of the family {wildcards.family}"
    script:
        "../scripts/figures/figure_family_layers.py"


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
        code=fingerprint("figures/figure_models"),
        seed=FIRST_SEED,
    message:
        "Drawing the models"
    script:
        "../scripts/figures/figure_models.py"


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
        code=fingerprint("figures/figure_spectrum"),
        seed=FIRST_SEED,
    message:
        "Drawing the spectrum of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figures/figure_spectrum.py"


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
        code=fingerprint("figures/figure_pca"),
    message:
        "Drawing the principal components of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figures/figure_pca.py"


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
        code=fingerprint("figures/figure_weightsum"),
    message:
        "Drawing the sums of weights of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figures/figure_weightsum.py"


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
        code=fingerprint("figures/figure_training"),
    message:
        "Drawing the training of the {wildcards.k}x{wildcards.k} autoencoders"
    script:
        "../scripts/figures/figure_training.py"


rule figure_emergence:
    input:
        emergence="results/tables/emergence.parquet",
        composition="results/tables/emergence_composition.parquet",
        learning="results/tables/learning.parquet" if documented() else [],
    output:
        pdf="results/figures/emergence.pdf",
        png=report(
            "results/figures/emergence.png",
            caption="../report/emergence.rst",
            category="Trainings",
            labels={"figure": "emergence"},
        ),
    log:
        "results/logs/figures/emergence.log",
    benchmark:
        "results/benchmarks/figures/emergence.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figures/figure_emergence"),
        seed=FIRST_SEED,
    message:
        "Drawing when shapes emerge"
    script:
        "../scripts/figures/figure_emergence.py"


rule figure_seeds:
    input:
        seeds="results/tables/seeds.parquet",
    output:
        pdf="results/figures/seeds.pdf",
        png=report(
            "results/figures/seeds.png",
            caption="../report/seeds.rst",
            category="Trainings",
            labels={"figure": "seeds"},
        ),
    log:
        "results/logs/figures/seeds.log",
    benchmark:
        "results/benchmarks/figures/seeds.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figures/figure_seeds"),
        seed=FIRST_SEED,
    message:
        "Drawing how networks of different seeds differ"
    script:
        "../scripts/figures/figure_seeds.py"


rule figure_data:
    input:
        seeds="results/tables/seeds.parquet",
        emergence="results/tables/emergence.parquet",
        spectra="results/tables/data_spectra.parquet" if recipes_by_data() else [],
        samples="results/tables/data_samples.parquet" if recipes_by_data() else [],
    output:
        pdf="results/figures/data.pdf",
        png=report(
            "results/figures/data.png",
            caption="../report/data.rst",
            category="Trainings",
            labels={"figure": "data"},
        ),
    log:
        "results/logs/figures/data.log",
    benchmark:
        "results/benchmarks/figures/data.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figures/figure_data"),
        seed=FIRST_SEED,
    message:
        "Drawing what the training data change"
    script:
        "../scripts/figures/figure_data.py"


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
        code=fingerprint("figures/figure_stability"),
    message:
        "Drawing how the labels of {wildcards.k}x{wildcards.k} kernels come out again"
    script:
        "../scripts/figures/figure_stability.py"


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
        code=fingerprint("figures/figure_fits"),
        bound=config["evidence"]["r2"],
    message:
        "Drawing the analytic fits of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figures/figure_fits.py"


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
        code=fingerprint("figures/figure_nulls"),
        k=lambda wildcards: int(wildcards.k),
        rate=config["evidence"]["false_positives"],
    message:
        "Drawing {wildcards.k}x{wildcards.k} kernels beside chance"
    script:
        "../scripts/figures/figure_nulls.py"


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
        code=fingerprint("figures/figure_baselines"),
    message:
        "Drawing the baselines of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figures/figure_baselines.py"


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
        code=fingerprint("figures/figure_masterkeys"),
    message:
        "Drawing the master keys of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figures/figure_masterkeys.py"


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
        code=fingerprint("figures/figure_replacements"),
    message:
        "Drawing the accuracies of networks with replaced kernels"
    script:
        "../scripts/figures/figure_replacements.py"


rule figure_distances:
    input:
        "results/tables/distances_k{k}.parquet",
    output:
        pdf="results/figures/distances_k{k}.pdf",
        png=report(
            "results/figures/distances_k{k}.png",
            caption="../report/distances.rst",
            category="Evidence",
            labels={"size": "{k}", "figure": "distances"},
        ),
    log:
        "results/logs/figures/distances_k{k}.log",
    benchmark:
        "results/benchmarks/figures/distances_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figures/figure_distances"),
    message:
        "Drawing the distances between sets of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figures/figure_distances.py"


rule figure_accuracy:
    input:
        accuracy="results/tables/accuracy.parquet",
        correlations="results/tables/accuracy_correlations.parquet",
    output:
        pdf="results/figures/accuracy.pdf",
        png=report(
            "results/figures/accuracy.png",
            caption="../report/accuracy.rst",
            category="Evidence",
            labels={"figure": "accuracy"},
        ),
    log:
        "results/logs/figures/accuracy.log",
    benchmark:
        "results/benchmarks/figures/accuracy.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figures/figure_accuracy"),
    message:
        "Drawing the share identified against accuracy"
    script:
        "../scripts/figures/figure_accuracy.py"


rule figure_offsets:
    input:
        offsets="results/tables/offsets.parquet",
        histogram="results/tables/offsets_histogram.parquet",
    output:
        pdf="results/figures/offsets.pdf",
        png=report(
            "results/figures/offsets.png",
            caption="../report/offsets.rst",
            category="Evidence",
            labels={"figure": "offsets"},
        ),
    log:
        "results/logs/figures/offsets.log",
    benchmark:
        "results/benchmarks/figures/offsets.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figures/figure_offsets"),
        r2=config["evidence"]["r2"],
    message:
        "Drawing the offsets of the centres of kernels"
    script:
        "../scripts/figures/figure_offsets.py"
