# Rules that others inherit from: `use rule … as … with` their own input, output, resources, params
# and message, and the <name> of their log and benchmark.
rule unmeasured_job:
    input:
        no_target,
    log:
        "<results>/logs/<name>.log",
    pathvars:
        name="job",
    conda:
        ENVIRONMENT
    threads: 1
    params:
        script="job",
    script:
        "../scripts/{params.script}.py"


use rule unmeasured_job as job with:
    benchmark:
        "<results>/benchmarks/<name>.tsv"


# Snakemake's cache between workflows (`--cache`) takes no rule that has a benchmark.
if "SNAKEMAKE_OUTPUT_CACHE" in os.environ:

    use rule unmeasured_job as cacheable_job

else:

    use rule job as cacheable_job


# On a cluster, short jobs are submitted together.
use rule job as short_job with:
    group:
        submitted_with("results", "tables")


use rule short_job as figure with:
    resources:
        mem_mb=memory(lambda wildcards: 500 + 2 * len(MODELS)),
        runtime=minutes(5),
