from snakemake.utils import min_version

min_version("9.6")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/network.smk"
include: "workflow/rules/kernels.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/autoencoder.smk"
include: "workflow/rules/clusters.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/dynamics.smk"
include: "workflow/rules/stability.smk"
include: "workflow/rules/fits.smk"
include: "workflow/rules/nulls.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/masterkeys.smk"
include: "workflow/rules/distances.smk"
include: "workflow/rules/release.smk"


rule all:
    default_target: True
    input:
        all_results,
