"""Outputs that a job leaves as they are, because it would make the same again.

Snakemake runs a job whose input another job has written again, with equal bytes too. A long job
therefore records what its outputs were made from, in a hidden file beside the first of them.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernelatlas.running.files import whole


def record(outputs: Sequence[str], made_from: Any) -> None:
    """Record from what the outputs of a job were made: anything that JSON can represent."""
    with whole(_beside(outputs)) as partial:
        partial.write_text(json.dumps(_state(outputs, made_from), sort_keys=True))


def is_current(outputs: Sequence[str], made_from: Any) -> bool:
    """Tell whether the outputs are there, unchanged, and were made from this.

    If so, their times become the present: they are as new as what they were made from.
    """
    try:
        current = json.loads(_beside(outputs).read_text()) == _state(outputs, made_from)
    except (OSError, ValueError):  # never recorded, an output is missing, or a damaged record
        return False
    if current:
        for output in outputs:
            os.utime(output)
    return current


def _beside(outputs: Sequence[str]) -> Path:
    first = Path(outputs[0])
    return first.with_name(f".{first.name}.json")


def _state(outputs: Sequence[str], made_from: Any) -> dict[str, Any]:
    identity = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    digests = [hashlib.sha256(Path(output).read_bytes()).hexdigest() for output in outputs]
    return {"made_from": identity, "outputs": digests}
