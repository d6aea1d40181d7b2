import functools

import pyarrow.parquet as pq

from kernelatlas.kernels.sizes import (
    models_with,
    sides_of_models,
    sizes_of,
    surely_studied,
)
from kernelatlas.names import SMALLEST_FIT
from kernelatlas.release.explorer_page import lost
from kernelatlas.running.digests import Digests
from kernelatlas.running.files import metadata_of
from kernelatlas.running.resources import FEWEST_ON_GPU
from kernelatlas.sources import images
from kernelatlas.sources.expected import expected_counts, other_sizes
from kernelatlas.sources.shards import shards_of
from kernelatlas.sources.registry import digest as registry_digest
from kernelatlas.tables.named_layers import number_of
from kernelatlas.training.histories import history_of, with_history
from kernelatlas.training.maps import maps_digest
from kernelatlas.training.recipes import read_recipe, recipe_files

# Networks that were trained here, of which the history is known: last checkpoints of trainings,
# and models of the zoo.
DOCUMENTED = with_history(EXPERIMENT.last_checkpoints)
OF_KNOWN_ACCURACY = with_history(EXPERIMENT.zoo.values())
# Trained networks of which the maps are known: timm has the architecture, or the file the recipe.
MAPPED = [
    name
    for name in TRAINED
    if EXPERIMENT.zoo[name].architecture or EXPERIMENT.zoo[name] in OF_KNOWN_ACCURACY
]
# Models of which the reviews of the paper name a layer, with their architecture.
NAMED = {
    model.name: architecture
    for model in EXPERIMENT.zoo.values()
    if number_of(architecture := model.architecture or model.init or model.name)
}
RECIPES_BY_DATA = EXPERIMENT.recipes_by_data()
DIGESTS = Digests(".snakemake/kernelatlas/digests.json")


def outside(*files):
    """Files that no rule makes, whose paths the prefix of a module leaves as they are."""
    return [local(str(file)) for file in files]


def of_workflow(path):
    """A file of the workflow's own folder, as seen from the working folder."""
    return local(os.path.relpath(ROOT / path))


def model_of(wildcards):
    """The entry of {model} in the zoo, or among the checkpoints of trainings."""
    return EXPERIMENT.model(wildcards.model)


def as_json(value):
    """A parameter that is not plain, as a text."""
    plain = asdict(value) if is_dataclass(value) else value
    return json.dumps(plain, sort_keys=True)


def size_of(wildcards):
    """The kernel size {k}."""
    return int(wildcards.k)


def checkpoint_of(wildcards):
    """The files that hold the weights of {model}; none if it comes from a hub or an address."""
    model = model_of(wildcards)
    if not model.trained:
        return f"<results>/untrained/{model.name}.safetensors"
    return outside(model.file, *shards_of(model.file)) if model.file else []


def digest_of_checkpoint(wildcards):
    """Digest of the files that hold the weights of {model}, whatever their times say.

    None if it comes from a hub or an address, or is written by a rule, perhaps only after this.
    """
    file = model_of(wildcards).file
    if not file or Path(file).parent == Path(RESULTS) / "networks":
        return None
    return DIGESTS.of(checkpoint_of(wildcards))


def recipe_of(path):
    """The files that a recipe is made of; none without one."""
    try:
        return outside(*recipe_files(path)) if path else []
    except KernelAtlasError as error:
        stop(error)


def layers_of(wildcards):
    """Digest of the layers that timm says {model} has."""
    architecture = model_of(wildcards).architecture
    return registry_digest(architecture) if architecture else None


def maps_of(wildcards):
    """Digest of the maps that timm's registry has of {model}; None if its file has the recipe."""
    if recipe_in_file(wildcards):
        return None
    model = model_of(wildcards)
    return maps_digest(model.architecture, model.name)


# Kernels by height and width of the networks of which they are known before they are read.
COUNTS = expected_counts(
    [*EXPERIMENT.zoo.values(), *EXPERIMENT.dynamics.values()],
    f"{RESULTS}/kernels",
    functools.cache(read_recipe),
    lambda model: DIGESTS.of([model.file]) if model.file else None,
)
UNKNOWN = [name for name in MODELS if name not in COUNTS]
# The kernel sizes under study; None if that is not known before all kernels are counted.
STUDIED = (
    None
    if UNKNOWN
    else surely_studied(
        [COUNTS[name] for name in TRAINED],
        config["kernel_sizes"],
        config["minimum_kernels"],
    )
)


def studied(models=None):
    """Sorted kernel sizes under study that these models (the zoo's without it) have.

    The models are either all of the zoo or all checkpoints of trainings.
    """
    names = list(MODELS if models is None else models)
    if STUDIED is not None and all(name in COUNTS for name in names):
        return [k for k in sorted(STUDIED) if any((k, k) in COUNTS[n] for n in names)]
    of_zoo = not set(names) & set(DYNAMICS)
    return sizes_of(table_of_sizes(of_zoo), names)


def refuse_other_sizes():
    """Stop if jobs were planned for other kernel sizes than networks turn out to have."""
    for table in ("sizes", "dynamics_sizes"):
        path = f"{RESULTS}/tables/{table}.parquet"
        if error := other_sizes(COUNTS, sides_of_models(path)):
            stop(error)


def table_of_sizes(of_zoo=True):
    """The table of kernel sizes of the zoo, or of the checkpoints of trainings, when it is made."""
    try:
        table = checkpoints.sizes if of_zoo else checkpoints.dynamics_sizes
        return table.get().output.parquet
    except Exception:  # of Snakemake, until it is made
        tell_what_is_hidden()
        raise


@functools.cache
def tell_what_is_hidden():
    """Say once that more jobs follow, why, and about how many files they make."""
    values = {"model": MODELS, "family": FAMILIES, "k": config["kernel_sizes"]}
    most = TARGETS.most("all", {**values, "seed": config["seeds"]})
    if UNKNOWN:
        few = ", ".join(UNKNOWN[:5]) + (" …" if len(UNKNOWN) > 5 else "")
        why = f"the kernel sizes of {len(UNKNOWN)} of {len(MODELS)} networks ({few})"
    else:
        why = "whether each kernel size has `minimum_kernels`"
    logger.info(
        f"{why[0].upper()}{why[1:]} will be known when their kernels are read: the jobs after "
        f"that are not among those counted here. For `all` they make up to {most:,} files."
    )


@functools.cache
def models_of_size(k, trained):
    """The zoo's models, or its trained ones, that have k×k kernels."""
    models = TRAINED if trained else MODELS
    if STUDIED is not None:
        return [name for name in models if (k, k) in COUNTS[name]]
    return models_with(table_of_sizes(), k, models)


def of_size(pattern, trained=False):
    """Input function: `pattern` for every model, or trained one, that has {k}x{k} kernels.

    A network without such kernels thus changes no table of this size, and the fewer inputs there
    are, the sooner Snakemake has planned.
    """
    return lambda wildcards: expand(
        pattern, model=models_of_size(size_of(wildcards), trained)
    )


def described_of_size(wildcards):
    """What tables say of the models with {k}x{k} kernels."""
    return EXPERIMENT.describe(models_of_size(size_of(wildcards), False))


def fitted_sizes(models=None):
    """Studied kernel sizes of these models that analytic functions are fitted to."""
    return [k for k in studied(models) if k >= SMALLEST_FIT]


def of_model(pattern):
    """Input function: `pattern` for every studied size of {model}, and every seed."""
    return lambda wildcards: expand(
        pattern, k=studied([wildcards.model]), seed=config["seeds"]
    )


def of_family(pattern):
    """Input function: `pattern` for every model and studied size of {family}."""

    def paths(wildcards):
        models = EXPERIMENT.of_family(wildcards.family)
        return expand(pattern, model=models, k=studied(models))

    return paths


def of_families(pattern):
    """Input function: `pattern` for every family that has kernels of a studied size."""
    return lambda wildcards: expand(pattern, family=OF_ZOO["family"]())


def recipe_in_file(wildcards):
    """The file of {model} if it holds the recipe of its training."""
    model = model_of(wildcards)
    return outside(model.file) if model in OF_KNOWN_ACCURACY else []


def kernels_to_fit(wildcards):
    """The kernels of {model}, once the kernel sizes are known, which are a parameter."""
    fitted_sizes([wildcards.model])
    return f"<results>/kernels/{wildcards.model}.parquet"


def quarters_of_fits(wildcards):
    """Quarters of a GPU for the fits of {model}: none if it has few kernels, or on a cluster.

    There, its job is one of many in a group, for which no GPU is asked.
    """
    table = Path(f"{RESULTS}/kernels/{wildcards.model}.parquet")
    plugin = workflow.executor_plugin
    here = plugin and plugin.common_settings.local_exec and not workflow.remote_exec
    if not QUARTER or not here or not table.exists():
        return 0
    return QUARTER if pq.read_metadata(table).num_rows >= FEWEST_ON_GPU else 0


# Networks that timm can build, which are tested on the user's pictures. `fused` kernels are not
# those of a network.
ON_PICTURES = [
    model.name
    for model in EXPERIMENT.zoo.values()
    if config["images"] and model.trained and model.architecture and not model.fused
]


def evaluated():
    """Networks that can be tested and have kernels to which functions are fitted."""
    names = [*(model.name for model in OF_KNOWN_ACCURACY), *ON_PICTURES]
    return [name for name in dict.fromkeys(names) if fitted_sizes([name])]


def limit_of_pictures(wildcards):
    """How many pictures {model} is tested on at most; None if it has a test of its own."""
    return config["evidence"]["pictures"] if wildcards.model in ON_PICTURES else None


def memory_of_test(wildcards):
    """MB of a job that tests {model}: its weights thrice, if they are large, and a batch."""
    table = Path(f"{RESULTS}/kernels/{wildcards.model}.parquet")
    weights = metadata_of(table).get("bytes", 0) if table.exists() else 0
    return (3000 if wildcards.model in ON_PICTURES else 2000) + 3 * weights / 1e6


def downloads_of_test(wildcards):
    """Whether a job that tests {model} downloads its checkpoint, as a resource."""
    return 1 if model_of(wildcards).remote else 0


def digest_of_pictures(wildcards):
    """Digest of the pictures that {model} is tested on; None if it has a test of its own."""
    limit = limit_of_pictures(wildcards)
    return limit and digest_of_at_most(limit)


@functools.cache
def digest_of_at_most(limit):
    """Digest of the pictures of the config, at most so many."""
    try:
        return images.digest(
            images.chosen(images.list_pictures(config["images"]), limit)
        )
    except KernelAtlasError as error:
        stop(error)


def published_filters(wildcards):
    """The user's file of the published filters, where kernels of {k} or {model} are 7x7 as they."""
    path = config["evidence"]["published"]
    if path is None:
        return []
    of_model = "model" in wildcards.keys()
    sizes = fitted_sizes([wildcards.model]) if of_model else [size_of(wildcards)]
    if 7 not in sizes:
        return []
    if not Path(path).is_file():
        stop(
            f"config.yaml: evidence.published: no file '{path}': correct it, or set null"
        )
    return outside(path)


def frozen_only(path):
    """Input function: `path` of trainings with frozen kernels, nothing of those that learn them."""

    def paths(wildcards):
        if wildcards.variant == "learned":
            return []
        if 7 not in studied():
            stop(
                f"{config['zoo']}: has too few kernels of 7x7, whose master keys `frozen` needs: "
                "add a network that has them, or use workflow/zoos/embedded.yaml"
            )
        return expand(path, seed=wildcards.seed)

    return paths


def described_checkpoint(wildcards):
    """Where the weights of {model} are, if not in a file, and what timm calls the network."""
    model = model_of(wildcards)
    packaged = asdict(model.packaged) if model.packaged else None
    known = {"remote": model.remote, "packaged": packaged, "key": model.key}
    return as_json({**known, "architecture": model.architecture})


# The page of the explorer, without what editors leave beside it; the page itself first.
PAGE_FOLDER = "workflow/kernelatlas/release/page"
PAGE = sorted(
    (
        path.relative_to(ROOT / PAGE_FOLDER).as_posix()
        for path in (ROOT / PAGE_FOLDER).rglob("*")
        if path.suffix in (".html", ".css", ".js", ".svg")
    ),
    key=lambda name: (name != "index.html", name),
)


def whole_explorer(wildcards):
    """The index of the explorer's data. Without all of their files it goes, so that all are made.

    A dry run removes nothing.
    """
    index = Path(RESULTS) / "explorer/data/index.json"
    if found := lost(index.parent):
        plugin = workflow.executor_plugin
        runs = plugin is not None and not plugin.common_settings.dryrun_exec
        logger.warning(
            f"WARNING {index.parent}: {', '.join(found[:3])}{' …' if found[3:] else ''}: missing "
            "or not as long as written: "
            + (
                "the explorer's data are made again"
                if runs
                else "a run makes all data again"
            )
        )
        if runs:
            index.unlink()
    return "<results>/explorer/data/index.json"
