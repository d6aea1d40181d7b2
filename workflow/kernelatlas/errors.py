"""Errors with messages for the user."""

import difflib
from collections.abc import Iterable


class KernelAtlasError(Exception):
    """An error whose message names the file and the value, and tells the user what to do."""


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint with the known names that are similar to a name, or `otherwise` without any."""
    close = difflib.get_close_matches(name, sorted(known), 3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else otherwise
