"""Which outputs a job leaves as they are."""

import os

import pytest

from kernelatlas.running.kept import is_current, record

PARAMS = {"code": "digest", "seed": 0, "settings": {"steps": 3, "widths": [4, 5]}}


@pytest.fixture
def job(tmp_path):
    """Inputs, outputs and params of a job that has been recorded."""
    paths = [str(tmp_path / name) for name in ("corpus", "a.safetensors", "a_history.parquet")]
    for path in paths:
        with open(path, "w") as file:
            file.write(path)
    job = paths[:1], paths[1:], PARAMS
    record(*job)
    return job


def test_what_was_made_from_the_same_is_current_and_gets_the_present_time(job, tmp_path):
    _, outputs, _ = job
    os.utime(outputs[0], (1, 1))
    (tmp_path / "corpus").write_text((tmp_path / "corpus").read_text())  # equal bytes, later
    assert is_current(*job)
    assert os.stat(outputs[0]).st_mtime > 1


@pytest.mark.parametrize(
    "other", [{**PARAMS, "code": "other"}, {**PARAMS, "settings": {"steps": 4}}, {}]
)
def test_what_was_made_with_other_params_is_not(job, other):
    assert not is_current(*job[:2], other)


@pytest.mark.parametrize("name", ["corpus", "a.safetensors", "a_history.parquet"])
def test_what_was_made_from_other_bytes_or_has_others_is_not(job, tmp_path, name):
    (tmp_path / name).write_text("other")
    assert not is_current(*job)


@pytest.mark.parametrize("name", ["a_history.parquet", ".a.safetensors.json"])
def test_what_is_missing_is_not(job, tmp_path, name):
    (tmp_path / name).unlink()
    assert not is_current(*job)


def test_a_damaged_record_is_none(job, tmp_path):
    (tmp_path / ".a.safetensors.json").write_text("{")
    assert not is_current(*job)
