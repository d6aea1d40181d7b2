"""A zoo file: families of models and where each model's weights are."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kernelatlas.errors import KernelAtlasError
from kernelatlas.schema import validate

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Model:
    """One entry of a zoo.

    Attributes
    ----------
    name, family
        Both are parts of file names.
    file
        Path of a local checkpoint; None for an untrained control.
    init
        timm architecture, or path of a recipe (.yaml), of an untrained control.
    seed, arguments
        Of `init`; a recipe brings its own.
    trained_on
        Words for titles: the data, or empty.
    """

    name: str
    family: str
    file: str | None = None
    init: str | None = None
    seed: int | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    trained_on: str = ""

    @property
    def trained(self) -> bool:
        return self.init is None

    @property
    def recipe(self) -> str | None:
        return self.init if self.init and self.init.endswith((".yaml", ".yml")) else None


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key twice: the last would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key '{key}' stands twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def load_zoo(path: str | Path) -> list[Model]:
    """Read and check a zoo file.

    Returns
    -------
    list of Model
        Sorted by family and name, so that the order in the file changes nothing.

    Raises
    ------
    KernelAtlasError
        If the file is missing, malformed or empty, or an entry of it is wrong.
    """
    try:
        data = yaml.load(Path(path).read_text(), _Loader)
    except FileNotFoundError as error:
        raise KernelAtlasError(f"{path}: no such zoo file: check `zoo` in the config") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KernelAtlasError(f"{path}: cannot be read ({error}): check `zoo`") from error
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise KernelAtlasError(f"{path}: not valid YAML: {text}") from error
    if data is None:
        raise KernelAtlasError(f"{path}: the zoo is empty: list models under `families`")
    validate(data, "zoo", str(path))
    models = [
        _model(entry, family, str(path))
        for family, entries in data["families"].items()
        for entry in entries
    ]
    seen: dict[str, str] = {}
    for model in models:
        # Some file systems take A and a for the same file.
        if model.name.lower() in seen:
            raise KernelAtlasError(
                f"{path}: model '{model.name}' of family '{model.family}' stands also in "
                f"family '{seen[model.name.lower()]}': give each model one name and one place"
            )
        seen[model.name.lower()] = model.family
    return sorted(models, key=lambda model: (model.family, model.name))


def _model(entry: str | dict[str, Any], family: str, path: str) -> Model:
    fields = {"name": entry} if isinstance(entry, str) else dict(entry)
    name = fields["name"]
    for text, kind in ((name, "model"), (family, "family")):
        if not NAME.fullmatch(text):
            raise KernelAtlasError(
                f"{path}: {kind} name {text!r} cannot be a file name: "
                "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
            )
    if not ({"file", "init"} & fields.keys()):
        raise KernelAtlasError(
            f"{path}: model '{name}' would come from a hub, which this version cannot read: "
            f"download it and write {{name: {name}, file: path/to/checkpoint}}"
        )
    model = Model(family=family, **fields)
    source = model.file or model.recipe
    if source is not None and not Path(source).is_file():
        raise KernelAtlasError(
            f"{path}: model '{name}': no file '{source}' (seen from the working folder): "
            "mend the path or remove the entry"
        )
    return model
