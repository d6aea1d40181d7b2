import functools
import json
import math
import os
import re
import sys
import time
from pathlib import Path

from snakemake.logging import logger

WORKFLOW = Path(workflow.basedir) / "workflow"
ENVIRONMENT = str(Path(workflow.basedir) / "envs" / "environment.yaml")

# Scripts find the library in whatever environment or on whatever node they run.
sys.path.insert(0, str(WORKFLOW))
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [str(WORKFLOW), os.getenv("PYTHONPATH")]))
)

from kernelatlas.sources.shards import shards_of
from kernelatlas.running.upgrade import outdated, refuse_replaced
from kernelatlas.errors import KernelAtlasError, suggest
from kernelatlas.running.fingerprint import fingerprint as fingerprint_of
from kernelatlas.sources.lock import settled
from kernelatlas.names import SMALLEST_FIT
from kernelatlas.training.recipes import recipe_files
from kernelatlas.sources.registry import digest as registry_digest
from kernelatlas.running.schema import validate
from kernelatlas.kernels.sizes import studied_sizes
from kernelatlas.running.slurm import errors_in, refuse_orphans
from kernelatlas.sources.zoo import load_dynamics, load_zoo, lock_of


def stop(message):
    """End Snakemake with one line instead of a traceback."""
    logger.error(f"ERROR {message}")
    raise SystemExit(1)


try:
    # YAML reads an unquoted 7 as a number, JSON keys are texts.
    if isinstance(config.get("thresholds"), dict):
        config["thresholds"] = {str(k): v for k, v in config["thresholds"].items()}
    refuse_replaced(config, "config.yaml")
    validate(config, "config", "config.yaml")
    MODELS = {
        model.name: settled(model, f"results/kernels/{model.name}.parquet")
        for model in load_zoo(config["zoo"], config["tags"] == "all")
    }
    # States on the way of trainings: labelled, but never part of a corpus or of `all`.
    DYNAMICS = {
        model.name: model
        for model in (
            load_dynamics(config["dynamics"], list(MODELS.values()))
            if config["dynamics"]
            else []
        )
    }
except KernelAtlasError as error:
    stop(error)
if Path("results").exists() and not os.access("results", os.W_OK):
    stop(f"{Path('results').absolute()} cannot be written: check its permissions")


if old := outdated("results"):
    logger.warning(old)

STARTED = time.time()


# Snakemake holds the folder's lock by then, and nothing has been submitted.
onstart:
    try:
        refuse_orphans(
            os.getcwd(), required=workflow.executor_plugin.name == "slurm"
        )
    except KernelAtlasError as error:
        stop(error)


# Where jobs run here, their errors have been told.
onerror:
    if not workflow.local_exec:
        for line in errors_in("results/logs", STARTED):
            logger.error(line)


if config["container"]:

    container: config["container"]


FAMILIES = sorted({model.family for model in MODELS.values()})
TRAINED = [name for name, model in MODELS.items() if model.trained]
REMOTE = [name for name, model in MODELS.items() if model.remote]
FIRST_SEED = config["seeds"][0]
# A job takes one GPU, unless there is nothing for it to do there. A profile that limits `gpu`
# to none, as profiles/default does where there is none, makes this 0.
GPU = 0 if config["device"] in ("cpu", "mps") else 1
NESTED_MB = 500
# Whether checkpoints are read in jobs of their own, or where Snakemake runs.
NODES_EXTRACT = config["extract_on"] == "nodes"


# A name that is not in the zoo is told as such; Snakemake would know of no rule.
TARGETS = {
    r"results/figures/(.+)_(?:clusters|layers)\.\w+": ("family", FAMILIES),
    r"results/tables/(.+)_(?:clusters|members)\.\w+": ("family", FAMILIES),
    r"results/(?:kernels|labels|fits|replacements)/(.+)\.parquet": (
        "model",
        sorted({**MODELS, **DYNAMICS}),
    ),
}
for target in sys.argv[1:]:
    for pattern, (kind, known) in TARGETS.items():
        match = re.fullmatch(pattern, target)
        if match and match[1] not in known:
            stop(
                f"{target}: no {kind} '{match[1]}' in the zoo {config['zoo']}; "
                + suggest(match[1], known, f"there are: {', '.join(known[:20])}")
            )


wildcard_constraints:
    model="|".join(map(re.escape, [*MODELS, *DYNAMICS])),
    family="|".join(map(re.escape, FAMILIES)),
    network=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    k=r"[1-9][0-9]*",
    seed=r"[0-9]+",


def fingerprint(script):
    """Digest of what a script and the modules it imports mean: a rule's `code`."""
    return fingerprint_of(WORKFLOW / "scripts" / f"{script}.py")


def size_mb(files):
    """Megabytes of those files that are there: in a group, some are made by its first jobs."""
    return sum(os.path.getsize(file) for file in files if os.path.exists(file)) / 1e6


def memory(mb, per_mb=0, of=None):
    """`mem_mb` of a rule: `mb`, and `per_mb` for each MB of its input, or of other files.

    `mb` may be a function of the wildcards.

    A job that was tried before gets more. NESTED_MB are for the Snakemake processes that
    a cluster runs around a job. The numbers are what `benchmarks/resources.py` found for the
    paper's zoo, rounded up.
    """

    def asked(wildcards, input, attempt):
        fixed = mb(wildcards) if callable(mb) else mb
        return NESTED_MB + math.ceil(attempt * (fixed + per_mb * size_mb(of or input)))

    return asked


def minutes(fixed, per_mb=0):
    """`runtime` of a rule, likewise, with a margin for slow disks and nodes."""
    return lambda wildcards, input, attempt: math.ceil(
        attempt * (fixed + per_mb * size_mb(input))
    )


def cacheable(name):
    """Let `--cache` take a rule: Snakemake refuses it for one that has a benchmark."""
    if name in (workflow.workflow_settings.cache or ()):
        workflow.get_rule(name)._benchmark = None


def model_of(wildcards):
    """The entry of {model} in the zoo, or among the states of trainings."""
    return MODELS.get(wildcards.model) or DYNAMICS[wildcards.model]


def checkpoint_of(wildcards):
    """The files that hold the weights of {model}; none of what comes from a hub."""
    model = model_of(wildcards)
    if not model.trained:
        return f"results/untrained/{model.name}.safetensors"
    return [model.file, *shards_of(model.file)] if model.file else []


def recipe_of(path):
    """The files that a recipe is made of; none without one."""
    try:
        return [str(file) for file in recipe_files(path)] if path else []
    except KernelAtlasError as error:
        stop(error)


def layers_of(wildcards):
    """Digest of the layers that timm says {model} has."""
    architecture = model_of(wildcards).architecture
    return registry_digest(architecture) if architecture else None


def models_of(family):
    """Names of the models of a family."""
    return [name for name, model in MODELS.items() if model.family == family]


@functools.cache
def sizes_of_models(path, changed):
    """Studied kernel sizes by model, read once: every job of every model asks for them."""
    return studied_sizes(path)


def studied(models=None):
    """Sorted kernel sizes under study that these models (the zoo's without it) have.

    They are either all of the zoo or all states of trainings.
    """
    names = list(MODELS if models is None else models)
    of_zoo = not set(names) & set(DYNAMICS)
    tables = checkpoints.sizes if of_zoo else checkpoints.dynamics_sizes
    path = tables.get().output.parquet
    known = sizes_of_models(path, os.stat(path).st_mtime_ns)
    return sorted({k for name in names for k in known.get(name, [])})


def of_model(pattern):
    """Input function: `pattern` for every studied size of {model}, and every seed."""
    return lambda wildcards: expand(
        pattern, k=studied([wildcards.model]), seed=config["seeds"]
    )


def of_family(pattern):
    """Input function: `pattern` for every model and studied size of {family}."""

    def paths(wildcards):
        models = models_of(wildcards.family)
        return expand(pattern, model=models, k=studied(models))

    return paths


def describe(models):
    """What tables say of models: plain lists, as Snakemake stores parameters."""
    return [
        [m.name, m.family, m.trained, m.trained_on]
        for m in (MODELS[name] for name in models)
    ]


def last_states():
    """The last state of each network whose training is followed."""
    return {model.network: model for model in DYNAMICS.values()}.values()


def describe_dynamics():
    """What tables say of the states of trainings, in the order of network and step."""
    data = {model.network: model.trained_on for model in last_states()}
    return [
        [m.name, m.family, m.trained, data[m.network], m.network, m.step]
        for m in DYNAMICS.values()
    ]


def all_results(wildcards):
    """Everything that `all` makes, by folder: a file that is deleted is made again."""
    sizes = studied()
    families = [family for family in FAMILIES if studied(models_of(family))]
    by_family = expand("{family}_clusters", family=families)
    by_size = expand(
        "{what}_k{k}", what=["spectrum", "pca", "weightsum", "training"], k=sizes
    )
    figures = [
        "models",
        *by_family,
        *expand("{family}_layers", family=families),
        *by_size,
    ]
    tables = [
        *("sizes", "models", "composition"),
        *by_family,
        *expand("{family}_members", family=families),
        *by_size,
        *expand("pca_components_k{k}", k=sizes),
    ]
    trained = expand("k{k}_seed{seed}", k=sizes, seed=config["seeds"])
    return [
        *expand(
            "results/{what}/{model}.parquet", what=["kernels", "labels"], model=MODELS
        ),
        *expand("results/corpora/k{k}.parquet", k=sizes),
        *expand("results/autoencoders/{name}.safetensors", name=trained),
        *expand("results/autoencoders/{name}_history.parquet", name=trained),
        *expand("results/clusters/k{k}.parquet", k=sizes),
        *expand(
            "results/tables/{name}.{suffix}", name=tables, suffix=["parquet", "csv"]
        ),
        *expand("results/figures/{name}.{suffix}", name=figures, suffix=["pdf", "png"]),
    ]


def history_of(model):
    """Where `network` writes a network's history: beside its weights."""
    return Path(model.file).with_name(f"{Path(model.file).stem}_history.parquet")


def documented():
    """Those last states whose history is there: networks that were trained by a recipe."""
    return [m for m in last_states() if m.file and history_of(m).is_file()]


def of_known_accuracy():
    """Trained models of the zoo whose history is there: their files tell their accuracy."""
    return [
        model
        for model in MODELS.values()
        if model.trained and model.file and history_of(model).is_file()
    ]


def recipes_by_data():
    """A recipe for each kind of training data: of the first network that has one."""
    found = {}
    data = {model.network: model.trained_on for model in last_states()}
    for model in DYNAMICS.values():
        if model.recipe and data[model.network]:
            found.setdefault(data[model.network], model.recipe)
    return found


def dynamics_results(wildcards):
    """Everything that `dynamics` makes."""
    if not DYNAMICS:
        stop(
            "config.yaml: dynamics: none: name a zoo of states on the way of trainings"
        )
    tables = ["dynamics_sizes", "emergence", "emergence_composition", "seeds"]
    tables += ["networks", "learning"] if documented() else []
    tables += ["data_spectra", "data_samples"] if recipes_by_data() else []
    return [
        *expand(
            "results/{what}/{model}.parquet", what=["kernels", "labels"], model=DYNAMICS
        ),
        *expand(
            "results/tables/{name}.{suffix}", name=tables, suffix=["parquet", "csv"]
        ),
        *expand(
            "results/figures/{name}.{suffix}",
            name=["emergence", "seeds", "data"],
            suffix=["pdf", "png"],
        ),
    ]


def fitted_sizes(models=None):
    """Studied kernel sizes of these models that analytic functions are fitted to."""
    return [k for k in studied(models) if k >= SMALLEST_FIT]


def kernels_to_fit(wildcards):
    """The kernels of {model}; its sizes, a parameter, are known after the checkpoint only."""
    fitted_sizes([wildcards.model])
    return f"results/kernels/{wildcards.model}.parquet"


def evaluated():
    """Networks that can be tested with other kernels; asks for the studied sizes."""
    return [model.name for model in of_known_accuracy() if fitted_sizes([model.name])]


def released(wildcards):
    """The files of a release, as far as they are results."""
    trained = expand("k{k}_seed{seed}", k=studied(), seed=config["seeds"])
    return [
        *expand("results/autoencoders/{name}.safetensors", name=trained),
        *expand("results/autoencoders/{name}_history.parquet", name=trained),
        *expand("results/clusters/k{k}.parquet", k=studied()),
        *expand(
            "results/{what}/{model}.parquet", what=["labels", "fits"], model=MODELS
        ),
        *expand("results/masterkeys/k{k}.safetensors", k=studied()),
        *expand(
            "results/tables/{name}.{suffix}",
            name=["models", "sizes", *expand("nulls_k{k}", k=fitted_sizes())],
            suffix=["parquet", "csv"],
        ),
    ]


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


def evidence_results(wildcards):
    """Everything that `evidence` makes."""
    sizes, fitted = studied(), fitted_sizes()
    tested = ["replacements"] if evaluated() else []
    by_size = ["baselines", "masterkeys", "distances", "stability"]
    figures = [
        *("accuracy", "offsets", *tested),
        *expand("{what}_k{k}", what=by_size, k=sizes),
        *expand("{what}_k{k}", what=["fits", "nulls"], k=fitted),
    ]
    tables = [
        *("layer_statistics", "accuracy", "accuracy_correlations", *tested),
        *("offsets", "offsets_layers", "offsets_histogram"),
        *expand(
            "{what}_k{k}",
            what=[
                *by_size,
                *("agreement", "baseline_prototypes"),
                *("masterkeys_filters", "masterkeys_models"),
            ],
            k=sizes,
        ),
        *expand(
            "{what}_k{k}",
            what=["functions", "prototype_fits", "nulls", "null_curves"],
            k=fitted,
        ),
    ]
    return [
        *expand("results/fits/{model}.parquet", model=MODELS),
        *expand("results/nulls/k{k}.parquet", k=fitted),
        *expand("results/masterkeys/k{k}.safetensors", k=sizes),
        *expand("results/replacements/{model}.parquet", model=evaluated()),
        *expand(
            "results/tables/{name}.{suffix}", name=tables, suffix=["parquet", "csv"]
        ),
        *expand("results/figures/{name}.{suffix}", name=figures, suffix=["pdf", "png"]),
    ]
