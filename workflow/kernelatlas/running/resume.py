"""What a long job has finished, in a file that outlives the job if it is killed."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernelatlas.running.files import whole

log = logging.getLogger(__name__)


class Finished:
    """Results of finished steps by key, in a JSON file.

    Parameters
    ----------
    path
        Written with every step. A file that is damaged, or of another identity, counts for nothing.
    identity
        All that the results depend on, but for their keys.

    Attributes
    ----------
    values
        By key, what is JSON.
    """

    def __init__(self, path: str | Path, identity: Sequence[Any] = ()) -> None:
        self.path, self.identity = Path(path), json.loads(json.dumps(list(identity)))
        self.values: dict[str, Any] = {}
        try:
            content = json.loads(self.path.read_text())
            if content["identity"] == self.identity:
                self.values = dict(content["values"])
                log.info("resuming after %d steps, from %s", len(self.values), path)
        except (OSError, ValueError, LookupError, TypeError):
            pass

    def save(self, key: str, value: Any) -> None:
        """Add a result, or replace it."""
        self.values[key] = value
        with whole(self.path) as partial:
            partial.write_text(json.dumps({"identity": self.identity, "values": self.values}))

    def remove(self) -> None:
        """Remove the file, once the job's output has all of it."""
        self.path.unlink(missing_ok=True)
