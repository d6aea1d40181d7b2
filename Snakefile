from snakemake.utils import min_version

min_version("9.6")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/kernels.smk"
include: "workflow/rules/clustering.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/release.smk"


rule all:
    default_target: True
    input:
        all_results,
