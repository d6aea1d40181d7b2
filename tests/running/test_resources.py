"""Memory and time of a job, against numbers worked out by hand."""

from kernelatlas.running.resources import NESTED_MB, memory_mb, runtime_minutes, size_mb


def files(folder):
    """Two files of 1.5 and 0.5 MB, and one that is not there yet."""
    sizes = {"a": 1_500_000, "b": 500_000}
    for name, size in sizes.items():
        (folder / name).write_bytes(b"\0" * size)
    return [folder / name for name in (*sizes, "later")]


def test_files_that_are_to_be_made_count_nothing(tmp_path):
    assert size_mb(files(tmp_path)) == 2
    assert size_mb([]) == 0


def test_memory_grows_with_files_and_with_attempts(tmp_path):
    there = files(tmp_path)
    assert memory_mb(300, 0, there, 1) == NESTED_MB + 300
    assert memory_mb(300, 7, there, 1) == NESTED_MB + 314
    assert memory_mb(300, 7, there, 3) == NESTED_MB + 942
    assert memory_mb(0, 0.3, there, 1) == NESTED_MB + 1  # rounded up


def test_time_is_in_whole_minutes(tmp_path):
    there = files(tmp_path)
    assert runtime_minutes(2, 0.01, there, 1) == 3
    assert runtime_minutes(2, 0, there, 2) == 4
