"""A zoo file: families of models and where each model's weights are."""

import os.path
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.documents import read_yaml, refuse_wildcards, resolved
from kernelatlas.running.schema import validate
from kernelatlas.sources.packages import Packaged, find
from kernelatlas.sources.registry import Tag, check_architecture, is_pattern, resolve

SOURCES = {"file", "package", "hub", "url", "init"}
OPTIONS = ("key", "fused", "depthwise")
LONGEST = 200  # characters of a name: files have up to 255, and add to it
PERIODIC = re.compile(r"(.+)\1{19}$")  # what Snakemake refuses
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Model:
    """One entry of a zoo.

    Attributes
    ----------
    name, family
        Parts of file names.
    file
        Path of a local checkpoint.
    packaged
        A checkpoint in an installed Python package.
    hub, filenames, revision
        Repository; names of files, the first of which that exists is read (empty: the usual names);
        commit, branch or tag.
    url, sha256
        An address, and the digest that the file must have.
    etag, locked
        The ETag that the file at an address must have; whether ETag, revision or digest come
        from the lock file.
    architecture
        Architecture of timm whose layers the checkpoint must have.
    key, fused, depthwise
        As in `kernelatlas.sources.source.Options`.
    init
        Of an untrained control: an architecture of timm, or the path of a recipe (.yaml).
    seed, arguments
        Seed and arguments of `init`; a recipe has its own.
    trained_on
        Training data, in words for titles; may be empty.
    network, step
        Of a checkpoint of a training: the network that is trained, and the number of steps.
    """

    name: str
    family: str
    file: str | None = None
    packaged: Packaged | None = None
    hub: str | None = None
    filenames: tuple[str, ...] = ()
    revision: str | None = None
    url: str | None = None
    sha256: str | None = None
    etag: str | None = None
    locked: bool = False
    architecture: str | None = None
    key: str | None = None
    fused: bool = False
    depthwise: bool = False
    init: str | None = None
    seed: int | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    trained_on: str = ""
    network: str | None = None
    step: int | None = None

    @property
    def trained(self) -> bool:
        return self.init is None

    @property
    def recipe(self) -> str | None:
        return self.init if self.init and self.init.endswith((".yaml", ".yml")) else None

    @property
    def remote(self) -> dict[str, Any]:
        """The parameter `remote` of `extract`: a hub or an address; empty for files."""
        keys = ("hub", "filenames", "revision", "url", "sha256", "etag")
        given = {key: getattr(self, key) for key in keys if getattr(self, key)}
        return given if self.hub or self.url else {}

    @property
    def options(self) -> dict[str, Any]:
        """What is not the default of `kernelatlas.sources.source.Options`."""
        return {key: value for key in OPTIONS if (value := getattr(self, key))}


def lock_of(path: str | Path) -> Path:
    """Return the path of a zoo's lock file."""
    return Path(path).with_suffix(".lock.yaml")


def load_zoo(path: str | Path, every_tag: bool = False, root: str | Path = ".") -> list[Model]:
    """Read and check a zoo file, and the lock file beside it if there is one.

    Parameters
    ----------
    path
        Relative paths in the file count from its folder.
    every_tag
        Whether an architecture of timm without a tag stands for all its tags, or for
        timm's default one.
    root
        The folder that relative paths count from if there is nothing where they say.

    Returns
    -------
    list of Model
        Sorted by family and name, so that the order in the file changes nothing.

    Raises
    ------
    KernelAtlasError
        If the file is missing, malformed or empty, or one of its entries is not valid.
    """
    path = str(path)
    data = _yaml(path, "zoo")
    lock = lock_of(path)
    locked = _yaml(str(lock), "lock") if lock.exists() else {}
    families: dict[str, str] = {}
    for family in data["families"]:
        twin = families.setdefault(family.lower(), family)
        if twin != family:
            raise KernelAtlasError(
                f"{path}: the families '{twin}' and '{family}' differ in case alone, which some "
                "file systems ignore: rename one"
            )
    entries = [
        (entry if isinstance(entry, dict) else {"name": entry}, family)
        for family, entries in data["families"].items()
        for entry in entries
    ]
    models: dict[str, Model] = {}  # by name in lower case: some file systems take A for a
    by_name = [item for item in entries if not _is_open(item[0])]
    for entry, family in by_name:
        _add(models, _model(entry, family, path, root), path)
    explicit = set(models)
    for entry, family in (item for item in entries if _is_open(item[0])):
        for tag in _tags(entry["name"], path, every_tag):
            if tag.name.lower() in explicit:
                continue  # it also has an entry of its own, perhaps with a revision
            if models.get(tag.name.lower(), Model("", "")).family != family:
                _add(models, _of_tag(tag, family, {**entry, "name": tag.name}), path)
    pinned = [
        replace(model, locked=True, **locked[model.name])
        if model.name in locked and model.remote and not (model.revision or model.sha256)
        else model
        for model in models.values()
    ]
    return sorted(pinned, key=lambda model: (model.family, model.name))


def _yaml(path: str, schema: str) -> dict[str, Any]:
    data = read_yaml(path, "no such zoo file: check `zoo` and `dynamics` in the config")
    if data is None and schema == "zoo":
        raise KernelAtlasError(f"{path}: the zoo is empty: list models under `families`")
    if schema == "zoo" and isinstance(data, dict) and isinstance(data.get("families"), dict):
        # The schema would not say what to do if YAML reads a name as something else.
        for family, entries in data["families"].items():
            _check_name(family, "family", path)
            for entry in entries if isinstance(entries, list) else ():
                name = entry.get("name", "") if isinstance(entry, dict) else entry
                if not isinstance(name, str):
                    _check_name(name, "model", path)
    validate({} if data is None else data, schema, path)
    return data or {}


def load_dynamics(path: str | Path, zoo: list[Model], root: str | Path = ".") -> list[Model]:
    """Read and check a zoo of checkpoints of trainings.

    Parameters
    ----------
    zoo
        Models of the other zoo, whose names cannot be used again.
    root
        As for `load_zoo`.

    Raises
    ------
    KernelAtlasError
        As `load_zoo`; if an entry has no `network` and `step`, if a network is in two families or
        has a step twice, or if a name is in the other zoo.
    """
    taken = {model.name.lower(): model for model in zoo}
    states: dict[tuple[str, int], Model] = {}
    families: dict[str, str] = {}
    for model in load_zoo(path, root=root):
        if model.network is None or model.step is None:
            raise KernelAtlasError(
                f"{path}: model '{model.name}': a checkpoint of a training needs "
                "`network` and `step`"
            )
        if model.name.lower() in taken:
            raise KernelAtlasError(
                f"{path}: model '{model.name}' is also in the zoo: give it another name here"
            )
        twin = states.setdefault((model.network, model.step), model)
        if twin is not model:
            raise KernelAtlasError(
                f"{path}: model '{model.name}': network '{model.network}' has step {model.step} "
                f"also as '{twin.name}': keep one of them"
            )
        family = families.setdefault(model.network, model.family)
        if family != model.family:
            raise KernelAtlasError(
                f"{path}: network '{model.network}' is of the families '{family}' and "
                f"'{model.family}': list its checkpoints in one"
            )
    return sorted(states.values(), key=lambda model: (model.family, model.network, model.step))


def _is_open(entry: dict[str, Any]) -> bool:
    """Tell whether an entry may stand for several of timm's networks."""
    name = entry["name"]
    return not SOURCES & entry.keys() and ("." not in name or is_pattern(name))


def _add(models: dict[str, Model], model: Model, path: str) -> None:
    twin = models.setdefault(model.name.lower(), model)
    if twin is not model:
        raise KernelAtlasError(
            f"{path}: model '{model.name}' of family '{model.family}' stands also in "
            f"family '{twin.family}': give each model one name and one place"
        )


def _tags(name: str, path: str, every_tag: bool) -> list[Tag]:
    try:
        return resolve(name, every_tag)
    except KernelAtlasError as error:
        raise KernelAtlasError(f"{path}: {error}") from error


def _of_tag(tag: Tag, family: str, fields: dict[str, Any]) -> Model:
    """Return the model of a network of timm; `fields` are further attributes of it."""
    if tag.hub is None:
        return Model(family=family, url=tag.url, architecture=tag.architecture, **fields)
    filenames = (tag.filename,) if tag.filename else ()
    return Model(
        family=family, hub=tag.hub, filenames=filenames, architecture=tag.architecture, **fields
    )


def _model(entry: dict[str, Any], family: str, path: str, root: str | Path) -> Model:
    fields = dict(entry)
    name = fields["name"]
    _check_name(name, "model", path)
    if not SOURCES & fields.keys():
        return _of_tag(_tags(name, path, every_tag=False)[0], family, fields)
    if "filename" in fields:
        fields["filenames"] = (fields.pop("filename"),)
    try:
        if "package" in fields:
            fields["packaged"] = find(fields.pop("package"), fields.pop("file"))
        if "architecture" in fields:
            check_architecture(fields["architecture"])
    except KernelAtlasError as error:
        raise KernelAtlasError(f"{path}: model '{name}': {error}") from error
    model = Model(family=family, **fields)
    source = model.file or model.recipe
    if source is None:
        return model
    found = resolved(source, Path(path).parent, root, os.path.isfile)
    if not os.path.isfile(found):
        raise KernelAtlasError(
            f"{path}: model '{name}': no file '{source}' (seen from the folder of the zoo): "
            "correct the path or remove the entry"
        )
    refuse_wildcards(found, f"{path}: model '{name}'")
    return replace(model, file=found) if model.file else replace(model, init=found)


def _check_name(name: Any, kind: str, path: str) -> None:
    if type(name) is not str:
        raise KernelAtlasError(
            f"{path}: {kind} name '{name}' is no text for YAML, which reads numbers, dates, null, "
            "yes, no, on and off as such: write it in quotes"
        )
    if len(name) > LONGEST:
        raise KernelAtlasError(
            f"{path}: {kind} name '{name[:40]}…' has {len(name)} characters, too many for the "
            f"names of files: use at most {LONGEST}"
        )
    if PERIODIC.search(name):
        raise KernelAtlasError(
            f"{path}: {kind} name '{name[:40]}…' ends with the same characters over and over, "
            "which Snakemake takes for an endless recursion: choose another"
        )
    if not NAME.fullmatch(name):
        raise KernelAtlasError(
            f"{path}: {kind} name {name!r} cannot be a file name: "
            "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
