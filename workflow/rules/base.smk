# What rules with a script share. The others are made of these: `use rule … as … with` their input,
# output, resources, params and message, and <name> of their log and benchmark.
rule unmeasured_job:
    input:
        no_target,
    log:
        "results/logs/<name>.log",
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
        "results/benchmarks/<name>.tsv"


# For `--cache`: Snakemake's cache between workflows takes no rule that has a benchmark.
if "SNAKEMAKE_OUTPUT_CACHE" in os.environ:

    use rule unmeasured_job as cacheable_job

else:

    use rule job as cacheable_job


# On a cluster, jobs of these rules are submitted together.
use rule job as short_job with:
    group:
        "results"


use rule short_job as figure with:
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
