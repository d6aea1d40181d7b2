"""Texts of figures: their widths, how they are cut, wrapped and spread, numbers in words."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from kernelatlas.figures.style.theme import FONT

FEW = 30  # percentages of fewer kernels are not drawn


@lru_cache(maxsize=1 << 16)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of one line of text in inches."""
    font = FontProperties(family=FONT, weight=weight, size=size)
    points, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.04 * float(points) / 72  # hinting widens letters a little in images


def shorten(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Cut a text to a width in inches, with an ellipsis."""
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(text + "…", size, weight) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def distinct(names: Sequence[str], width: float, size: float) -> list[str]:
    """Cut names to a width in inches in their middle, so that different names stay different.

    A name that no cut keeps apart from the others is broken into two lines instead.
    """
    shown = [_middle(name, width, size, 0.5) for name in names]
    for share in (0.25, 0.75, 0.1, 0.9):  # of the letters at the beginning
        taken = Counter(text for text, _ in set(zip(shown, names, strict=True)))
        shown = [
            text if taken[text] == 1 else _middle(name, width, size, share)
            for text, name in zip(shown, names, strict=True)
        ]
    taken = Counter(text for text, _ in set(zip(shown, names, strict=True)))
    return [
        text if taken[text] == 1 else f"{name[: len(name) // 2]}\n{name[len(name) // 2 :]}"
        for text, name in zip(shown, names, strict=True)
    ]


def _middle(name: str, width: float, size: float, share: float) -> str:
    if text_width(name, size) <= width:
        return name
    for letters in range(len(name) - 1, 0, -1):
        begin = round(share * letters)
        text = f"{name[:begin]}…{name[len(name) - letters + begin :]}"
        if text_width(text, size) <= width:
            return text
    return name[:1] + "…"


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break a text at spaces and ends of lines into lines no wider than a width in inches."""
    lines, line = [], ""
    for word in re.split(r"[ \n]+", text.strip()):  # a no-break space is none of these
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def count(number: int, noun: str) -> str:
    """Return `1 kernel`, `1,234 kernels`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(values: Iterable[Any]) -> str:
    """Return the different values in order as a text: `5×5 and 7×7`, `0, 1 and 2`."""
    texts = [str(value) for value in dict.fromkeys(values)]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def percent(share: float, kernels: float) -> str:
    """Return a share of so many kernels as a text: `12.3 %`; of too few, how many they are."""
    return f"{100 * share:.1f} %" if kernels >= FEW else count(int(kernels), "kernel")


def interval(low: float, high: float) -> str:
    """Return an interval of a share as a text, ` (10–15)`; empty if there is none."""
    if np.isnan(low) or np.isnan(high):
        return ""
    low, high = 100 * low, 100 * high
    return f" ({low:.0f}–{high:.0f})" if high >= 1 else f" ({low:.1f}–{high:.1f})"


def sizes(ks: Iterable[int]) -> str:
    """Return kernel sizes as a text: `5×5 and 7×7`."""
    return listed(f"{k}×{k}" for k in sorted({int(k) for k in ks}))


def thresholds(models: pd.DataFrame) -> str:
    """Return the thresholds of a table with the columns k and threshold as a text."""
    pairs = models[["k", "threshold"]].drop_duplicates().sort_values(["k", "threshold"])
    return listed(f"{t:.2f} ({int(k)}×{int(k)})" for k, t in rows_of(pairs))


def rows_of(frame: pd.DataFrame) -> list[Any]:
    """Return the rows as named tuples."""
    return list(frame.itertuples(index=False))


def direction_of(label: str) -> str:
    """Return the direction, and sign, at the end of a label: `45°`, `0° +`; empty without one."""
    return label.partition(" ")[2].replace("-", "−")


def spread(places: np.ndarray, distance: float) -> np.ndarray:
    """Move sorted places in [0, 1] as little as needed to be `distance` apart.

    Places that would touch form a group, which stays centred on the mean of what was wanted.
    """
    distance = min(distance, 1 / max(len(places), 1))
    groups: list[list[float]] = []  # sum of the wanted starts, number of places
    for number, place in enumerate(places):
        groups.append([place - number * distance, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    starts = np.concatenate([np.full(int(n), total / n) for total, n in groups])
    low, high = distance / 2, 1 - (len(places) - 0.5) * distance
    return np.clip(starts, low, max(low, high)) + np.arange(len(places)) * distance
