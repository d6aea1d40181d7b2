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


# The whole folder at once: which files it has, its index tells.
rule release_explorer:
    input:
        index=whole_explorer,
        page=expand("<results>/explorer/{file}", file=PAGE),
    output:
        index="<results>/release/explorer/data/index.json",
        page=expand("<results>/release/explorer/{file}", file=PAGE),
    log:
        "<results>/logs/release/explorer.log",
    localrule: True
    conda:
        ENVIRONMENT
    message:
        "Copying the explorer to the release"
    shell:
        'source=$(dirname "$(dirname {input.index:q})"); '
        'copy=$(dirname "$(dirname {output.index:q})"); '
        'echo copying "$source" > {log:q}; '
        '(rm -rf "$copy" "$copy.partial" && cp -r "$source" "$copy.partial" && '
        'mv "$copy.partial" "$copy") 2>> {log:q}'


use rule job as release_manifest with:
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


use rule job as explorer_data with:
    input:
        kernels=expand("<results>/kernels/{model}.parquet", model=MODELS),
        labels=expand("<results>/labels/{model}.parquet", model=MODELS),
        fits=expand("<results>/fits/{model}.parquet", model=MODELS),
        clusters=lambda wildcards: expand(
            "<results>/clusters/k{k}.parquet", k=studied()
        ),
        autoencoders=lambda wildcards: expand(
            "<results>/autoencoders/k{k}_seed{seed}.safetensors",
            k=studied(),
            seed=config["seeds"],
        ),
        models="<results>/tables/models.parquet",
        shapes="<results>/tables/shapes.parquet",
        layers="<results>/tables/layers.parquet",
        nulls=lambda wildcards: expand(
            "<results>/tables/nulls_k{k}.parquet", k=fitted_sizes()
        ),
    # Written last: what the folder holds without it is not whole, and is removed.
    output:
        "<results>/explorer/data/index.json",
    pathvars:
        name="explorer_data",
    resources:
        mem_mb=memory(600, 0.5),
        runtime=minutes(5, 0.02),
    params:
        **runs("release/explorer_data"),
        models=EXPERIMENT.describe(MODELS),
        sizes=lambda wildcards: fitted_sizes(),
        r2=config["evidence"]["r2"],
    message:
        "Arranging all kernels for the explorer"


# A rule of its own, so that a changed page does not write all kernels again.
use rule job as explorer_page with:
    input:
        [of_workflow(f"{PAGE_FOLDER}/{file}") for file in PAGE],
    output:
        expand("<results>/explorer/{file}", file=PAGE),
    pathvars:
        name="explorer_page",
    localrule: True
    resources:
        mem_mb=memory(300),
        runtime=minutes(1),
    params:
        **runs("release/explorer_page"),
        files=PAGE,
    message:
        "Copying the page of the explorer"


rule explorer:
    input:
        whole_explorer,
        rules.explorer_page.output,
