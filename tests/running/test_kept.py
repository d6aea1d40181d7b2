"""Which outputs a job leaves as they are."""

import os

import pytest

from kernelatlas.running.kept import is_current, record

MADE_FROM = ["digest", 0, {"steps": 3, "widths": (4, 5)}]


@pytest.fixture
def outputs(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.safetensors", "a_history.parquet")]
    for path in paths:
        with open(path, "w") as file:
            file.write(path)
    record(paths, MADE_FROM)
    return paths


def test_what_was_made_from_the_same_is_current_and_gets_the_present_time(outputs):
    os.utime(outputs[0], (1, 1))
    assert is_current(outputs, MADE_FROM)
    assert os.stat(outputs[0]).st_mtime > 1


@pytest.mark.parametrize("other", [["other", *MADE_FROM[1:]], [*MADE_FROM[:2], {"steps": 4}], []])
def test_what_was_made_from_something_else_is_not(outputs, other):
    assert not is_current(outputs, other)


@pytest.mark.parametrize("damage", ["output", "missing", "record", "no record"])
def test_what_is_damaged_or_missing_is_not(outputs, tmp_path, damage):
    path = tmp_path / ".a.safetensors.json"
    if damage == "output":
        (tmp_path / "a_history.parquet").write_text("other")
    elif damage == "missing":
        (tmp_path / "a_history.parquet").unlink()
    elif damage == "record":
        path.write_text("{")
    else:
        path.unlink()
    assert not is_current(outputs, MADE_FROM)
