"""The figures: one module each, drawn from the tables alone.

Each has a function `draw` that returns a matplotlib Figure, or a list of them, one a page. The
script figures/figure.py calls it with the inputs of its rule, each read as a table, and with the
rule's parameters, all by keyword.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def _without_settings_of_users() -> Iterator[None]:
    """Let matplotlib read the settings that it comes with, and no others, while it is imported.

    A file matplotlibrc in the working directory goes before all others; one that cannot be read,
    or an unknown MPLBACKEND, stops the import.
    """
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:  # the import itself says so
        yield
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        with contextlib.chdir(Path(found.origin).parent / "mpl-data"):
            yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


with _without_settings_of_users():
    import matplotlib

matplotlib.rcdefaults()  # if it was imported before
