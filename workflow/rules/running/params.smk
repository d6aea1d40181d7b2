from kernelatlas.running.fingerprints import Fingerprints

FINGERPRINTS = Fingerprints(".snakemake/kernelatlas/fingerprints.json")


def runs(script, *modules):
    """Params of a rule that runs workflow/scripts/{script}.py.

    `code` is a digest of the script and of all modules that it imports; `modules` are those that
    it imports by a name that is a parameter.
    """
    path = WORKFLOW / "scripts" / f"{script}.py"
    return {"script": script, "code": FINGERPRINTS.of(path, modules)}


def tests():
    """Params of rules that test {model}, which say where its weights are and what the test is."""
    return {
        "sizes": lambda wildcards: fitted_sizes([wildcards.model]),
        "checkpoint": described_checkpoint,
        "sha256": digest_of_checkpoint,
        "limit": limit_of_pictures,
        "pictures": digest_of_pictures,
    }


def draws(figure):
    """Params of a rule that draws a figure with kernelatlas.figures.{figure}."""
    return {
        **runs("figures/figure", f"kernelatlas.figures.{figure}"),
        "figure": figure,
    }


def no_target(wildcards):
    """Input function of rules that only others inherit from."""
    stop(
        "rules of workflow/rules/base.smk are no targets: ask for all, dynamics, evidence, search, frozen, release, explorer or a file"
    )
