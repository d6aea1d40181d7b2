"""The models of an experiment: those of the zoo, and the checkpoints of trainings."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kernelatlas.sources.lock import settled
from kernelatlas.sources.zoo import Model, load_dynamics, load_zoo


@dataclass(frozen=True)
class Experiment:
    """The models of the zoo and of trainings, each by name and in the order of `load_zoo`.

    Attributes
    ----------
    zoo
        What corpora, tables and figures are made of.
    dynamics
        Checkpoints of trainings: labelled, but never part of a corpus.
    """

    zoo: dict[str, Model]
    dynamics: dict[str, Model]

    @classmethod
    def load(
        cls,
        zoo: str,
        dynamics: str | None,
        every_tag: bool = False,
        kernels: str | Path = "results/kernels",
        root: str | Path = ".",
    ) -> "Experiment":
        """Read both zoo files.

        Parameters
        ----------
        dynamics
            None without trainings.
        every_tag
            As for `load_zoo`.
        kernels
            Folder of the kernel tables, which tell what is already as the lock file says.

        root
            As for `load_zoo`.

        Raises
        ------
        KernelAtlasError
            As `load_zoo` and `load_dynamics`.
        """
        entries = load_zoo(zoo, every_tag, root)
        models = [settled(m, Path(kernels) / f"{m.name}.parquet") for m in entries]
        checkpoints = load_dynamics(dynamics, models, root) if dynamics else []
        return cls({m.name: m for m in models}, {m.name: m for m in checkpoints})

    def model(self, name: str) -> Model:
        """Return a model of the zoo or a checkpoint of a training."""
        return self.zoo.get(name) or self.dynamics[name]

    @property
    def names(self) -> list[str]:
        """Names of all models and checkpoints."""
        return [*self.zoo, *self.dynamics]

    @property
    def families(self) -> list[str]:
        """Families of the zoo, sorted."""
        return sorted({model.family for model in self.zoo.values()})

    @property
    def trained(self) -> list[str]:
        """Names of the zoo's trained models."""
        return [name for name, model in self.zoo.items() if model.trained]

    @property
    def remote(self) -> list[str]:
        """Names of the zoo's models that come from a hub or an address."""
        return [name for name, model in self.zoo.items() if model.remote]

    def of_family(self, family: str) -> list[str]:
        """Return the names of the zoo's models of a family."""
        return [name for name, model in self.zoo.items() if model.family == family]

    def describe(self, names: Iterable[str]) -> list[list[object]]:
        """Return name, family, trained and training data of models of the zoo, for tables.

        Plain lists, as Snakemake stores parameters.
        """
        models = (self.zoo[name] for name in names)
        return [[m.name, m.family, m.trained, m.trained_on] for m in models]

    @property
    def last_checkpoints(self) -> list[Model]:
        """The last checkpoint of each training, in the order of networks."""
        return list({model.network: model for model in self.dynamics.values()}.values())

    def describe_dynamics(self) -> list[list[object]]:
        """Return name, family, trained, training data, network and step of the checkpoints.

        The training data are those of the training's last checkpoint.
        """
        data = self._trained_on()
        return [
            [m.name, m.family, m.trained, data[m.network], m.network, m.step]
            for m in self.dynamics.values()
        ]

    def recipes_by_data(self) -> dict[str, str]:
        """Return a recipe for each kind of training data: the first network's that has one."""
        found: dict[str, str] = {}
        data = self._trained_on()
        for model in self.dynamics.values():
            if model.recipe and data[model.network]:
                found.setdefault(data[model.network], model.recipe)
        return found

    def _trained_on(self) -> dict[str | None, str]:
        return {model.network: model.trained_on for model in self.last_checkpoints}
