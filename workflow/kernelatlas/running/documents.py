"""YAML files that users write, and the paths in them."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from kernelatlas.errors import KernelAtlasError

NOT_IN_PATHS = "{}<>"  # Snakemake reads names in them as wildcards and path variables


class _Loader(yaml.CSafeLoader):
    """YAML that refuses a key that stands twice; PyYAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # A merge key (`<<`) may stand beside keys that it has too: these go before.
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in own]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key '{key}' stands twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def read_yaml(path: str | os.PathLike[str], missing: str) -> Any:
    """Return what a YAML file says; None of an empty one.

    Parameters
    ----------
    missing
        What there is not if there is no such file, and where to correct it.

    Raises
    ------
    KernelAtlasError
        Naming the file, and what to do about it.
    """
    text = ""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        content = yaml.load(text, _Loader)
        json.dumps(content, default=str, skipkeys=True)  # an alias may stand within its own anchor
        return content
    except FileNotFoundError:
        raise KernelAtlasError(f"{path}: {missing}") from None
    except IsADirectoryError:
        raise KernelAtlasError(f"{path}: is a folder: name a YAML file in it") from None
    except OSError as error:
        raise KernelAtlasError(
            f"{path}: cannot be read ({error.strerror}): check its permissions"
        ) from error
    except UnicodeDecodeError:
        raise KernelAtlasError(f"{path}: is no UTF-8 text: save it as UTF-8") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        hint = ": indent with spaces, not with tabs" if re.search(r"^ *\t", text, re.M) else ""
        raise KernelAtlasError(f"{path}: not valid YAML: {said}{hint}") from error


def resolved(
    path: str,
    folder: str | os.PathLike[str],
    root: str | os.PathLike[str],
    there: Callable[[str], bool] = os.path.exists,
) -> str:
    """Return a path that a file names, as seen from the working folder.

    A relative path counts from the folder of the file that names it; what is not there counts from
    the workflow's own folder, so that a copied zoo finds what the original names.

    Parameters
    ----------
    folder
        Of the file that names the path.
    root
        The workflow's own folder.
    there
        Whether what is named is at a path.
    """
    if os.path.isabs(path):
        return os.path.normpath(path)
    places = [os.path.join(place, path) for place in (folder, root)]
    return os.path.relpath(next(filter(there, places), places[0]))


def refuse_wildcards(path: str, where: str) -> str:
    """Return a path, if Snakemake takes it as it is.

    Raises
    ------
    KernelAtlasError
        If it has characters with a meaning of their own.
    """
    if found := sorted(set(NOT_IN_PATHS) & set(path)):
        raise KernelAtlasError(
            f"{where}: '{path}': Snakemake takes no paths with {' '.join(found)}: rename the file "
            "or its folder, or make a symbolic link to it"
        )
    return path
