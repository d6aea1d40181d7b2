# What rules with a script share. The others are made of these: `use rule … as … with` their input,
# output, resources, params and message, and <name> of their log and benchmark.
rule job:
    input:
        no_target,
    log:
        "results/logs/<name>.log",
    benchmark:
        "results/benchmarks/<name>.tsv"
    pathvars:
        name="job",
    conda:
        ENVIRONMENT
    threads: 1
    params:
        script="job",
    script:
        "../scripts/{params.script}.py"


# On a cluster, jobs of these rules are submitted together.
use rule job as short_job with:
    group:
        "results"


use rule short_job as figure with:
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
