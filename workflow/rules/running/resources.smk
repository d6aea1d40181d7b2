from kernelatlas.running.resources import memory_mb, runtime_minutes

# GPUs of a job that trains, for which schedulers are asked; and of how many quarters of one it makes
# use, which profiles/default limits to those of this machine. Where there are none, Snakemake
# reduces the number to 0.
GPU = 0 if config["device"] in ("cpu", "mps") else 1
QUARTER, WHOLE = 1 * GPU, 4 * GPU


# The numbers in the rules are what `benchmarks/resources.py` found for the paper's zoo, rounded up.
def memory(mb, per_mb=0):
    """`mem_mb` of a rule: `mb`, maybe a function of the wildcards, and `per_mb` for an input MB."""

    def asked(wildcards, input, attempt):
        fixed = mb(wildcards) if callable(mb) else mb
        return memory_mb(fixed, per_mb, input, attempt)

    return asked


def minutes(fixed, per_mb=0):
    """`runtime` of a rule, likewise; the numbers leave a margin for slow disks and nodes."""
    return lambda wildcards, input, attempt: runtime_minutes(
        fixed, per_mb, input, attempt
    )


# Networks of a zoo whose short jobs are one job of a cluster.
FEW = 50


def submitted_with(group, part=None):
    """`group` of a rule whose jobs a cluster gets together; `part` of it if networks are many.

    None on one machine, where groups change nothing. Snakemake follows all inputs of each job of a
    group, and that once for each other job of the group: minutes where a group has hundreds.
    """

    def asked(wildcards):
        plugin = workflow.executor_plugin
        if not plugin or plugin.common_settings.local_exec:
            return None
        return part if part and len(MODELS) > FEW else group

    # To Snakemake a rule with a function is of a group, and thus none that runs where it does.
    return group and asked
