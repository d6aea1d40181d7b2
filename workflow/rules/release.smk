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
        code=fingerprint("release/release"),
        models=describe(MODELS),
        settings=release_settings,
    message:
        "Gathering the release in results/release"
    script:
        "../scripts/release/release.py"
