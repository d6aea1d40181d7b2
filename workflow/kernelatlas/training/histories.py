"""Networks whose training was recorded: a history stands beside their weights."""

from collections.abc import Iterable
from pathlib import Path

from kernelatlas.sources.zoo import Model


def history_of(model: Model) -> Path:
    """Return where the rule `network` writes a network's history: beside its weights."""
    weights = Path(str(model.file))
    return weights.with_name(f"{weights.stem}_history.parquet")


def with_history(models: Iterable[Model]) -> list[Model]:
    """Return the models whose history exists: their files tell their accuracy."""
    return [model for model in models if model.file and history_of(model).is_file()]
