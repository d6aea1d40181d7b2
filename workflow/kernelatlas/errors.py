"""The one family of errors that a user of the project is meant to read."""

import difflib
from collections.abc import Iterable


class KernelAtlasError(Exception):
    """Names the file, the value found and what to do about it."""


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return which known names a mistyped one may have meant, or `otherwise`."""
    close = difflib.get_close_matches(name, sorted(known), 3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else otherwise
