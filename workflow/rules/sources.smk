use rule job as untrained with:
    input:
        recipe=lambda wildcards: recipe_of(model_of(wildcards).recipe),
    output:
        "<results>/untrained/{model}.safetensors",
    pathvars:
        name="untrained/{model}",
    group:
        submitted_with("kernels" if NODES_EXTRACT else None)
    localrule: not NODES_EXTRACT
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    params:
        **runs("sources/untrained"),
        architecture=lambda wildcards: model_of(wildcards).init,
        arguments=lambda wildcards: sorted(
            map(list, model_of(wildcards).arguments.items())
        ),
        seed=lambda wildcards: model_of(wildcards).seed,
    message:
        "Initialising {wildcards.model}"


use rule job as lock with:
    input:
        expand("<results>/kernels/{model}.parquet", model=EXPERIMENT.remote),
    output:
        local(str(lock_of(config["zoo"]))),
    pathvars:
        name="lock",
    localrule: True
    resources:
        mem_mb=memory(300),
        runtime=minutes(5),
    params:
        **runs("sources/lock"),
    message:
        "Locking the commits of the models in {output}"
