use rule cacheable_job as autoencoder with:
    input:
        "<results>/corpora/k{k}.parquet",
    output:
        **kept(
            weights=result(
                "<results>/autoencoders/k{k}_seed{seed}.safetensors",
                of=["all", "release"],
            ),
            history=result(
                "<results>/autoencoders/k{k}_seed{seed}_history.parquet",
                of=["all", "release"],
            ),
        ),
    pathvars:
        name="autoencoders/k{k}_seed{seed}",
    priority: 2
    resources:
        mem_mb=memory(1300, 2),
        runtime=minutes(10, 0.03),
        gpu=GPU,
        gpu_quarters=QUARTER,
    params:
        **runs("clustering/autoencoder"),
        seed=lambda wildcards: int(wildcards.seed),
        settings=config["autoencoder"],
    message:
        "Training the autoencoder of {wildcards.k}x{wildcards.k} kernels, seed {wildcards.seed}"


use rule short_job as clusters with:
    input:
        corpus="<results>/corpora/k{k}.parquet",
        autoencoders=expand(
            "<results>/autoencoders/k{{k}}_seed{seed}.safetensors",
            seed=config["seeds"],
        ),
    output:
        result("<results>/clusters/k{k}.parquet", of=["all", "release"]),
    pathvars:
        name="clusters/k{k}",
    priority: 2
    group:
        submitted_with("results", "clusters")
    resources:
        mem_mb=memory(800, 8),
        runtime=minutes(2, 0.01),
    params:
        **runs("clustering/clusters"),
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
    message:
        "Gathering the shapes of {wildcards.k}x{wildcards.k} kernels"


use rule short_job as labels with:
    input:
        kernels="<results>/kernels/{model}.parquet",
        autoencoders=of_model("<results>/autoencoders/k{k}_seed{seed}.safetensors"),
        clusters=of_model("<results>/clusters/k{k}.parquet"),
    output:
        result("<results>/labels/{model}.parquet", of=["all", "dynamics", "release"]),
    pathvars:
        name="labels/{model}",
    group:
        submitted_with("results", "labels")
    resources:
        mem_mb=memory(1200, 65),
        runtime=minutes(1, 0.02),
    params:
        **runs("clustering/labels"),
        thresholds=config["thresholds"],
        minimum_cosine=config["clusters"]["minimum_cosine"],
        seeds=config["seeds"],
    message:
        "Labelling the kernels of {wildcards.model}"
