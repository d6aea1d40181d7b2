"""The files of each target (`all`, `evidence`, …), as the rules that make them register them."""

import itertools
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernelatlas.errors import KernelAtlasError, suggest

RESULTS = "<results>/"  # in patterns, the folder of the results
WILDCARD = re.compile(r"\{(\w+)\}")

Values = Callable[[], Iterable[object]]


@dataclass(frozen=True)
class Result:
    """A registered output.

    Attributes
    ----------
    pattern
        Its path, with wildcards in braces. It begins with `<results>/`.
    targets
        Names of the targets that make it.
    over
        The values of some wildcards, where they are not the target's.
    when
        It is made if this returns anything.
    """

    pattern: str
    targets: tuple[str, ...]
    over: Mapping[str, Values]
    when: Values | None


class Targets:
    """Registered outputs, and the values that their wildcards take in each target.

    Values are functions without arguments, called when the files are asked for: kernel sizes are
    known only after the kernels have been counted.

    Parameters
    ----------
    values
        For each target, the values of each wildcard.
    folder
        Of the results.
    """

    def __init__(
        self, values: Mapping[str, Mapping[str, Values]], folder: str | os.PathLike[str]
    ) -> None:
        self.values = values
        self.folder = Path(folder)
        self.results: list[Result] = []

    def add(
        self,
        pattern: str,
        of: str | Sequence[str],
        over: Mapping[str, Values] | None = None,
        when: Values | None = None,
    ) -> None:
        """Register an output of one or several targets; of none if `of` is empty.

        Raises
        ------
        ValueError
            If there is no such target.
        """
        targets = (of,) if isinstance(of, str) and of else tuple(of)
        if unknown := set(targets) - set(self.values):
            raise ValueError(f"{pattern}: no target {sorted(unknown)}: use {sorted(self.values)}")
        self.results.append(Result(pattern, targets, over or {}, when))

    def files(self, target: str) -> list[str]:
        """Return the files of a target, in the order of registration and of the values."""
        found: list[str] = []
        for result in self.results:
            if target in result.targets and (result.when is None or list(result.when())):
                values = {**self.values[target], **result.over}
                names = dict.fromkeys(WILDCARD.findall(result.pattern))
                known = [[(name, value) for value in values[name]()] for name in names]
                found += [result.pattern.format(**dict(row)) for row in itertools.product(*known)]
        return found

    def most(self, target: str, values: Mapping[str, Collection[object]]) -> int:
        """Return how many files a target has at most, if its wildcards have these values."""
        return sum(
            math.prod(len(values[name]) for name in set(WILDCARD.findall(result.pattern)))
            for result in self.results
            if target in result.targets
        )

    def refuse_unknown(
        self, requested: Iterable[str], known: Mapping[str, Collection[str]], zoo: str
    ) -> None:
        """Refuse requested files whose model or family there is not.

        Snakemake itself would say only that no rule makes them.

        Parameters
        ----------
        known
            The values that there are of some wildcards.
        zoo
            The zoo file that they are from, for the message.

        Raises
        ------
        KernelAtlasError
            Naming the file, the value and what it may have been meant to be.
        """
        for path in requested:
            for result in self.results:
                pattern = result.pattern.replace(RESULTS, f"{self.folder}/", 1)
                match = _regex(pattern).fullmatch(path)
                for kind, value in (match.groupdict() if match else {}).items():
                    if kind in known and value not in known[kind]:
                        names = sorted(known[kind])
                        hint = suggest(value, names, f"there are: {', '.join(names[:20])}")
                        raise KernelAtlasError(
                            f"{path}: no {kind} '{value}' in the zoo {zoo}; {hint}"
                        )

    def left_over(self, known: Mapping[str, Collection[str]]) -> list[str]:
        """Return the files of the results of which a model, family or size is not known.

        Tables of kernels are left out: they are those of their network, whatever the zoo.

        Parameters
        ----------
        known
            The values that there are of some wildcards.

        Returns
        -------
        list of str
            Paths in the folder of the results, sorted.
        """
        by_folder: dict[str, list[re.Pattern[str]]] = {}
        for result in self.results:
            parent, _, name = result.pattern.removeprefix(RESULTS).rpartition("/")
            if parent != "kernels":
                by_folder.setdefault(parent, []).append(_regex(name))
        found = []
        for parent, patterns in by_folder.items():
            if (self.folder / parent).is_dir():
                for name in os.listdir(self.folder / parent):
                    matches = [match for p in patterns if (match := p.fullmatch(name))]
                    if matches and not any(_of(match, known) for match in matches):
                        found.append(f"{parent}/{name}")
        return sorted(found)


def _of(match: re.Match[str], known: Mapping[str, Collection[str]]) -> bool:
    """Tell whether all values in the name of a file are known."""
    return all(value in known.get(kind, [value]) for kind, value in match.groupdict().items())


def _regex(pattern: str) -> re.Pattern[str]:
    text, *rest = WILDCARD.split(pattern)  # text, name, text, name, …, text
    expression, seen = re.escape(text), set[str]()
    for name, text in zip(rest[::2], rest[1::2], strict=True):
        expression += f"(?P={name})" if name in seen else f"(?P<{name}>.+)"
        expression += re.escape(text)
        seen.add(name)
    return re.compile(expression)
