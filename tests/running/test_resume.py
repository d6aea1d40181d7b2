"""What is left of a job that was killed, and what counts for nothing."""

import json

import pytest

from kernelatlas.running.resume import Finished


def test_what_is_finished_is_there_again(tmp_path):
    path = tmp_path / "job.resume"
    first = Finished(path, ["network", 3])
    assert first.values == {}
    first.save("a", {"accuracy": 0.5})
    first.save("b", [1, 2])
    first.save("b", [1, 2, 3])
    assert Finished(path, ("network", 3)).values == {"a": {"accuracy": 0.5}, "b": [1, 2, 3]}
    first.remove()
    first.remove()
    assert not list(tmp_path.iterdir())


def test_what_depends_on_something_else_counts_for_nothing(tmp_path):
    path = tmp_path / "job.resume"
    Finished(path, ["network"]).save("a", 1)
    other = Finished(path, ["another"])
    assert other.values == {}
    other.save("b", 2)
    assert Finished(path, ["another"]).values == {"b": 2}
    assert Finished(path, ["network"]).values == {}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b'{"identity": []}'),
        *(b'{"identity": [], "values": 3}', b'{"identity": [], "values": ["ab", "c"]}'),
    ],
)
def test_a_damaged_file_counts_for_nothing(tmp_path, content):
    path = tmp_path / "job.resume"
    path.write_bytes(content)
    found = Finished(path)
    assert found.values == {}
    found.save("a", 1)
    assert json.loads(path.read_text())["values"] == {"a": 1}
