"""Whole files, equal bytes, and what a script leaves in its log and on the terminal."""

import errno
import json
import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.files import (
    FIRST_VERSION,
    SCHEMA_VERSION,
    metadata_of,
    whole,
    write_frame,
    write_parquet,
    write_row_groups,
    write_tables,
)


def fail(path, error):
    """Write half a file, then fail."""
    with whole(path) as partial:
        partial.write_text("half")
        assert partial.read_text() == "half"
        raise error


def test_a_whole_file_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "folder" / "a.csv"
    with whole(path) as partial:
        partial.write_text("new")
        assert not path.exists()
        assert partial.parent == path.parent  # a move between disks would not be atomic
        assert partial.suffix == ".csv"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        fail(tmp_path / "a.csv", error)
    assert os.listdir(tmp_path) == []


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="broken"):
        fail(path, ValueError("broken"))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_file_is_replaced_at_once(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with open(path) as reader:
        with whole(path) as partial:
            partial.write_text("new")
        assert reader.read() == "old"  # whoever has it open still sees the old file, whole
    assert path.read_text() == "new"


WRITER = """
import sys
from kernelatlas.running.files import whole
with whole(sys.argv[1]) as partial:
    partial.write_text("theirs")
    print(partial, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def writer(tmp_path):
    """Start other processes that have begun to write a file; they end when they are told."""
    running = []

    def start(name):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path / name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["my-net.parquet", "1-net.parquet", "net.parquet"])
def test_files_that_other_jobs_are_writing_are_left_alone(tmp_path, writer, name):
    process, _ = writer(name)
    with whole(tmp_path / "net.parquet") as partial:
        partial.write_text("ours")
    assert (tmp_path / "net.parquet").read_text() == "ours"
    process.communicate("\n", timeout=30)
    assert process.returncode == 0
    assert (tmp_path / name).read_text() == "theirs"


def test_what_a_killed_job_left_is_removed(tmp_path, writer):
    process, left = writer("net.parquet")
    other = writer("my-net.parquet")[1]
    process.kill()
    process.wait()
    assert os.path.exists(left)
    with whole(tmp_path / "net.parquet") as partial:
        partial.write_text("ours")
    assert sorted(os.listdir(tmp_path)) == [os.path.basename(other), "net.parquet"]


def test_what_another_machine_is_writing_is_removed_after_a_day_without_a_change(tmp_path):
    # Its process numbers are others: whether the job still runs cannot be told from here.
    left = tmp_path / f".partial-00000000-{os.getpid()}-net.parquet"
    left.write_text("theirs")
    for hours, kept in ((1, True), (48, False)):
        changed = time.time() - 3600 * hours
        os.utime(left, (changed, changed))
        with whole(tmp_path / "net.parquet") as partial:
            partial.write_text("ours")
        assert left.exists() == kept


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "no space left on the disk"),
        (errno.EACCES, "Permission denied.*permissions"),
        (errno.EPERM, "Operation not permitted.*permissions"),
        (errno.EROFS, "Read-only file system.*permissions"),
    ],
)
def test_errors_of_the_disk_name_the_file(tmp_path, number, words):
    path = tmp_path / "a.csv"
    with pytest.raises(KernelAtlasError, match=words) as caught:
        fail(path, OSError(number, os.strerror(number)))
    assert str(caught.value).startswith(f"{path}: ")
    assert isinstance(caught.value.__cause__, OSError)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_is_really_full(tmp_path):
    def fill():
        with whole(tmp_path / "a") as partial:
            partial.symlink_to("/dev/full")
            partial.write_text("x" * 100_000)

    with pytest.raises(KernelAtlasError, match="no space left"):
        fill()
    assert os.listdir(tmp_path) == []


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), whole(tmp_path / "a"):
        open(tmp_path / "missing").close()


@pytest.fixture
def table():
    return pa.table(
        {
            "number": pa.array([1, 2, 3, 4, 5], pa.int32()),
            "name": pa.array(["a", "b", "a", "b", "a"]),
            "weights": pa.array([[0.5, 1.5]] * 5, pa.list_(pa.float32())),
        }
    )


def test_equal_tables_give_equal_bytes(tmp_path, table):
    write_parquet(table, tmp_path / "a", {"b": [1], "a": "text"})
    write_parquet(table, tmp_path / "b", {"a": "text", "b": [1]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    write_parquet(table, tmp_path / "c", {"a": "other", "b": [1]})
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_metadata(tmp_path, table):
    write_parquet(table, tmp_path / "a", {"k": 7})
    write_parquet(table, tmp_path / "b")
    assert metadata_of(tmp_path / "a") == {"k": 7, "schema_version": SCHEMA_VERSION}
    assert metadata_of(tmp_path / "b") == {"schema_version": SCHEMA_VERSION}
    pq.write_table(table, tmp_path / "foreign")
    assert metadata_of(tmp_path / "foreign") == {}
    assert pq.read_table(tmp_path / "a").equals(table)


def test_row_groups(tmp_path, table):
    write_row_groups(
        [table.slice(0, 1), table.slice(1, 3), table.slice(4)], table.schema, tmp_path / "a"
    )
    write_parquet(table, tmp_path / "b")
    for name, expected in (("a", [1, 3, 1]), ("b", [5])):
        metadata = pq.read_metadata(tmp_path / name)
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        assert groups == expected
        assert pq.read_table(tmp_path / name).equals(table)


@pytest.mark.parametrize("kind", [pa.int16(), pa.int32(), pa.int64()])
def test_channels_that_count_up_take_next_to_no_room(tmp_path, kind):
    channels = np.concatenate([np.arange(n) for n in (700, 1, 300)] * 10)
    table = pa.table({"channel": pa.array(channels, kind)})
    write_parquet(table, tmp_path / "a")
    assert pq.read_table(tmp_path / "a").equals(table)
    column = pq.read_metadata(tmp_path / "a").row_group(0).column(0)
    assert column.total_compressed_size < len(channels) / 8


@pytest.mark.parametrize("kind", [pa.string(), pa.float32()])
def test_channels_that_are_no_whole_numbers(tmp_path, kind):
    table = pa.table({"channel": pa.nulls(3, kind)})
    write_parquet(table, tmp_path / "a")
    assert pq.read_table(tmp_path / "a").equals(table)


def test_an_empty_table(tmp_path, table):
    write_row_groups([], table.schema, tmp_path / "a")
    assert pq.read_table(tmp_path / "a").schema.equals(table.schema)
    assert pq.read_table(tmp_path / "a").num_rows == 0


def test_frames_as_parquet_and_csv(tmp_path):
    weights = [np.array([1, 1 / 3], np.float32), np.array([0, -2], np.float32)]
    frame = pd.DataFrame(
        {
            "name": ["a, b", 'say "c"'],
            "share": [1 / 3, np.nan],
            "small": np.array([1.1, 1e-8], np.float32),
            "count": np.array([1, 2], np.int16),
            "flag": [True, False],
            "weights": weights,
        }
    )
    paths = [tmp_path / "a.parquet", tmp_path / "a.csv"]
    write_frame(frame, *paths)
    parquet, text = pd.read_parquet(paths[0]), pd.read_csv(paths[1])
    assert list(parquet) == list(text) == list(frame)
    for read in (parquet, text):
        assert read["name"].tolist() == frame["name"].tolist()
        assert read["count"].tolist() == [1, 2]
        assert read["flag"].tolist() == [True, False]
        assert read["share"][0] == pytest.approx(1 / 3, rel=1e-9)
        assert np.isnan(read["share"][1])
    # Nine digits bring every float32 back.
    assert np.array_equal(text["small"].astype(np.float32), frame["small"])
    for stored, listed, original in zip(
        parquet["weights"], text["weights"].map(json.loads), weights, strict=True
    ):
        assert np.array_equal(stored, original)
        assert np.array_equal(np.array(listed, np.float32), original)
    assert isinstance(frame["weights"][0], np.ndarray)  # the caller's frame is untouched
    before = [path.read_bytes() for path in paths]
    write_frame(frame, *paths)
    assert [path.read_bytes() for path in paths] == before


def test_the_schema_version_of_tables(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    write_frame(frame, tmp_path / "a.parquet", tmp_path / "a.csv")
    write_frame(frame, tmp_path / "b.parquet", tmp_path / "b.csv", schema_version=FIRST_VERSION)
    assert metadata_of(tmp_path / "a.parquet")["schema_version"] == 3
    assert metadata_of(tmp_path / "b.parquet")["schema_version"] == 1
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_columns_of_numpy_scalars_are_numbers_and_texts(tmp_path):
    frame = pd.DataFrame(
        {
            "number": pd.Series([np.float64(0.5), np.float32(0.25), None], dtype=object),
            "count": pd.Series([np.int64(3), np.uint8(4), None], dtype=object),
            "flag": pd.Series([np.bool_(True), None, np.bool_(False)], dtype=object),
            "name": pd.Series([np.str_("a"), None, np.str_("b, c")], dtype=object),
            "zero": pd.Series([np.array(1.5), None, np.array(2.5)], dtype=object),
        }
    )
    write_frame(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        'number,count,flag,name,zero\n0.5,3,True,a,1.5\n0.25,4,,,\n,,False,"b, c",2.5\n'
    )
    write_frame(frame.drop(columns="zero"), tmp_path / "a.parquet")
    read = pd.read_parquet(tmp_path / "a.parquet")
    assert read["number"].tolist()[:2] == [0.5, 0.25]
    assert read["count"].tolist()[:2] == [3, 4]
    assert read["flag"].tolist() == [True, None, False]
    assert read["name"].tolist()[::2] == ["a", "b, c"]


def test_missing_lists_are_empty_in_csv(tmp_path):
    frame = pd.DataFrame({"lists": [np.array([0.5, 1]), None], "name": ["a", None]})
    write_frame(frame, tmp_path / "a.csv", tmp_path / "a.parquet")
    assert (tmp_path / "a.csv").read_text() == 'lists,name\n"[0.5, 1.0]",a\n[],\n'
    assert pd.read_parquet(tmp_path / "a.parquet")["lists"][1] is None


def script(tmp_path, body):
    """Run a block under `logged` in a process of its own; return it and its log."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    text = (
        "import faulthandler, logging, os, sys, warnings\n"
        "from kernelatlas.errors import KernelAtlasError\n"
        "from kernelatlas.running.job import log, logged\n"
        f"with logged('logs/deep/a.log'):\n{lines}\n"
    )
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done, (tmp_path / "logs" / "deep" / "a.log").read_text()


def test_a_job_that_succeeds_says_nothing_on_the_terminal(tmp_path):
    done, log = script(
        tmp_path, "print('printed', flush=True)\nlog.info('told')\nos.system('echo a child')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {"printed", "INFO told", "a child"} <= set(log.splitlines())


@pytest.mark.parametrize("text", ["a.pt: no such file: download it", "first\\nsecond"])
def test_an_error_of_the_project_is_one_line(tmp_path, text):
    done, log = script(tmp_path, f"log.info('told')\nraise KernelAtlasError('{text}')")
    line = f"ERROR {text}".replace("\\n", " ")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{line}\n")
    assert log.splitlines()[1:] == ["INFO told", line]


@pytest.mark.parametrize("text", ["broken", "first\\nsecond"])
def test_any_other_error_names_the_log_with_the_traceback(tmp_path, text):
    done, log = script(tmp_path, f"raise RuntimeError('{text}')")
    shown = text.replace("\\n", " ")
    line = f"ERROR RuntimeError: {shown} (the traceback is in logs/deep/a.log)\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
    assert log.splitlines()[1] == "Traceback (most recent call last):"
    assert log.endswith(line)


def test_output_below_python_and_crashes_are_in_the_log(tmp_path):
    done, log = script(
        tmp_path,
        "os.write(1, b'from C to stdout\\n')\nos.write(2, b'from C to stderr\\n')\n"
        "faulthandler.enable()\nos.abort()",
    )
    assert done.returncode < 0
    assert (done.stdout, done.stderr) == ("", "")
    assert log.splitlines()[1:3] == ["from C to stdout", "from C to stderr"]
    assert "Fatal Python error: Aborted" in log


def test_a_new_run_starts_a_new_log(tmp_path):
    script(tmp_path, "print('first')")
    assert "first" not in script(tmp_path, "print('second')")[1]


def test_a_log_tells_when_a_job_begins_and_how_long_it_takes(tmp_path):
    _, log = script(tmp_path, "import time\ntime.sleep(0.5)")
    begun, done = log.splitlines()
    assert re.fullmatch(r"INFO begun at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, Kernel Atlas \S+", begun)
    assert re.fullmatch(r"INFO done in (0\.[5-9]|[1-9]\.\d) s", done)


def test_other_libraries_log_warnings_alone_and_no_paths_of_theirs(tmp_path):
    text = "logger = logging.getLogger('fontTools')\nlogger.info('glyf pruned')\n"
    text += "logger.warning('no glyph')\nimport numpy as np\nnp.log(np.zeros(1))"
    lines = script(tmp_path, text)[1].splitlines()[1:-1]
    assert lines == [
        "WARNING no glyph",
        "WARNING RuntimeWarning: divide by zero encountered in log (<string>, line 9)",
    ]


def test_tables_of_a_rule_go_to_the_outputs_called_like_them(tmp_path):
    names = ("first", "first_csv", "second", "second_csv")
    suffixes = (".parquet", ".csv") * 2
    outputs = {n: tmp_path / f"{n}{s}" for n, s in zip(names, suffixes, strict=True)}
    frames = {"second": pd.DataFrame({"x": [2]}), "first": pd.DataFrame({"x": [1]})}
    write_tables(SimpleNamespace(**outputs), schema_version=7, **frames)
    for name, frame in frames.items():
        assert pd.read_parquet(outputs[name]).equals(frame)
        assert pd.read_csv(outputs[f"{name}_csv"]).equals(frame)
        assert metadata_of(outputs[name])["schema_version"] == 7
