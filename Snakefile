import copy

from snakemake.utils import min_version

min_version("9.14")

# What --configfile and --config say, before the defaults join it.
GIVEN = copy.deepcopy(config)


configfile: "config.yaml"


include: "workflow/rules/running/configuration.smk"
include: "workflow/rules/running/resources.smk"
include: "workflow/rules/running/params.smk"
include: "workflow/rules/base.smk"
include: "workflow/rules/running/experiment.smk"
include: "workflow/rules/running/inputs.smk"
include: "workflow/rules/running/targets.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/kernels.smk"
include: "workflow/rules/clustering.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/release.smk"
include: "workflow/rules/running/requested.smk"


rule all:
    default_target: True
    input:
        lambda wildcards: TARGETS.files("all"),
