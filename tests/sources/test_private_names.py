"""Which private names of other packages the readers need: they may vanish with any version."""

import ast
import io
import pickle
from pathlib import Path

import huggingface_hub
import pytest
from packaging.requirements import Requirement

import kernelatlas.kernels
import kernelatlas.sources

ROOT = Path(__file__).parents[2]
# A name for each: `test_python_has_its_unpickler` says so if it vanishes.
KNOWN = {"pickle._Unpickler"}


def private_names(path: Path) -> set[str]:
    """Names with a leading underscore that a module takes from imported packages."""
    tree = ast.parse(path.read_text())
    found, modules = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            modules |= {a.asname or a.name.partition(".")[0]: a.name for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= (
                {f"{modules[node.value.id]}.{node.attr}"} if node.value.id in modules else set()
            )
    return {
        name
        for name in found
        if any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    }


@pytest.mark.parametrize("room", [kernelatlas.sources, kernelatlas.kernels], ids=["s", "k"])
def test_only_known_private_names_are_used(room):
    for path in Path(room.__file__).parent.glob("*.py"):
        assert private_names(path) <= KNOWN, path


def test_python_has_its_unpickler():
    """`kernelatlas.sources.pickles` replaces opcodes of it, and relies on what follows."""
    base = getattr(pickle, "_Unpickler", None)
    assert base is not None, (
        "this Python has no pickle._Unpickler, the unpickler written in Python: "
        "kernelatlas.sources.pickles needs another base, or a copy of it"
    )
    assert isinstance(base.dispatch, dict)
    unpickler = base(io.BytesIO(pickle.dumps([1], 2)))
    counted = []

    class Table(dict):
        def __getitem__(self, opcode):
            counted.append(opcode)
            return super().__getitem__(opcode)

    unpickler.dispatch = Table(base.dispatch)
    assert unpickler.load() == [1]
    assert bytes(counted)[-1:] == pickle.STOP
    assert unpickler.memo == {0: [1]}
    assert unpickler.stack == []


def test_the_hub_library_is_one_that_was_tested():
    """Its public functions are used; how they retry is tested with this major version only."""
    [bounds] = [
        requirement
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if line.strip().startswith('"huggingface_hub')
        for requirement in [Requirement(line.strip(' ",'))]
    ]
    assert bounds.specifier.contains(huggingface_hub.__version__)
    assert not bounds.specifier.contains("3.0"), "set an upper bound, or test with the new version"
