"""What the logs of a whole run hold."""

import re
import sys

from project import ROOT


def test_logs_say_what_jobs_do_and_nothing_else(described):
    logs = sorted((described.path / "results/logs").rglob("*.log"))
    assert len(logs) > 50
    # Not the folder of this copy, but that of the project it was copied from too.
    machine = re.compile(
        "|".join(map(re.escape, [str(ROOT), sys.prefix, "site-packages", "/tmp/", "/home/"]))
    )
    told = 0
    for path in logs:
        lines = path.read_text().splitlines()
        assert lines, path
        for line in lines:
            assert not machine.search(line), (path, line)
            assert not re.search("glyf|pruned|findfont|Glyph", line), (path, line)
        if not path.is_relative_to(described.path / "results/logs/release"):
            assert lines[0].startswith("INFO begun at "), path
            assert lines[-1].startswith("INFO done in "), path
        told += any(re.search(r" in \d[\d.]* (s|min), ", line) for line in lines)
    # Trainings, fits, labels, nulls, baselines, curves of other folds, …
    assert told > 12
