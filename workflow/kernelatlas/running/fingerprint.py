"""A digest of what a script's code means, not of how it is written down."""

import ast
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from kernelatlas.errors import KernelAtlasError

LIBRARY = Path(__file__).parents[1]
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def fingerprint(script: str | Path, modules: Sequence[str] = ()) -> str:
    """Return a digest of a script and of every project module that it imports.

    Imports are followed transitively, those inside functions too. The digest is over
    the abstract syntax without docstrings, so that comments, formatting and docstrings
    change nothing.

    Parameters
    ----------
    modules
        Dotted names of modules that the script imports by a name that is a parameter.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    seen: dict[Path, str] = {}
    waiting = [Path(script), *(file for module in modules for file in _files(module))]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen[path], imported = _digest(path, path.stat().st_mtime_ns)
            waiting += imported
    # The script first, its modules by name: the order of discovery must not matter.
    own = seen.pop(Path(script))
    parts = [own, *(f"{path.relative_to(LIBRARY)} {seen[path]}" for path in sorted(seen))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@functools.cache
def _digest(path: Path, mtime: int) -> tuple[str, tuple[Path, ...]]:
    """Return a file's own digest and the files of the modules it imports."""
    try:
        tree = ast.parse(path.read_text())
    except (OSError, SyntaxError) as error:
        raise KernelAtlasError(f"{path}: {error}: mend the file") from error
    imported: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imported |= _files(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported |= _files(node.module)
            for alias in node.names:
                imported |= _files(f"{node.module}.{alias.name}")
        elif isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest, tuple(sorted(imported))


def _files(module: str) -> set[Path]:
    """Return the file of a project module, with those of the packages around it."""
    first, *rest = module.split(".")
    if first != LIBRARY.name:
        return set()
    path, found = LIBRARY, {LIBRARY / "__init__.py"}
    for part in rest:
        path = path / part
        if path.with_suffix(".py").is_file():
            found.add(path.with_suffix(".py"))
        elif (path / "__init__.py").is_file():
            found.add(path / "__init__.py")
    return found
