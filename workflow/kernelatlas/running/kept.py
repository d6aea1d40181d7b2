"""Outputs that a job leaves as they are, because it would make the same again.

Snakemake runs a job whose input another job has written again, with equal bytes too. Jobs that
train therefore record what their outputs were made from, in a hidden file beside the first.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelatlas.running.files import sha256, whole

log = logging.getLogger(__name__)


def record(inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any]) -> None:
    """Record from which inputs, with which params, the outputs of a job were made.

    Parameters
    ----------
    params
        Anything that JSON can represent; the fingerprint of the code is to be among them.
    """
    with whole(_beside(outputs)) as partial:
        partial.write_text(json.dumps(_state(inputs, outputs, params)))


def is_current(inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any]) -> bool:
    """Tell whether the outputs are as they were made, from equal inputs with equal params.

    If so, it is logged, and they get the present time: they are as new as their inputs.
    """
    try:
        current = json.loads(_beside(outputs).read_text()) == _state(inputs, outputs, params)
    except (OSError, ValueError):  # never recorded, an output is missing, or a damaged record
        return False
    if current:
        log.info("kept: inputs, params and code are the same")
        for output in outputs:
            os.utime(output)
    return current


def _beside(outputs: Sequence[str]) -> Path:
    first = Path(outputs[0])
    return first.with_name(f".{first.name}.json")


def _state(
    inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any]
) -> dict[str, Any]:
    text = json.dumps(dict(params), sort_keys=True)
    return {
        "inputs": list(map(sha256, inputs)),
        "params": hashlib.sha256(text.encode()).hexdigest(),
        "outputs": list(map(sha256, outputs)),
    }
