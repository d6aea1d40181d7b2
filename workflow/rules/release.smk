def released(wildcards):
    """The files of a release, as far as they are results."""
    trained = expand("k{k}_seed{seed}", k=studied(), seed=config["seeds"])
    return [
        *expand("results/autoencoders/{name}.safetensors", name=trained),
        *expand("results/autoencoders/{name}_history.parquet", name=trained),
        *expand("results/clusters/{name}.parquet", name=trained),
        *expand(
            "results/{what}/{model}.parquet", what=["labels", "fits"], model=MODELS
        ),
        *expand("results/masterkeys/k{k}.safetensors", k=studied()),
        *expand(
            "results/tables/{name}.{suffix}",
            name=["models", "sizes", *expand("nulls_k{k}", k=fitted_sizes())],
            suffix=["parquet", "csv"],
        ),
    ]


def release_settings(wildcards):
    """What the manifest of a release says of the config."""
    return {
        "kernel_sizes": studied(),
        "first_seed": FIRST_SEED,
        "r2": config["evidence"]["r2"],
        **{
            key: config[key]
            for key in ("seeds", "thresholds", "autoencoder", "clusters")
        },
    }


# The other files of the folder are known only when the kernel sizes are.
rule release:
    input:
        files=released,
        kernels=expand("results/kernels/{model}.parquet", model=MODELS),
        dictionary=str(Path(workflow.basedir) / "results" / "README.md"),
    output:
        manifest="results/release/manifest.json",
        card="results/release/README.md",
        sums="results/release/SHA256SUMS",
    log:
        "results/logs/release.log",
    benchmark:
        "results/benchmarks/release.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500, 1),
        runtime=minutes(2, 0.02),
    params:
        code=fingerprint("release"),
        models=describe(MODELS),
        settings=release_settings,
    message:
        "Gathering the release in results/release"
    script:
        "../scripts/release.py"
