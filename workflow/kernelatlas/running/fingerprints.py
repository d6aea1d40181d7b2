"""Fingerprints of scripts that are computed again only when the library or the script changes.

Snakemake asks for those of all rules at every start, also of each job on a cluster.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from kernelatlas.running.files import remember, remembered
from kernelatlas.running.fingerprint import LIBRARY, fingerprint


class Fingerprints:
    """Fingerprints of scripts, remembered in a JSON file until any byte of the library changes.

    Parameters
    ----------
    path
        Of the JSON file. If it is damaged or cannot be written, fingerprints are computed again,
        and that is all.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.known = remembered(path)
        self.asked: dict[str, str] = {}
        files = sorted(LIBRARY.rglob("*.py"))
        self.library = _sha256(
            *(part for file in files for part in (str(file.relative_to(LIBRARY)), file))
        )

    def of(self, script: Path, modules: Sequence[str] = ()) -> str:
        """Return what `fingerprint` returns."""
        key = _sha256(self.library, script, *modules)
        known = self.known.get(key)
        if not isinstance(known, str) or not re.fullmatch("[0-9a-f]{16}", known):
            known = fingerprint(script, modules)
        self.asked[key] = known
        return known

    def remember(self) -> None:
        """Write those that were asked for, and no others, if the file has others."""
        if self.asked != self.known:
            remember(self.path, self.asked)


def _sha256(*parts: str | Path) -> str:
    """Return the digest of texts and of the bytes of files; where one ends counts."""
    digests = [
        hashlib.sha256(part.read_bytes() if isinstance(part, Path) else part.encode()).digest()
        for part in parts
    ]
    return hashlib.sha256(b"".join(digests)).hexdigest()
