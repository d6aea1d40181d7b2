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
        code=fingerprint("tables/tables_models"),
        models=describe(MODELS),
        thresholds=config["thresholds"],
    message:
        "Counting labels by model and layer"
    script:
        "../scripts/tables/tables_models.py"


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
        code=fingerprint("tables/tables_family"),
        models=lambda wildcards: describe(models_of(wildcards.family)),
    message:
        "Clusters and members of the family {wildcards.family}"
    script:
        "../scripts/tables/tables_family.py"


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
        code=fingerprint("tables/tables_spectrum"),
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "The decoded curve of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables/tables_spectrum.py"


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
        code=fingerprint("tables/tables_pca"),
    message:
        "Principal components of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables/tables_pca.py"


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
        code=fingerprint("tables/tables_weightsum"),
    message:
        "Sums of weights of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables/tables_weightsum.py"


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
        code=fingerprint("tables/tables_training"),
        seeds=config["seeds"],
    message:
        "Training curves of the {wildcards.k}x{wildcards.k} autoencoders"
    script:
        "../scripts/tables/tables_training.py"


rule tables_emergence:
    input:
        kernels=expand("results/kernels/{model}.parquet", model=DYNAMICS),
        labels=expand("results/labels/{model}.parquet", model=DYNAMICS),
    output:
        emergence="results/tables/emergence.parquet",
        emergence_csv="results/tables/emergence.csv",
        composition="results/tables/emergence_composition.parquet",
        composition_csv="results/tables/emergence_composition.csv",
        seeds="results/tables/seeds.parquet",
        seeds_csv="results/tables/seeds.csv",
    log:
        "results/logs/tables/emergence.log",
    benchmark:
        "results/benchmarks/tables/emergence.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1000, 7),
        runtime=minutes(2, 0.02),
    params:
        code=fingerprint("tables/tables_emergence"),
        models=describe_dynamics(),
    message:
        "Following the kernels through their trainings"
    script:
        "../scripts/tables/tables_emergence.py"


rule tables_networks:
    input:
        weights=[model.file for model in documented()],
        histories=[str(history_of(model)) for model in documented()],
    output:
        networks="results/tables/networks.parquet",
        networks_csv="results/tables/networks.csv",
        learning="results/tables/learning.parquet",
        learning_csv="results/tables/learning.csv",
    log:
        "results/logs/tables/networks.log",
    benchmark:
        "results/benchmarks/tables/networks.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500, 5),
        runtime=minutes(2),
    params:
        code=fingerprint("tables/tables_networks"),
        networks=[[m.network, m.family, m.trained_on] for m in documented()],
    message:
        "Gathering how the networks were trained and how well they do"
    script:
        "../scripts/tables/tables_networks.py"


rule tables_data:
    input:
        recipes=lambda wildcards: [
            file for recipe in recipes_by_data().values() for file in recipe_of(recipe)
        ],
    output:
        spectra="results/tables/data_spectra.parquet",
        spectra_csv="results/tables/data_spectra.csv",
        samples="results/tables/data_samples.parquet",
        samples_csv="results/tables/data_samples.csv",
    log:
        "results/logs/tables/data.log",
    benchmark:
        "results/benchmarks/tables/data.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(5),
    params:
        code=fingerprint("tables/tables_data"),
        recipes=[list(pair) for pair in recipes_by_data().items()],
    message:
        "Sampling the pictures that the networks were trained on"
    script:
        "../scripts/tables/tables_data.py"


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
        code=fingerprint("tables/tables_stability"),
        settings=config["autoencoder"],
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
        device=config["device"],
    message:
        "Comparing the labels of {wildcards.k}x{wildcards.k} kernels between seeds and networks"
    script:
        "../scripts/tables/tables_stability.py"


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
        code=fingerprint("tables/tables_fits"),
        models=describe(MODELS),
        k=lambda wildcards: int(wildcards.k),
        bound=config["evidence"]["r2"],
    message:
        "Counting the analytic functions of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables/tables_fits.py"


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
        code=fingerprint("tables/tables_nulls"),
        models=describe(MODELS),
        k=lambda wildcards: int(wildcards.k),
        thresholds=config["thresholds"],
        r2=config["evidence"]["r2"],
        rate=config["evidence"]["false_positives"],
    message:
        "Comparing {wildcards.k}x{wildcards.k} kernels with chance"
    script:
        "../scripts/tables/tables_nulls.py"


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
        code=fingerprint("tables/tables_baselines"),
        seeds=config["seeds"],
        sample=config["evidence"]["sample"],
        settings=config["autoencoder"],
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Other methods on {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables/tables_baselines.py"


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
        code=fingerprint("tables/tables_masterkeys"),
        models=describe(MODELS),
        sample=config["evidence"]["sample"],
    message:
        "What the master keys of {wildcards.k}x{wildcards.k} kernels explain"
    script:
        "../scripts/tables/tables_masterkeys.py"


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
        code=fingerprint("tables/tables_replacements"),
        models=describe(TRAINED),
    message:
        "Gathering the accuracies of networks with replaced kernels"
    script:
        "../scripts/tables/tables_replacements.py"


rule tables_distances:
    input:
        corpus="results/corpora/k{k}.parquet",
        kernels=expand("results/kernels/{model}.parquet", model=MODELS),
    output:
        parquet="results/tables/distances_k{k}.parquet",
        csv="results/tables/distances_k{k}.csv",
    log:
        "results/logs/tables/distances_k{k}.log",
    benchmark:
        "results/benchmarks/tables/distances_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(600, 7),
        runtime=minutes(5, 0.05),
    params:
        code=fingerprint("tables/tables_distances"),
        models=describe(MODELS),
    message:
        "Distances between sets of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables/tables_distances.py"


rule tables_layer_statistics:
    input:
        expand("results/kernels/{model}.parquet", model=MODELS),
    output:
        parquet="results/tables/layer_statistics.parquet",
        csv="results/tables/layer_statistics.csv",
    log:
        "results/logs/tables/layer_statistics.log",
    benchmark:
        "results/benchmarks/tables/layer_statistics.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(600, 1),
        runtime=minutes(5, 0.05),
    params:
        code=fingerprint("tables/tables_layer_statistics"),
        models=describe(MODELS),
    message:
        "Variety of the kernels of each layer"
    script:
        "../scripts/tables/tables_layer_statistics.py"


rule tables_accuracy:
    input:
        models="results/tables/models.parquet",
        weights=[model.file for model in of_known_accuracy()],
        imagenet="workflow/zoos/imagenet_top1.csv",
    output:
        accuracy="results/tables/accuracy.parquet",
        accuracy_csv="results/tables/accuracy.csv",
        correlations="results/tables/accuracy_correlations.parquet",
        correlations_csv="results/tables/accuracy_correlations.csv",
    log:
        "results/logs/tables/accuracy.log",
    benchmark:
        "results/benchmarks/tables/accuracy.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(5),
    params:
        code=fingerprint("tables/tables_accuracy"),
        networks=[model.name for model in of_known_accuracy()],
        resamples=config["evidence"]["resamples"],
    message:
        "Correlating the share identified with accuracy"
    script:
        "../scripts/tables/tables_accuracy.py"


rule tables_offsets:
    input:
        fits=expand("results/fits/{model}.parquet", model=TRAINED),
        labels=expand("results/labels/{model}.parquet", model=TRAINED),
        kernels=expand("results/kernels/{model}.parquet", model=TRAINED),
    output:
        offsets="results/tables/offsets.parquet",
        offsets_csv="results/tables/offsets.csv",
        layers="results/tables/offsets_layers.parquet",
        layers_csv="results/tables/offsets_layers.csv",
        histogram="results/tables/offsets_histogram.parquet",
        histogram_csv="results/tables/offsets_histogram.csv",
    log:
        "results/logs/tables/offsets.log",
    benchmark:
        "results/benchmarks/tables/offsets.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(700, 2),
        runtime=minutes(3, 0.02),
    params:
        code=fingerprint("tables/tables_offsets"),
        models=describe(TRAINED),
        r2=config["evidence"]["r2"],
    message:
        "Offsets of the centres of kernels"
    script:
        "../scripts/tables/tables_offsets.py"
