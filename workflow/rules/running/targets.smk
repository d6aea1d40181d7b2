from kernelatlas.running.targets import Targets

# The values of wildcards in each target.
OF_ZOO = {
    "model": lambda: MODELS,
    "family": lambda: [f for f in FAMILIES if studied(EXPERIMENT.of_family(f))],
    "k": studied,
    "seed": lambda: config["seeds"],
}
TARGETS = Targets(
    {
        "all": OF_ZOO,
        "evidence": OF_ZOO,
        "search": OF_ZOO,
        "release": OF_ZOO,
        "dynamics": {"model": lambda: DYNAMICS},
        "frozen": {"variant": lambda: FROZEN, "seed": lambda: config["seeds"]},
    },
    RESULTS,
)


# Outputs name the targets `of` which they are. `over` maps a wildcard to a function that returns
# its values, where these differ from those above. The output is left out if the function `when`
# returns an empty list.
def result(path, of, over=None, when=None):
    """One output."""
    TARGETS.add(path, of, over, when)
    return path


def tables(*name, of, over=None, when=None, **names):
    """Outputs under <results>/tables: `parquet` and `csv` of a single table; else by keyword."""

    def both(stem):
        return [
            result(f"<results>/tables/{stem}.{suffix}", of, over, when)
            for suffix in ("parquet", "csv")
        ]

    if name:
        return dict(zip(("parquet", "csv"), both(*name)))
    return {
        f"{key}{suffix}": path
        for key, stem in names.items()
        for suffix, path in zip(("", "_csv"), both(stem))
    }


def kept(**outputs):
    """Outputs that stay if a job would make the same again (kernelatlas.running.kept)."""
    return {name: update(path) for name, path in outputs.items()}


def figures(name, category, title, of, over=None, when=None):
    """Outputs under <results>/figures, and where the report shows the figure."""
    pdf, png = (f"<results>/figures/{name}.{suffix}" for suffix in ("pdf", "png"))
    labels = {"family": "{family}"} if "{family}" in name else {}
    labels |= {"size": "{k}"} if "{k}" in name else {}
    caption = name.removesuffix("_k{k}").replace("{family}", "family")
    return {
        "pdf": result(pdf, of, over, when),
        "png": report(
            result(png, of, over, when),
            caption=f"../report/{caption}.rst",
            category=category,
            labels={**labels, "figure": title},
        ),
    }


def dynamics_results(wildcards):
    """Everything that `dynamics` makes."""
    if not DYNAMICS:
        stop("config.yaml: dynamics is null: name a zoo of checkpoints of trainings")
    return TARGETS.files("dynamics")


def released(wildcards):
    """The files of a release but for those that describe it."""
    files = TARGETS.files("release")
    copies = [file.replace("<results>/", "<results>/release/", 1) for file in files]
    return copies + (
        rules.release_explorer.output if config["release"]["explorer"] else []
    )


def release_settings(wildcards):
    """What the manifest of a release says of the config."""
    return {
        "kernel_sizes": studied(),
        "r2": config["evidence"]["r2"],
        **{
            key: config[key]
            for key in ("seeds", "thresholds", "autoencoder", "clusters")
        },
    }
