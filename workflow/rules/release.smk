# Each file is an output of its own, so that a deleted one is made again.
rule release_file:
    input:
        "<results>/{file}",
    output:
        "<results>/release/{file}",
    log:
        "<results>/logs/release/{file}.log",
    wildcard_constraints:
        file="(autoencoders|clusters|fits|labels|masterkeys|tables)/[^/]+",
    localrule: True
    conda:
        ENVIRONMENT
    message:
        "Copying {input} to the release"
    shell:
        "echo copying {input:q} > {log:q}; "
        "(cp {input:q} {output:q}.partial && mv {output:q}.partial {output:q}) 2>> {log:q}"


use rule short_job as release_manifest with:
    input:
        files=released,
        kernels=expand("<results>/kernels/{model}.parquet", model=MODELS),
        # As seen from the working folder: a copy of it has the same input.
        dictionary=of_workflow("results/README.md"),
    output:
        manifest="<results>/release/manifest.json",
        card="<results>/release/README.md",
        sums="<results>/release/SHA256SUMS",
    pathvars:
        name="release",
    resources:
        mem_mb=memory(500, 1),
        runtime=minutes(2, 0.02),
    params:
        **runs("release/release_manifest"),
        models=EXPERIMENT.describe(MODELS),
        settings=release_settings,
    message:
        "Describing the release in {output.manifest}"


# All files are asked for: Snakemake would not miss a deleted one that is only an input.
rule release:
    input:
        released,
        rules.release_manifest.output,
