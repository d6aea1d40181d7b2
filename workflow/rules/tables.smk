use rule short_job as tables_left_out with:
    input:
        expand("<results>/kernels/{model}.parquet", model=MODELS),
    output:
        parquet=result("<results>/tables/left_out.parquet", of="all"),
        csv=report(
            result("<results>/tables/left_out.csv", of="all"),
            caption="../report/left_out.rst",
            category="Models",
            labels={"figure": "networks left out"},
        ),
    pathvars:
        name="tables/left_out",
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        **runs("tables/tables_left_out"),
        models=EXPERIMENT.describe(MODELS),
    message:
        "Listing the networks that were left out"


use rule short_job as tables_models with:
    input:
        models=of_families("<results>/tables/{family}_by_model.parquet"),
        composition=of_families("<results>/tables/{family}_by_label.parquet"),
        layers=of_families("<results>/tables/{family}_by_layer.parquet"),
        shapes=of_families("<results>/tables/{family}_by_shape.parquet"),
    output:
        **tables(of=["all", "release"], models="models"),
        **tables(of="all", composition="composition", layers="layers", shapes="shapes"),
    pathvars:
        name="tables/models",
    resources:
        mem_mb=memory(500, 5),
        runtime=minutes(2),
    params:
        **runs("tables/tables_models"),
    message:
        "Gathering the counts of all families"


use rule short_job as tables_family with:
    input:
        clusters=of_family("<results>/clusters/k{k}.parquet"),
        kernels=of_family("<results>/kernels/{model}.parquet"),
        labels=of_family("<results>/labels/{model}.parquet"),
    output:
        **tables(
            of="all",
            clusters="{family}_clusters",
            members="{family}_members",
            models="{family}_by_model",
            composition="{family}_by_label",
            layers="{family}_by_layer",
            shapes="{family}_by_shape",
        ),
    pathvars:
        name="tables/{family}_clusters",
    group:
        submitted_with("results", "families")
    resources:
        mem_mb=memory(500, 2),
        runtime=minutes(2, 0.02),
    params:
        **runs("tables/tables_family"),
        models=lambda wildcards: EXPERIMENT.describe(
            EXPERIMENT.of_family(wildcards.family)
        ),
        thresholds=config["thresholds"],
    message:
        "Counting the labels of the family {wildcards.family}"


use rule short_job as tables_spectrum with:
    input:
        autoencoder=f"<results>/autoencoders/k{{k}}_seed{FIRST_SEED}.safetensors",
        corpus="<results>/corpora/k{k}.parquet",
    output:
        **tables("spectrum_k{k}", of="all"),
    pathvars:
        name="tables/spectrum_k{k}",
    resources:
        mem_mb=memory(800, 2),
        runtime=minutes(2, 0.01),
    params:
        **runs("tables/tables_spectrum"),
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Decoding the curve of {wildcards.k}x{wildcards.k} kernels"


use rule short_job as tables_pca with:
    input:
        corpus="<results>/corpora/k{k}.parquet",
        labels=of_size("<results>/labels/{model}.parquet", trained=True),
    output:
        **tables(of="all", scores="pca_k{k}", components="pca_components_k{k}"),
    pathvars:
        name="tables/pca_k{k}",
    resources:
        mem_mb=memory(800, 2),
        runtime=minutes(2, 0.01),
    params:
        **runs("tables/tables_pca"),
    message:
        "Computing the principal components of {wildcards.k}x{wildcards.k} kernels"


use rule short_job as tables_weightsum with:
    input:
        kernels=of_size("<results>/kernels/{model}.parquet", trained=True),
        labels=of_size("<results>/labels/{model}.parquet", trained=True),
    output:
        **tables("weightsum_k{k}", of="all"),
    pathvars:
        name="tables/weightsum_k{k}",
    resources:
        mem_mb=memory(400, 1),
        runtime=minutes(2, 0.01),
    params:
        **runs("tables/tables_weightsum"),
    message:
        "Summing the weights of {wildcards.k}x{wildcards.k} kernels"


use rule short_job as tables_training with:
    input:
        expand(
            "<results>/autoencoders/k{{k}}_seed{seed}_history.parquet",
            seed=config["seeds"],
        ),
    output:
        **tables("training_k{k}", of="all"),
    pathvars:
        name="tables/training_k{k}",
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        **runs("tables/tables_training"),
        seeds=config["seeds"],
    message:
        "Gathering the training curves of the {wildcards.k}x{wildcards.k} autoencoders"


use rule short_job as tables_emergence with:
    input:
        kernels=expand("<results>/kernels/{model}.parquet", model=DYNAMICS),
        labels=expand("<results>/labels/{model}.parquet", model=DYNAMICS),
    output:
        **tables(
            of="dynamics",
            emergence="emergence",
            composition="emergence_composition",
            seeds="seeds",
        ),
    pathvars:
        name="tables/emergence",
    resources:
        mem_mb=memory(1000, 7),
        runtime=minutes(2, 0.02),
    params:
        **runs("tables/tables_emergence"),
        models=EXPERIMENT.describe_dynamics(),
        thresholds=config["thresholds"],
    message:
        "Counting labels by training step"


use rule short_job as tables_drift with:
    input:
        kernels=expand("<results>/kernels/{model}.parquet", model=DYNAMICS),
        labels=expand("<results>/labels/{model}.parquet", model=DYNAMICS),
    output:
        **tables("drift", of="dynamics"),
    pathvars:
        name="tables/drift",
    resources:
        mem_mb=memory(1000, 7),
        runtime=minutes(5, 0.05),
    params:
        **runs("tables/tables_drift"),
        models=EXPERIMENT.describe_dynamics(),
    message:
        "Comparing the kernels of checkpoints with those of the last"


use rule short_job as tables_networks with:
    input:
        weights=[model.file for model in DOCUMENTED],
        histories=[str(history_of(model)) for model in DOCUMENTED],
    output:
        **tables(
            of="dynamics" if DOCUMENTED else [],
            networks="networks",
            learning="learning",
        ),
    pathvars:
        name="tables/networks",
    resources:
        mem_mb=memory(500, 5),
        runtime=minutes(2),
    params:
        **runs("tables/tables_networks"),
        networks=[[m.network, m.family, m.trained_on] for m in DOCUMENTED],
    message:
        "Gathering the recipes and accuracies of the networks trained here"


use rule short_job as tables_data with:
    input:
        recipes=lambda wildcards: [
            file for recipe in RECIPES_BY_DATA.values() for file in recipe_of(recipe)
        ],
    output:
        **tables(
            of="dynamics" if RECIPES_BY_DATA else [],
            spectra="data_spectra",
            samples="data_samples",
        ),
    pathvars:
        name="tables/data",
    resources:
        mem_mb=memory(1500),
        runtime=minutes(5),
    params:
        **runs("tables/tables_data"),
        recipes=[list(pair) for pair in RECIPES_BY_DATA.items()],
    message:
        "Sampling the training pictures"


use rule short_job as tables_stability with:
    input:
        corpus="<results>/corpora/k{k}.parquet",
        crossfit="<results>/crossfit/k{k}.parquet",
        autoencoders=expand(
            "<results>/autoencoders/k{{k}}_seed{seed}.safetensors",
            seed=config["seeds"],
        ),
    output:
        **tables("stability_k{k}", of=["evidence", "release"]),
    pathvars:
        name="tables/stability_k{k}",
    resources:
        mem_mb=memory(1300, 8),
        runtime=minutes(5, 0.05),
    params:
        **runs("tables/tables_stability"),
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Comparing the labels of {wildcards.k}x{wildcards.k} kernels between seeds and networks"


use rule short_job as tables_fits with:
    input:
        labels=of_size("<results>/labels/{model}.parquet"),
        fits=of_size("<results>/fits/{model}.parquet"),
        clusters="<results>/clusters/k{k}.parquet",
    output:
        **tables(
            of="evidence",
            over={"k": fitted_sizes},
            functions="functions_k{k}",
            prototypes="prototype_fits_k{k}",
        ),
    pathvars:
        name="tables/fits_k{k}",
    resources:
        mem_mb=memory(1200, 1),
        runtime=minutes(2, 0.05),
    params:
        **runs("tables/tables_fits"),
        models=described_of_size,
        k=size_of,
        r2=config["evidence"]["r2"],
    message:
        "Counting the analytic functions of {wildcards.k}x{wildcards.k} kernels"


use rule short_job as tables_limits with:
    input:
        fits=of_size("<results>/fits/{model}.parquet"),
        nulls="<results>/nulls/k{k}.parquet",
    output:
        **tables(of="evidence", over={"k": fitted_sizes}, table="limits_k{k}"),
    pathvars:
        name="tables/limits_k{k}",
    resources:
        mem_mb=memory(900, 2.5),
        runtime=minutes(2, 0.05),
    params:
        **runs("tables/tables_limits"),
        models=described_of_size,
        k=size_of,
        r2=config["evidence"]["r2"],
    message:
        "Counting the fits of {wildcards.k}x{wildcards.k} kernels that end at a limit"


use rule short_job as tables_jet with:
    input:
        fits=of_size("<results>/fits/{model}.parquet"),
        nulls="<results>/nulls/k{k}.parquet",
    output:
        **tables(of="evidence", over={"k": fitted_sizes}, table="jet_k{k}"),
    pathvars:
        name="tables/jet_k{k}",
    resources:
        mem_mb=memory(900, 2.5),
        runtime=minutes(2, 0.05),
    params:
        **runs("tables/tables_jet"),
        models=described_of_size,
        k=size_of,
    message:
        "Summarising the local jets of {wildcards.k}x{wildcards.k} kernels"


use rule short_job as tables_nulls with:
    input:
        labels=of_size("<results>/labels/{model}.parquet"),
        fits=of_size("<results>/fits/{model}.parquet"),
        crossfit="<results>/crossfit/k{k}.parquet",
        nulls="<results>/nulls/k{k}.parquet",
    output:
        **tables(
            of=["evidence", "release"], over={"k": fitted_sizes}, shares="nulls_k{k}"
        ),
        **tables(of="evidence", over={"k": fitted_sizes}, curves="null_curves_k{k}"),
    pathvars:
        name="tables/nulls_k{k}",
    resources:
        mem_mb=memory(900, 3),
        runtime=minutes(5, 0.05),
    params:
        **runs("tables/tables_nulls"),
        models=described_of_size,
        k=size_of,
        thresholds=config["thresholds"],
        r2=config["evidence"]["r2"],
        rate=config["evidence"]["false_positives"],
    message:
        "Comparing {wildcards.k}x{wildcards.k} kernels with the null models"


use rule short_job as tables_dissimilarities with:
    input:
        labels=of_size("<results>/labels/{model}.parquet"),
        crossfit="<results>/crossfit/k{k}.parquet",
        nulls="<results>/nulls/k{k}.parquet",
    output:
        **tables(
            of="evidence",
            over={"k": fitted_sizes},
            summary="dissimilarities_k{k}",
            bins="dissimilarity_bins_k{k}",
        ),
    pathvars:
        name="tables/dissimilarities_k{k}",
    resources:
        mem_mb=memory(900, 6),
        runtime=minutes(2, 0.05),
    params:
        **runs("tables/tables_dissimilarities"),
        models=described_of_size,
        k=size_of,
        thresholds=config["thresholds"],
    message:
        "Gathering the dissimilarities of {wildcards.k}x{wildcards.k} kernels and of the nulls"


use rule short_job as tables_thresholds with:
    input:
        kernels=of_size("<results>/kernels/{model}.parquet"),
        crossfit="<results>/crossfit/k{k}.safetensors",
        autoencoders=expand(
            "<results>/autoencoders/k{{k}}_seed{seed}.safetensors",
            seed=config["seeds"],
        ),
    output:
        **tables("thresholds_k{k}", of="evidence", over={"k": fitted_sizes}),
    pathvars:
        name="tables/thresholds_k{k}",
    resources:
        mem_mb=memory(1500, 8),
        runtime=minutes(5, 0.1),
    params:
        **runs("tables/tables_thresholds"),
        models=described_of_size,
        k=size_of,
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
        sample=config["evidence"]["sample"],
    message:
        "Counting the {wildcards.k}x{wildcards.k} kernels identified at other thresholds"


use rule short_job as tables_baselines with:
    input:
        corpus="<results>/corpora/k{k}.parquet",
        autoencoders=expand(
            "<results>/autoencoders/k{{k}}_seed{seed}.safetensors",
            seed=config["seeds"],
        ),
    output:
        **kept(
            **tables(
                of="evidence",
                baselines="baselines_k{k}",
                agreement="agreement_k{k}",
                prototypes="baseline_prototypes_k{k}",
            )
        ),
    pathvars:
        name="tables/baselines_k{k}",
    priority: 1
    resources:
        mem_mb=memory(1500, 8),
        runtime=minutes(60),
    params:
        **runs("tables/tables_baselines"),
        seeds=config["seeds"],
        sample=config["evidence"]["sample"],
        settings=config["autoencoder"],
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Running the baselines on {wildcards.k}x{wildcards.k} kernels"


use rule short_job as tables_masterkeys with:
    input:
        safetensors="<results>/masterkeys/k{k}.safetensors",
        corpus="<results>/corpora/k{k}.parquet",
        clusters="<results>/clusters/k{k}.parquet",
        trained=of_size("<results>/kernels/{model}.parquet", trained=True),
        kernels=of_size("<results>/kernels/{model}.parquet"),
        published=published_filters,
    output:
        **tables(
            of="evidence",
            filters="masterkeys_filters_k{k}",
            models="masterkeys_models_k{k}",
            frequencies="masterkeys_frequencies_k{k}",
        ),
    pathvars:
        name="tables/masterkeys_k{k}",
    resources:
        mem_mb=memory(1000, 2),
        runtime=minutes(2, 0.02),
    params:
        **runs("tables/tables_masterkeys"),
        models=described_of_size,
        sample=config["evidence"]["sample"],
    message:
        "Measuring what the master keys of {wildcards.k}x{wildcards.k} kernels explain"


use rule short_job as tables_replacements with:
    input:
        lambda wildcards: expand(
            "<results>/replacements/{model}.parquet", model=evaluated()
        ),
    output:
        **tables("replacements", of="evidence", when=evaluated),
    pathvars:
        name="tables/replacements",
    group:
        submitted_with("tested")
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        **runs("tables/tables_replacements"),
        models=EXPERIMENT.describe(TRAINED),
    message:
        "Gathering the accuracies of networks with replaced kernels"


use rule short_job as tables_frozen with:
    input:
        weights=expand(
            "<results>/frozen/{variant}_seed{seed}.safetensors",
            variant=FROZEN,
            seed=config["seeds"],
        ),
        histories=expand(
            "<results>/frozen/{variant}_seed{seed}_history.parquet",
            variant=FROZEN,
            seed=config["seeds"],
        ),
    output:
        **tables(of="frozen", accuracies="frozen", learning="frozen_learning"),
    pathvars:
        name="tables/frozen",
    group:
        submitted_with("tested")
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        **runs("tables/tables_frozen"),
        trainings=[[variant, seed] for variant in FROZEN for seed in config["seeds"]],
    message:
        "Gathering the accuracies of networks with frozen kernels"


use rule short_job as tables_accuracy_search with:
    input:
        lambda wildcards: expand(
            "<results>/accuracy_search/{model}.parquet", model=evaluated()
        ),
    output:
        **tables("accuracy_search", of="search", when=evaluated),
    pathvars:
        name="tables/accuracy_search",
    group:
        submitted_with("tested")
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        **runs("tables/tables_accuracy_search"),
        models=EXPERIMENT.describe(TRAINED),
    message:
        "Gathering the searches by accuracy"


use rule short_job as tables_distances with:
    input:
        corpus="<results>/corpora/k{k}.parquet",
        kernels=of_size("<results>/kernels/{model}.parquet"),
    output:
        **tables("distances_k{k}", of="evidence"),
    pathvars:
        name="tables/distances_k{k}",
    resources:
        mem_mb=memory(600, 7),
        runtime=minutes(5, 0.05),
    params:
        **runs("tables/tables_distances"),
        models=described_of_size,
    message:
        "Measuring the distances between sets of {wildcards.k}x{wildcards.k} kernels"


use rule short_job as tables_layer_statistics with:
    input:
        expand("<results>/kernels/{model}.parquet", model=MODELS),
    output:
        **tables("layer_statistics", of="evidence"),
    pathvars:
        name="tables/layer_statistics",
    resources:
        mem_mb=memory(600, 1),
        runtime=minutes(5, 0.05),
    params:
        **runs("tables/tables_layer_statistics"),
        models=EXPERIMENT.describe(MODELS),
    message:
        "Measuring the variety of the kernels of each layer"


use rule short_job as tables_named_layers with:
    input:
        "<results>/tables/composition.parquet",
    output:
        **tables("named_layers", of="all" if NAMED else []),
    pathvars:
        name="tables/named_layers",
    resources:
        mem_mb=memory(400),
        runtime=minutes(1),
    params:
        **runs("tables/tables_named_layers"),
        architectures=[list(pair) for pair in NAMED.items()],
    message:
        "Finding the layers that the reviews of the paper name"


use rule short_job as tables_accuracy with:
    input:
        models="<results>/tables/models.parquet",
        weights=[model.file for model in OF_KNOWN_ACCURACY],
        imagenet=of_workflow("workflow/zoos/imagenet_top1.csv"),
    output:
        **tables(
            of="evidence", accuracy="accuracy", correlations="accuracy_correlations"
        ),
    pathvars:
        name="tables/accuracy",
    resources:
        mem_mb=memory(700),
        runtime=minutes(5),
    params:
        **runs("tables/tables_accuracy"),
        networks=[model.name for model in OF_KNOWN_ACCURACY],
        resamples=config["evidence"]["resamples"],
    message:
        "Correlating the share identified with accuracy"


use rule short_job as tables_parity with:
    input:
        parts=expand("<results>/parity/{model}.parquet", model=ON_PICTURES),
        layers="<results>/tables/offsets_layers.parquet",
    output:
        **tables(
            of="evidence" if ON_PICTURES else [],
            sizes="parity_sizes",
            moves="parity_moves",
        ),
    pathvars:
        name="tables/parity",
    group:
        submitted_with("tested")
    resources:
        mem_mb=memory(700),
        runtime=minutes(5),
    params:
        **runs("tables/tables_parity"),
        models=EXPERIMENT.describe(ON_PICTURES),
        resamples=config["evidence"]["resamples"],
    message:
        "Comparing networks on pictures of several sizes and with moved paddings"


use rule short_job as tables_offsets with:
    input:
        fits=expand("<results>/fits/{model}.parquet", model=TRAINED),
        labels=expand("<results>/labels/{model}.parquet", model=TRAINED),
        kernels=expand("<results>/kernels/{model}.parquet", model=TRAINED),
        maps=expand("<results>/maps/{model}.parquet", model=MAPPED),
    output:
        **tables(
            of="evidence",
            offsets="offsets",
            layers="offsets_layers",
            strides="offsets_strides",
            histogram="offsets_histogram",
        ),
    pathvars:
        name="tables/offsets",
    resources:
        mem_mb=memory(700, 0.5),
        runtime=minutes(3, 0.02),
    params:
        **runs("tables/tables_offsets"),
        models=EXPERIMENT.describe(TRAINED),
        mapped=MAPPED,
        r2=config["evidence"]["r2"],
    message:
        "Measuring the offsets of the centres of kernels"
