use rule figure as figure_family_clusters with:
    input:
        clusters=of_family("<results>/clusters/k{k}.parquet"),
        shares="<results>/tables/{family}_clusters.parquet",
        members="<results>/tables/{family}_members.parquet",
        models="<results>/tables/{family}_by_model.parquet",
        shapes="<results>/tables/{family}_by_shape.parquet",
    output:
        **figures("{family}_clusters", "Families", "clusters", of="all"),
    pathvars:
        name="figures/{family}_clusters",
    group:
        submitted_with("results", "families")
    resources:
        mem_mb=memory(
            lambda wildcards: 400 + 20 * len(EXPERIMENT.of_family(wildcards.family))
        ),
        runtime=minutes(5),
    params:
        **draws("family_clusters"),
        family="{family}",
        seeds=config["seeds"],
    message:
        "Drawing the clusters of the family {wildcards.family}"


use rule figure as figure_family_layers with:
    input:
        composition="<results>/tables/{family}_by_label.parquet",
        layers="<results>/tables/{family}_by_layer.parquet",
    output:
        **figures("{family}_layers", "Families", "layers", of="all"),
    pathvars:
        name="figures/{family}_layers",
    group:
        submitted_with("results", "families")
    resources:
        mem_mb=memory(
            lambda wildcards: 400 + 8 * len(EXPERIMENT.of_family(wildcards.family))
        ),
        runtime=minutes(2),
    params:
        **draws("family_layers"),
        family="{family}",
    message:
        "Drawing the layers of the family {wildcards.family}"


use rule figure as figure_models with:
    input:
        models="<results>/tables/models.parquet",
        composition="<results>/tables/composition.parquet",
        left_out="<results>/tables/left_out.parquet",
    output:
        **figures("models", "Models", "models", of="all"),
    pathvars:
        name="figures/models",
    params:
        **draws("models"),
        seed=FIRST_SEED,
    message:
        "Drawing the models"


use rule figure as figure_spectrum with:
    input:
        spectrum="<results>/tables/spectrum_k{k}.parquet",
    output:
        **figures("spectrum_k{k}", "Kernel sizes", "spectrum", of="all"),
    pathvars:
        name="figures/spectrum_k{k}",
    params:
        **draws("spectrum"),
        seed=FIRST_SEED,
    message:
        "Drawing the spectrum of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_pca with:
    input:
        scores="<results>/tables/pca_k{k}.parquet",
        components="<results>/tables/pca_components_k{k}.parquet",
    output:
        **figures("pca_k{k}", "Kernel sizes", "principal components", of="all"),
    pathvars:
        name="figures/pca_k{k}",
    params:
        **draws("pca"),
    message:
        "Drawing the principal components of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_weightsum with:
    input:
        weightsum="<results>/tables/weightsum_k{k}.parquet",
    output:
        **figures("weightsum_k{k}", "Kernel sizes", "sums of weights", of="all"),
    pathvars:
        name="figures/weightsum_k{k}",
    params:
        **draws("weightsum"),
        k=size_of,
    message:
        "Drawing the sums of weights of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_training with:
    input:
        history="<results>/tables/training_k{k}.parquet",
    output:
        **figures("training_k{k}", "Kernel sizes", "training", of="all"),
    pathvars:
        name="figures/training_k{k}",
    params:
        **draws("training"),
        k=size_of,
    message:
        "Drawing the training of the {wildcards.k}x{wildcards.k} autoencoders"


use rule figure as figure_emergence with:
    input:
        emergence="<results>/tables/emergence.parquet",
        composition="<results>/tables/emergence_composition.parquet",
        learning="<results>/tables/learning.parquet" if DOCUMENTED else [],
    output:
        **figures("emergence", "Trainings", "emergence", of="dynamics"),
    pathvars:
        name="figures/emergence",
    params:
        **draws("emergence"),
        seed=FIRST_SEED,
    message:
        "Drawing the shapes at each training step"


use rule figure as figure_drift with:
    input:
        drift="<results>/tables/drift.parquet",
    output:
        **figures("drift", "Trainings", "drift", of="dynamics"),
    pathvars:
        name="figures/drift",
    params:
        **draws("drift"),
    message:
        "Drawing how far kernels are from those of the last checkpoint"


use rule figure as figure_seeds with:
    input:
        seeds="<results>/tables/seeds.parquet",
    output:
        **figures("seeds", "Trainings", "seeds", of="dynamics"),
    pathvars:
        name="figures/seeds",
    params:
        **draws("seeds"),
        seed=FIRST_SEED,
    message:
        "Drawing the shapes in networks of different seeds"


use rule figure as figure_data with:
    input:
        seeds="<results>/tables/seeds.parquet",
        emergence="<results>/tables/emergence.parquet",
        spectra="<results>/tables/data_spectra.parquet" if RECIPES_BY_DATA else [],
        samples="<results>/tables/data_samples.parquet" if RECIPES_BY_DATA else [],
    output:
        **figures("data", "Trainings", "data", of="dynamics"),
    pathvars:
        name="figures/data",
    params:
        **draws("data"),
        seed=FIRST_SEED,
    message:
        "Drawing the shapes learnt from each kind of training data"


use rule figure as figure_stability with:
    input:
        stability="<results>/tables/stability_k{k}.parquet",
    output:
        **figures("stability_k{k}", "Evidence", "stability", of="evidence"),
    pathvars:
        name="figures/stability_k{k}",
    params:
        **draws("stability"),
        k=size_of,
    message:
        "Drawing the stability of the labels of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_fits with:
    input:
        functions="<results>/tables/functions_k{k}.parquet",
        prototypes="<results>/tables/prototype_fits_k{k}.parquet",
        limits="<results>/tables/limits_k{k}.parquet",
    output:
        **figures(
            "fits_k{k}",
            "Evidence",
            "analytic fits",
            of="evidence",
            over={"k": fitted_sizes},
        ),
    pathvars:
        name="figures/fits_k{k}",
    params:
        **draws("fits"),
        r2=config["evidence"]["r2"],
    message:
        "Drawing the analytic fits of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_jet with:
    input:
        table="<results>/tables/jet_k{k}.parquet",
    output:
        **figures(
            "jet_k{k}",
            "Evidence",
            "local jets",
            of="evidence",
            over={"k": fitted_sizes},
        ),
    pathvars:
        name="figures/jet_k{k}",
    params:
        **draws("jet"),
        k=size_of,
    message:
        "Drawing the local jets of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_nulls with:
    input:
        shares="<results>/tables/nulls_k{k}.parquet",
        curves="<results>/tables/null_curves_k{k}.parquet",
    output:
        **figures(
            "nulls_k{k}", "Evidence", "nulls", of="evidence", over={"k": fitted_sizes}
        ),
    pathvars:
        name="figures/nulls_k{k}",
    params:
        **draws("nulls"),
        k=size_of,
        rate=config["evidence"]["false_positives"],
    message:
        "Drawing the shares of {wildcards.k}x{wildcards.k} kernels beside the null models"


use rule figure as figure_dissimilarities with:
    input:
        summary="<results>/tables/dissimilarities_k{k}.parquet",
        bins="<results>/tables/dissimilarity_bins_k{k}.parquet",
    output:
        **figures(
            "dissimilarities_k{k}",
            "Evidence",
            "dissimilarities",
            of="evidence",
            over={"k": fitted_sizes},
        ),
    pathvars:
        name="figures/dissimilarities_k{k}",
    params:
        **draws("dissimilarities"),
        k=size_of,
    message:
        "Drawing how dissimilar {wildcards.k}x{wildcards.k} kernels and nulls are from curves"


use rule figure as figure_thresholds with:
    input:
        table="<results>/tables/thresholds_k{k}.parquet",
    output:
        **figures(
            "thresholds_k{k}",
            "Evidence",
            "thresholds",
            of="evidence",
            over={"k": fitted_sizes},
        ),
    pathvars:
        name="figures/thresholds_k{k}",
    params:
        **draws("thresholds"),
        k=size_of,
    message:
        "Drawing the share of {wildcards.k}x{wildcards.k} kernels identified by threshold"


use rule figure as figure_baselines with:
    input:
        baselines="<results>/tables/baselines_k{k}.parquet",
        agreement="<results>/tables/agreement_k{k}.parquet",
        prototypes="<results>/tables/baseline_prototypes_k{k}.parquet",
    output:
        **figures("baselines_k{k}", "Kernel sizes", "baselines", of="evidence"),
    pathvars:
        name="figures/baselines_k{k}",
    params:
        **draws("baselines"),
    message:
        "Drawing the baselines of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_masterkeys with:
    input:
        search="<results>/tables/masterkeys_k{k}.parquet",
        filters="<results>/tables/masterkeys_filters_k{k}.parquet",
        models="<results>/tables/masterkeys_models_k{k}.parquet",
    output:
        **figures("masterkeys_k{k}", "Kernel sizes", "master keys", of="evidence"),
    pathvars:
        name="figures/masterkeys_k{k}",
    params:
        **draws("masterkeys"),
        k=size_of,
    message:
        "Drawing the master keys of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_frequencies with:
    input:
        frequencies="<results>/tables/masterkeys_frequencies_k{k}.parquet",
    output:
        **figures(
            "frequencies_k{k}", "Kernel sizes", "frequencies of filters", of="evidence"
        ),
    pathvars:
        name="figures/frequencies_k{k}",
    params:
        **draws("frequencies"),
        k=size_of,
    message:
        "Drawing which filters suit {wildcards.k}x{wildcards.k} kernels best"


use rule figure as figure_frozen with:
    input:
        accuracies="<results>/tables/frozen.parquet",
        learning="<results>/tables/frozen_learning.parquet",
    output:
        **figures("frozen", "Evidence", "frozen kernels", of="frozen"),
    pathvars:
        name="figures/frozen",
    group:
        submitted_with("tested")
    params:
        **draws("frozen"),
    message:
        "Drawing the accuracies of networks with frozen kernels"


use rule figure as figure_replacements with:
    input:
        replacements="<results>/tables/replacements.parquet",
    output:
        **figures(
            "replacements", "Models", "kernels replaced", of="evidence", when=evaluated
        ),
    pathvars:
        name="figures/replacements",
    group:
        submitted_with("tested")
    params:
        **draws("replacements"),
    message:
        "Drawing the accuracies of networks with replaced kernels"


use rule figure as figure_distances with:
    input:
        distances="<results>/tables/distances_k{k}.parquet",
    output:
        **figures("distances_k{k}", "Evidence", "distances", of="evidence"),
    pathvars:
        name="figures/distances_k{k}",
    params:
        **draws("distances"),
        k=size_of,
    message:
        "Drawing the distances between sets of {wildcards.k}x{wildcards.k} kernels"


use rule figure as figure_accuracy with:
    input:
        accuracy="<results>/tables/accuracy.parquet",
        correlations="<results>/tables/accuracy_correlations.parquet",
    output:
        **figures("accuracy", "Evidence", "accuracy", of="evidence"),
    pathvars:
        name="figures/accuracy",
    params:
        **draws("accuracy"),
    message:
        "Drawing the share identified against accuracy"


use rule figure as figure_strides with:
    input:
        layers="<results>/tables/offsets_layers.parquet",
    output:
        **figures("strides", "Evidence", "squares and strides", of="evidence"),
    pathvars:
        name="figures/strides",
    params:
        **draws("strides"),
        r2=config["evidence"]["r2"],
    message:
        "Drawing squares and moved centres beside what the padding of layers makes expect"


use rule figure as figure_parity with:
    input:
        sizes="<results>/tables/parity_sizes.parquet",
        moves="<results>/tables/parity_moves.parquet",
    output:
        **figures(
            "parity",
            "Evidence",
            "pictures of other sizes",
            of="evidence" if ON_PICTURES else [],
        ),
    pathvars:
        name="figures/parity",
    group:
        submitted_with("tested")
    params:
        **draws("parity"),
    message:
        "Drawing what moved paddings and pictures of other sizes do to networks"


use rule figure as figure_offsets with:
    input:
        offsets="<results>/tables/offsets.parquet",
        histogram="<results>/tables/offsets_histogram.parquet",
    output:
        **figures("offsets", "Evidence", "offsets", of="evidence"),
    pathvars:
        name="figures/offsets",
    params:
        **draws("offsets"),
        r2=config["evidence"]["r2"],
    message:
        "Drawing the offsets of the centres of kernels"
