# The other files of the folder are known only when the kernel sizes are.


use rule short_job as release with:
    input:
        files=lambda wildcards: TARGETS.files("release"),
        kernels=expand("results/kernels/{model}.parquet", model=MODELS),
        dictionary=str(Path(workflow.basedir) / "results" / "README.md"),
    output:
        manifest="results/release/manifest.json",
        card="results/release/README.md",
        sums="results/release/SHA256SUMS",
    pathvars:
        name="release",
    resources:
        mem_mb=memory(500, 1),
        runtime=minutes(2, 0.02),
    params:
        **runs("release/release"),
        models=EXPERIMENT.describe(MODELS),
        settings=release_settings,
    message:
        "Gathering the release in results/release"
