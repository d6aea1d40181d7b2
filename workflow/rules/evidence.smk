rule evidence:
    input:
        lambda wildcards: TARGETS.files("evidence"),


use rule short_job as fits with:
    input:
        kernels_to_fit,
    output:
        result("<results>/fits/{model}.parquet", of=["evidence", "release"]),
    pathvars:
        name="fits/{model}",
    group:
        submitted_with("results", "fits")
    resources:
        mem_mb=memory(1200, 10),
        runtime=minutes(2, 1),
        gpu_quarters=quarters_of_fits,
    params:
        **runs("evidence/fits"),
        sizes=lambda wildcards: fitted_sizes([wildcards.model]),
    message:
        "Fitting analytic functions to the kernels of {wildcards.model}"


use rule short_job as maps with:
    input:
        recipe_in_file,
    output:
        result(
            "<results>/maps/{model}.parquet",
            of="evidence",
            over={"model": lambda: MAPPED},
        ),
    pathvars:
        name="maps/{model}",
    group:
        submitted_with("results", "maps")
    resources:
        mem_mb=memory(lambda wildcards: 900 if recipe_in_file(wildcards) else 300),
        runtime=minutes(2),
    params:
        **runs("evidence/maps"),
        maps=maps_of,
    message:
        "Finding the maps and the padding of the layers of {wildcards.model}"


# Not a short job: on a cluster it may use a GPU, as `autoencoder` does.
use rule job as crossfit with:
    input:
        "<results>/corpora/k{k}.parquet",
    output:
        **kept(
            labels=result("<results>/crossfit/k{k}.parquet", of="evidence"),
            curves=result("<results>/crossfit/k{k}.safetensors", of="evidence"),
        ),
    pathvars:
        name="crossfit/k{k}",
    priority: 1
    resources:
        mem_mb=memory(1300, 8),
        runtime=minutes(20 * len(config["seeds"]), 0.1),
        gpu=GPU,
        gpu_quarters=QUARTER,
    params:
        **runs("evidence/crossfit"),
        seeds=config["seeds"],
        settings=config["autoencoder"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Labelling {wildcards.k}x{wildcards.k} kernels by curves that have not seen their network"


use rule short_job as nulls with:
    input:
        kernels=of_size("<results>/kernels/{model}.parquet", trained=True),
        crossfit="<results>/crossfit/k{k}.safetensors",
        autoencoders=expand(
            "<results>/autoencoders/k{{k}}_seed{seed}.safetensors",
            seed=config["seeds"],
        ),
    output:
        result("<results>/nulls/k{k}.parquet", of="evidence", over={"k": fitted_sizes}),
    pathvars:
        name="nulls/k{k}",
    resources:
        mem_mb=memory(1500, 8),
        runtime=minutes(10, 0.1),
    params:
        **runs("evidence/nulls"),
        minimum_cosine=config["clusters"]["minimum_cosine"],
        sample=config["evidence"]["sample"],
    message:
        "Labelling {wildcards.k}x{wildcards.k} kernels of the null models"


use rule short_job as masterkeys with:
    input:
        corpus="<results>/corpora/k{k}.parquet",
        autoencoder=f"<results>/autoencoders/k{{k}}_seed{FIRST_SEED}.safetensors",
        kernels=of_size("<results>/kernels/{model}.parquet", trained=True),
    output:
        **tables(of="evidence", table="masterkeys_k{k}"),
        safetensors=result(
            "<results>/masterkeys/k{k}.safetensors", of=["evidence", "release"]
        ),
    pathvars:
        name="masterkeys/k{k}",
    resources:
        mem_mb=memory(1000, 2),
        runtime=minutes(2, 0.02),
    params:
        **runs("evidence/masterkeys"),
        codes=config["evidence"]["codes"],
        n_keys=config["evidence"]["keys"],
        sample=config["evidence"]["sample"],
        seed=FIRST_SEED,
    message:
        "Searching for master keys of {wildcards.k}x{wildcards.k} kernels"


# Not a short job: on a cluster it may use a GPU.
use rule job as replacements with:
    input:
        network=checkpoint_of,
        kernels="<results>/kernels/{model}.parquet",
        masterkeys=of_model("<results>/masterkeys/k{k}.safetensors"),
        clusters=of_model("<results>/clusters/k{k}.parquet"),
        baselines=of_model("<results>/tables/baseline_prototypes_k{k}.parquet"),
        fits="<results>/fits/{model}.parquet",
        published=published_filters,
    output:
        result(
            "<results>/replacements/{model}.parquet",
            of="evidence",
            over={"model": evaluated},
        ),
    pathvars:
        name="replacements/{model}",
    resources:
        mem_mb=memory(memory_of_test),
        runtime=minutes(240),
        gpu=GPU,
        gpu_quarters=WHOLE,
        downloads=downloads_of_test,
    params:
        **runs("evidence/replacements"),
        **tests(),
    message:
        "Testing {wildcards.model} with its kernels replaced; its progress is in {log}"


# Not a short job: on a cluster it may use a GPU.
use rule job as parity with:
    input:
        network=checkpoint_of,
        kernels="<results>/kernels/{model}.parquet",
    output:
        result(
            "<results>/parity/{model}.parquet",
            of="evidence",
            over={"model": lambda: ON_PICTURES},
        ),
    pathvars:
        name="parity/{model}",
    resources:
        mem_mb=memory(memory_of_test),
        runtime=minutes(240),
        gpu=GPU,
        gpu_quarters=WHOLE,
        downloads=downloads_of_test,
    params:
        **runs("evidence/parity"),
        # Kernels of all sizes stay as they are.
        **{key: value for key, value in tests().items() if key != "sizes"},
    message:
        "Testing {wildcards.model} on pictures of other sizes and with moved paddings"


# The recipe's kernels are 7x7.
use rule job as frozen_training with:
    input:
        recipe=lambda wildcards: recipe_of(
            of_workflow("workflow/zoos/recipes/short/convnextv2_short.yaml")
        ),
        masterkeys=frozen_only("<results>/masterkeys/k7.safetensors"),
        learned=frozen_only("<results>/frozen/learned_seed{seed}.safetensors"),
    output:
        **kept(
            weights=result(
                "<results>/frozen/{variant}_seed{seed}.safetensors", of="frozen"
            ),
            history=result(
                "<results>/frozen/{variant}_seed{seed}_history.parquet", of="frozen"
            ),
        ),
    pathvars:
        name="frozen/{variant}_seed{seed}",
    resources:
        mem_mb=memory(3500),
        runtime=minutes(60),
        gpu=GPU,
        gpu_quarters=WHOLE,
    params:
        **runs("evidence/frozen_training"),
    message:
        "Training with {wildcards.variant} kernels, seed {wildcards.seed}; its progress is in {log}"


rule frozen:
    input:
        lambda wildcards: TARGETS.files("frozen"),


rule search:
    input:
        lambda wildcards: TARGETS.files("search"),


use rule job as accuracy_search with:
    input:
        network=checkpoint_of,
        kernels="<results>/kernels/{model}.parquet",
        autoencoders=of_model(
            f"<results>/autoencoders/k{{k}}_seed{FIRST_SEED}.safetensors"
        ),
    output:
        result(
            "<results>/accuracy_search/{model}.parquet",
            of="search",
            over={"model": evaluated},
        ),
    pathvars:
        name="accuracy_search/{model}",
    resources:
        mem_mb=memory(memory_of_test),
        runtime=minutes(480),
        gpu=GPU,
        gpu_quarters=WHOLE,
        downloads=downloads_of_test,
    params:
        **runs("evidence/accuracy_search"),
        **tests(),
        settings={
            "codes": config["evidence"]["codes"],
            "keys": config["evidence"]["keys"],
            **config["search"],
        },
    message:
        "Searching master keys by the accuracy of {wildcards.model}; its progress is in {log}"
