"""Digests that are computed again when, and only when, a file may have changed."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
import time

import pytest

from kernelatlas.running.digests import TICK, Digests, digest_of

MARK = "0" * 64  # a digest of nothing


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state/kernelatlas/digests.json"


def digest(path, *files):
    """The digest that a new process returns, which also remembers what has just changed."""
    return Digests(path, tick=-1).of(files)


def read(path, *files):
    """Names of the files that would be read, because what is remembered is not returned."""
    content = json.loads(path.read_text())
    wrong = path.with_name("wrong.json")
    found = []
    for file in files:
        state, _ = content[str(file)]
        wrong.write_text(json.dumps({str(file): [state, MARK]}))
        if digest(wrong, file) != MARK:
            assert digest(wrong, file) == sha256(file.read_bytes())
            found.append(file.name)
    return found


def older(path, data):
    """Write a file of the year 2001."""
    path.write_bytes(data)
    os.utime(path, (1e9, 1e9))


def test_a_file_that_did_not_change_is_not_read_again(tmp_path, path):
    net = tmp_path / "net"
    older(net, b"weights")
    assert digest(path, net) == sha256(b"weights")
    assert digest(path, net) == sha256(b"weights")
    assert read(path, net) == []


REPLACED = {
    "written": lambda new, net: net.write_bytes(new.read_bytes()),
    "moved": lambda new, net: new.replace(net),
    "copied with its times": lambda new, net: shutil.copy2(new, net),
    "linked": lambda new, net: (net.unlink(), net.symlink_to(new)),
}


@pytest.mark.parametrize("how", REPLACED)
def test_other_content_of_the_same_size_and_time_is_read(how, tmp_path, path):
    net, new = tmp_path / "net", tmp_path / "new"
    older(net, b"weights")
    older(new, b"WEIGHTS")
    assert digest(path, net) == sha256(b"weights")
    REPLACED[how](new, net)
    os.utime(net, (1e9, 1e9))
    assert read(path, net) == ["net"]
    assert digest(path, net) == sha256(b"WEIGHTS")


def test_a_link_to_another_file_is_followed(tmp_path, path):
    older(tmp_path / "one", b"weights")
    older(tmp_path / "two", b"WEIGHTS")
    for name, data in (("one", b"weights"), ("two", b"WEIGHTS"), ("one", b"weights")):
        (tmp_path / "net").unlink(missing_ok=True)
        (tmp_path / "net").symlink_to(name)
        assert digest(path, tmp_path / "net") == sha256(data)


def test_a_touched_file_is_read_and_has_the_same_digest(tmp_path, path):
    net = tmp_path / "net"
    older(net, b"weights")
    before = digest(path, net)
    net.touch()
    assert read(path, net) == ["net"]
    assert digest(path, net) == before


def test_of_several_files_only_one_that_changed_is_read(tmp_path, path):
    names = ["index", "one", "two"]
    for name in names:
        older(tmp_path / name, name.encode())
    files = [tmp_path / name for name in names]
    before = digest(path, *files)
    older(tmp_path / "one", b"ONE")
    assert read(path, *files) == ["one"]
    after = digest(path, *files)
    printed = subprocess.run(["sha256sum", *names], cwd=tmp_path, capture_output=True, check=True)
    assert before != after == sha256(printed.stdout) == digest_of(files)


def test_what_has_just_changed_is_not_remembered(tmp_path, path):
    """Its next change may be within the same tick of the clock: equal size, equal times."""
    net = tmp_path / "net"
    older(net, b"weights")
    assert Digests(path).of([net]) == sha256(b"weights")
    assert not path.exists()
    time.sleep(TICK + 0.1)
    assert Digests(path).of([net]) == sha256(b"weights")
    assert read(path, net) == []


def test_what_changes_while_it_is_read_is_not_remembered(tmp_path, path):
    net = tmp_path / "net"
    os.mkfifo(net)

    def write():
        with net.open("wb") as file:  # waits for the reader
            os.utime(net, (1e9, 1e9))
            file.write(b"weights")

    writer = threading.Thread(target=write)
    writer.start()
    assert digest(path, net) == sha256(b"weights")
    writer.join()
    assert not path.exists()


def test_a_file_that_is_missing_has_no_digest(tmp_path, path):
    assert digest(path, tmp_path / "net") is None
    (tmp_path / "net").mkdir()
    assert digest(path, tmp_path / "net") is None


DAMAGED = {
    "empty": lambda net, state: "",
    "cut": lambda net, state: json.dumps({net: [state, MARK]})[:-2],
    "deep": lambda net, state: "[" * 100_000,
    "no text": lambda net, state: "\udcff",
    "a list": lambda net, state: "[]",
    "no entry": lambda net, state: json.dumps({net: None}),
    "no digest": lambda net, state: json.dumps({net: [state, 0]}),
    "half a digest": lambda net, state: json.dumps({net: [state, MARK[:32]]}),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_memory_is_none(how, tmp_path, path):
    net = tmp_path / "net"
    older(net, b"weights")
    digest(path, net)
    ((_, (state, _)),) = json.loads(path.read_text()).items()
    path.write_bytes(DAMAGED[how](str(net), state).encode(errors="surrogateescape"))
    assert digest(path, net) == sha256(b"weights")
    assert json.loads(path.read_text()) == {str(net): [state, sha256(b"weights")]}


@pytest.mark.parametrize("key", ["inode", "size", "ctime_ns", "mtime_ns"])
def test_every_part_of_the_state_is_compared(key, tmp_path, path):
    net = tmp_path / "net"
    older(net, b"weights")
    digest(path, net)
    ((_, (state, _)),) = json.loads(path.read_text()).items()
    path.write_text(json.dumps({str(net): [{**state, key: 1}, MARK]}))
    assert digest(path, net) == sha256(b"weights")


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, path):
    older(tmp_path / "net", b"weights")
    path.parent.parent.write_text("a file where a folder should be")
    for _ in range(2):
        assert digest(path, tmp_path / "net") == sha256(b"weights")


def test_what_several_processes_remember_is_kept(tmp_path, path):
    names = ["one", "two", "three"]
    for name in names:
        older(tmp_path / name, name.encode())
    for process in [Digests(path, tick=-1) for _ in names]:  # all begin with nothing
        process.of([tmp_path / names.pop()])
    assert len(json.loads(path.read_text())) == 3
