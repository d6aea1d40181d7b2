"""How far a long job is, at what pace, and how long still: in its log, and on a terminal."""

import contextlib
import fcntl
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TextIO, TypeVar

T = TypeVar("T")

INTERVAL = 60.0  # seconds between two lines in the log, at least

log = logging.getLogger(__name__)

# Where bars are drawn; None is what is now the standard error output. A job redirects that.
terminal: TextIO | None = None


class Progress:
    """The progress of a loop, as a context manager.

    At most once in `INTERVAL` seconds, and at the end, a line is logged. If there is a terminal, a
    bar is drawn on it; of several processes that share a terminal, one draws. Within another
    progress no bar is drawn, and the end is logged only of one that took longer than `INTERVAL`.

    Parameters
    ----------
    what
        What the loop is about, as the line and the bar begin.
    total
        Number of steps, in `unit`; 0 if it is not known.
    unit
        Plural of what is counted.
    """

    _open = 0  # number of progresses around the code that runs now

    def __init__(self, what: str, total: float, unit: str = "steps") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = self.known = 0.0
        self._bar: Any = None
        self._outer = False

    def __enter__(self) -> "Progress":
        self._outer = Progress._open == 0
        Progress._open += 1
        self._began = self._said = time.monotonic()
        shown = terminal or sys.stderr
        if self._outer and _is_free(shown):
            # Imported only where it is needed: extraction is to take few milliseconds.
            from tqdm import tqdm  # type: ignore[import-untyped]

            # Without smoothing: the mean pace, as in the log.
            form = "{desc}: {percentage:3.0f}%|{bar}| {remaining} to go{postfix}"
            self._bar = tqdm(
                total=self.total,
                desc=self.what,
                file=shown,
                leave=False,
                smoothing=0,
                bar_format=form,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        Progress._open -= 1
        if self._bar is not None:
            self._bar.close()
            _release(terminal or sys.stderr)
        seconds = time.monotonic() - self._began
        if kind is None and (self._outer or seconds > INTERVAL):
            pace = f", {self._pace(seconds)}" if self.done > self.known else ""
            log.info(
                "%s: %s %s in %s%s", self.what, _n(self.done), self.unit, duration(seconds), pace
            )

    def skip(self, n: float) -> None:
        """Count steps that an earlier job has done; the pace is without them."""
        self.known += n
        if self._bar is not None:
            self._bar.initial += n
        self.advance(n)

    def advance(self, n: float = 1, said: str = "") -> None:
        """Count steps, and perhaps tell of them; `said` is told with them, such as a loss."""
        self.done += n
        if self._bar is not None:
            self._bar.set_postfix_str(said, refresh=False)
            self._bar.update(n)
        now = time.monotonic()
        if now - self._said >= INTERVAL and self.done != self.total and self.done > self.known:
            self._said, seconds = now, now - self._began
            of = f" of {_n(self.total)}" if self.total else ""
            left = (self.total - self.done) * seconds / (self.done - self.known)
            to_go = f", {duration(left)} to go" if self.total else ""
            log.info(
                "%s: %s%s %s, %s%s%s",
                *(self.what, _n(self.done), of, self.unit, self._pace(seconds), to_go),
                f"; {said}" if said else "",
            )

    def _pace(self, seconds: float) -> str:
        pace = (self.done - self.known) / max(seconds, 1e-9)
        if pace < 1:
            return f"{duration(1 / pace)} for each"
        return f"{pace:,.0f} {self.unit}/s" if pace >= 100 else f"{pace:.3g} {self.unit}/s"


def tracked(items: Sequence[T], what: str, unit: str) -> Iterator[T]:
    """Yield items, with their progress: each counts once the next is asked for."""
    with Progress(what, len(items), unit) as progress:
        for item in items:
            yield item
            progress.advance()


def duration(seconds: float) -> str:
    """Return a time for people, such as 0.3 s, 45 s, 12 min or 3 h 20 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _n(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def _is_free(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal on which no other process draws a bar, and claim it."""
    try:
        if not stream.isatty():
            return False
        # Of processes, unlike flock: they inherit the terminal from each other.
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, ValueError):  # another draws, no locks there, or closed
        return False
    return True


def _release(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        fcntl.lockf(stream, fcntl.LOCK_UN)
