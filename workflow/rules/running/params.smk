from kernelatlas.running.fingerprint import fingerprint


def runs(script, *modules):
    """Params of a rule that runs workflow/scripts/{script}.py.

    `code` is a digest of what the script and all that it imports mean; `modules` are what it
    imports by a name that is a parameter.
    """
    path = WORKFLOW / "scripts" / f"{script}.py"
    return {"script": script, "code": fingerprint(path, modules)}


def draws(figure):
    """Params of a rule that draws a figure with kernelatlas.figures.{figure}."""
    return {
        **runs("figures/figure", f"kernelatlas.figures.{figure}"),
        "figure": figure,
    }


def no_target(wildcards):
    """Input function of the rules that others are made of."""
    stop("this is no target: ask for all, dynamics, evidence, release or a file")
