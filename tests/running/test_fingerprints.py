"""Fingerprints that are remembered, and forgotten when any byte of what they are of changes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernelatlas.running.fingerprint import fingerprint

WORKFLOW = Path(__file__).parents[2] / "workflow"
MARK = "0" * 16  # a fingerprint of nothing
ASK = """
import json, sys
from pathlib import Path
from kernelatlas.running.fingerprints import Fingerprints

remembered, asked = Fingerprints(sys.argv[1]), json.loads(sys.argv[2])
print(json.dumps([remembered.of(Path(script), modules) for script, modules in asked]))
remembered.remember()
"""


@pytest.fixture
def tree(tmp_path):
    """A copy of the library and of the scripts."""
    shutil.copytree(WORKFLOW, tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "workflow"


@pytest.fixture
def asked(tree):
    scripts = tree / "scripts"
    return [
        [str(scripts / "figures/figure.py"), ["kernelatlas.figures.pca"]],
        [str(scripts / "figures/figure.py"), ["kernelatlas.figures.models"]],
        [str(scripts / "kernels/sizes.py"), []],
    ]


def found(tree, asked):
    """What a new process is told."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(memory(tree)), json.dumps(asked)],
        env={"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def memory(tree):
    return tree.parent / "state/kernelatlas/fingerprints.json"


def mark(tree):
    """Replace what is remembered, so that it shows where it is used."""
    content = json.loads(memory(tree).read_text())
    memory(tree).write_text(json.dumps(dict.fromkeys(content, MARK)))


def computed(asked):
    return [fingerprint(Path(script), modules) for script, modules in asked]


def test_what_is_remembered_is_what_would_be_computed(tree, asked):
    assert found(tree, asked) == computed(asked)
    assert found(tree, asked) == computed(asked)
    assert len(set(computed(asked))) == 3
    mark(tree)
    assert found(tree, asked) == [MARK] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: append(tree / "kernelatlas/names.py"),
        lambda tree: append(tree / "kernelatlas/running/syntax.py"),
        lambda tree: (tree / "kernelatlas/more.py").write_text(""),
        lambda tree: (tree / "kernelatlas/names.py").rename(tree / "kernelatlas/other.py"),
    ],
    ids=["a module", "what computes them", "another module", "a name of a module"],
)
def test_any_change_of_the_library_computes_them_anew(tree, asked, change):
    found(tree, asked)
    mark(tree)
    change(tree)
    assert MARK not in found(tree, asked[:2])


def append(path):
    path.write_text(path.read_text() + "\nMORE = 1\n")


def test_a_change_of_a_script_computes_its_own_anew(tree, asked):
    found(tree, asked)
    mark(tree)
    append(tree / "scripts/kernels/sizes.py")
    other, same, changed = found(tree, asked)
    assert (other, same) == (MARK, MARK)
    assert changed == computed(asked)[2]


@pytest.mark.parametrize("damage", ["", "[]", '{"a": 1}', "\xff", "[" * 100_000])
def test_a_damaged_memory_is_as_good_as_none(tree, asked, damage):
    memory(tree).parent.mkdir(parents=True)
    memory(tree).write_text(damage, encoding="latin-1")
    assert found(tree, asked[2:]) == computed(asked[2:])
    assert list(json.loads(memory(tree).read_text()).values()) == computed(asked[2:])


def test_values_that_are_no_fingerprints_are_computed_anew(tree, asked):
    found(tree, asked)
    content = json.loads(memory(tree).read_text())
    memory(tree).write_text(json.dumps(dict.fromkeys(content, "none")))
    assert found(tree, asked) == computed(asked)


def test_a_memory_that_cannot_be_written_hinders_nothing(tree, asked):
    memory(tree).mkdir(parents=True)
    assert found(tree, asked) == computed(asked)


def test_what_is_not_asked_for_is_forgotten(tree, asked):
    found(tree, asked)
    found(tree, asked[:1])
    assert list(json.loads(memory(tree).read_text()).values()) == computed(asked[:1])
