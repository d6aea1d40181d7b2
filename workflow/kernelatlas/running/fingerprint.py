"""A digest of what the code of a script does, not of how it is written down.

Counted are the script and all that it uses of the library, directly or through others. Names are
followed to the functions, classes and assignments of the top level of modules, attributes of
modules likewise (`kernelatlas.running.syntax`). What cannot be resolved counts more, not less:

- a module that is used other than for an attribute counts whole, a package with all its modules;
- statements of the top level that may have effects beyond their names count as soon as the module
  is imported.

Modules of `SILENT` do not count: they write logs, and no results.

Not counted are formatting, comments, docstrings, annotations of functions, `__version__`, the
texts of errors, warnings and log messages with what serves these alone, and data files that the
code reads. This needs the standard library alone, and a digest is the same for all versions of
Python.
"""

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.syntax import COMPUTED, EFFECTS, IMPORTED, Units, Use, read_units

LIBRARY = Path(__file__).parents[1]
UNCOUNTED = "__version__"
SILENT = {f"kernelatlas.running.{name}" for name in ("job", "progress", "together")}


def fingerprint(script: Path, modules: Sequence[str] = ()) -> str:
    """Return the digest of a script and of all that it uses of the library.

    Parameters
    ----------
    modules
        Dotted names of modules that the script imports by a computed name; each counts whole.
        Without any, such an import counts the package that its name begins with, or the library.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    KernelAtlasError
        If a file is not valid Python, or there is no such module.
    """
    library = {_name(path): path for path in LIBRARY.rglob("*.py")}
    for module in modules:
        if module not in library:
            raise KernelAtlasError(f"{script}: there is no module '{module}': correct its name")
    own = _units(Path(script), "").names[EFFECTS]
    waiting = [use for use in own.uses if not (modules and use.written == COMPUTED)]
    waiting += [Use("", module) for module in modules]
    counted = {("", EFFECTS): own}
    while waiting:
        for module, name in _located(waiting.pop(), library):
            if module in SILENT or name == UNCOUNTED:
                continue
            if (module, name) not in counted:
                unit = counted[module, name] = _units(library[module], module).names[name]
                waiting += unit.uses
    # By name: neither the order of discovery nor the order within a module matters. What an
    # import is of, its uses tell.
    parts = [
        f"{module}:{name}:{unit.text}{uses!a}"
        for (module, name), unit in sorted(counted.items())
        for uses in [sorted(use for use in unit.uses if use.written != IMPORTED)]
        if unit.text
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _name(path: Path) -> str:
    """Return the dotted name of the module in a file of the library."""
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _units(path: Path, name: str) -> Units:
    return _read(path, name, path.stat().st_mtime_ns)


@functools.cache
def _read(path: Path, name: str, changed: int) -> Units:
    return read_units(path, name)


def _located(use: Use, library: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield module and name of every unit that a use is of."""
    parts = use.dotted.split(".")
    along = [".".join(parts[: end + 1]) for end in range(len(parts))]
    found = [module for module in along if module in library]
    yield from ((module, EFFECTS) for module in found)  # importing one imports its packages
    if not found or use.written == IMPORTED:
        return
    module, rest = found[-1], parts[len(found) :]
    units = _units(library[module], module)
    if rest and (rest[0] in units.names or rest[0] in units.imports):
        if rest[0] in units.names:
            yield module, rest[0]
        for origin in units.imports.get(rest[0], ()):
            yield from _located(Use(use.written, ".".join([origin, *rest[1:]])), library)
    elif rest and "__getattr__" in units.names:
        yield module, "__getattr__"
    else:
        for name, path in library.items():
            if name == module or name.startswith(f"{module}."):
                yield from ((name, unit) for unit in _units(path, name).names)
