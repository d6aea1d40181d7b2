"""The walls between the rooms of the library: which may import which, and what else."""

import ast
import graphlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import kernelatlas

LIBRARY = Path(kernelatlas.__file__).parent
# Every room may also import what stands at the door: errors, names and the version.
ALLOWED = {
    "running": set(),
    "kernels": {"running"},
    "sources": {"running", "kernels"},
    "clustering": {"running", "kernels"},
    "training": {"running", "kernels", "sources"},
    "evidence": {"running", "kernels", "sources", "clustering", "training"},
    "tables": {"running", "kernels", "sources", "clustering", "training", "evidence"},
    "figures": {"running", "kernels", "clustering", "tables"},
    "release": {
        *("running", "kernels", "sources", "clustering", "training", "evidence", "tables"),
        "figures",
    },
}
DOOR = {
    "errors": set(),
    "names": {"errors"},
    "__init__": {"release"},
    "__main__": {"__init__", "errors", "release", "figures", "running"},
}
# Other packages, and who alone may import them.
OTHERS = {
    "matplotlib": {"figures"},
    "seaborn": {"figures"},
    "snakemake": set(),
    "timm": {
        *("training", "sources/registry_build", "sources/registry_norms"),
        "sources/layer_maps",
    },
    "torch": {
        *("clustering", "training", "evidence", "release"),
        *("running/device", "sources/registry_build", "sources/registry_norms", "tables/data"),
        "sources/layer_maps",
        "kernels/gaussians",  # for type checkers
    },
}


def modules(library):
    """Paths of the modules of a library by dotted name."""
    found = {}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path, library):
    """Dotted names of all that a module imports anywhere, functions and type checkers included."""
    package = list(path.relative_to(library.parent).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*around, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield ast.literal_eval(node.args[0])


def arrows(library):
    """Pairs of modules of which the first imports the second."""
    known = modules(library)
    for name, path in known.items():
        for imported in imports(path, library):
            parts = imported.split(".")
            along = (".".join(parts[: i + 1]) for i in reversed(range(len(parts))))
            target = next((module for module in along if module in known), None)
            if target is not None and target != name:
                yield name, target


def room(module):
    """The room of a module, or its own name if it stands at the door."""
    return module.split(".")[1] if "." in module else "__init__"


def breaches(library):
    for module, target in arrows(library):
        here, there = room(module), room(target)
        if here in DOOR:
            allowed = DOOR[here]
        else:
            allowed = ALLOWED[here] | {here, "errors", "names", "__init__"}
        if there not in allowed:
            yield f"{module} imports {target}"
    for module, path in modules(library).items():
        place = str(path.relative_to(library).with_suffix(""))
        for package in {name.partition(".")[0] for name in imports(path, library)}:
            allowed = OTHERS.get(package, {place})
            if not {place, place.partition("/")[0]} & allowed:
                yield f"{module} imports {package}"


def cycles(library):
    # The package itself only hands on what users ask it for, when they do.
    graph = {}
    for module, target in arrows(library):
        if "." in module and "." in target:
            graph.setdefault(module, set()).add(target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_every_room_imports_only_what_it_may():
    assert set(ALLOWED) == {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert set(DOOR) == {path.stem for path in LIBRARY.glob("*.py")}
    assert len(list(arrows(LIBRARY))) > 100
    assert sorted(breaches(LIBRARY)) == []


def test_no_modules_import_one_another():
    assert cycles(LIBRARY) == []


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("kernels/a", "from kernelatlas.clustering.b import f", "kernelatlas.clustering.b"),
        ("kernels/a", "from kernelatlas.clustering import b", "kernelatlas.clustering.b"),
        ("kernels/a", "import kernelatlas.clustering.b as b", "kernelatlas.clustering.b"),
        ("kernels/a", "from ..clustering import b", "kernelatlas.clustering.b"),
        ("kernels/a", "def f():\n    import kernelatlas.tables.c", "kernelatlas.tables.c"),
        ("kernels/a", "if TYPE_CHECKING:\n    from kernelatlas.tables.c import g", None),
        ("kernels/a", "import importlib\nimportlib.import_module('kernelatlas.tables.c')", None),
        ("kernels/a", "import kernelatlas.__main__", "kernelatlas.__main__"),
        ("names", "from kernelatlas.running import d", "kernelatlas.running.d"),
        ("tables/a", "def f():\n    from matplotlib import pyplot", "matplotlib"),
        ("running/a", "import torch.cuda", "torch"),
        ("release/a", "from snakemake.utils import min_version", "snakemake"),
    ],
)
def test_a_breach_is_found(tmp_path, file, text, found):
    library = tmp_path / "kernelatlas"
    for name in ("__init__", "__main__", "clustering/b", "tables/c", "running/d", file):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / f"{name}.py").write_text(text if name == file else "")
    module = ".".join(["kernelatlas", *file.split("/")])
    assert list(breaches(library)) == [f"{module} imports {found or 'kernelatlas.tables.c'}"]
    (library / f"{file}.py").write_text("import logging")
    assert list(breaches(library)) == []


def test_a_cycle_is_found(tmp_path):
    library = tmp_path / "kernelatlas"
    (library / "room").mkdir(parents=True)
    (library / "__init__.py").write_text("")
    (library / "room/a.py").write_text("from kernelatlas.room import b")
    (library / "room/b.py").write_text("def f():\n    from kernelatlas.room.a import g")
    assert set(cycles(library)) == {"kernelatlas.room.a", "kernelatlas.room.b"}


EXTRACTING = """
import json, sys
import kernelatlas.kernels.table, kernelatlas.sources.hub
from kernelatlas.sources.extract import extract
extract(sys.argv[1], "net", sys.argv[2], None, None)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_extraction_does_without_torch_timm_and_pandas(tmp_path):
    kernels = np.random.default_rng(0).normal(size=(8, 1, 3, 3)).astype(np.float32)
    save_file({"conv_dw.weight": kernels}, tmp_path / "net.safetensors")
    command = [sys.executable, "-c", EXTRACTING, "net.parquet", "net.safetensors"]
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY.parent)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "net.parquet").is_file()
    loaded = set(json.loads(done.stdout))
    assert {"kernelatlas", "numpy", "pyarrow"} <= loaded
    assert not loaded & {"torch", "timm", "pandas", "matplotlib", "snakemake", "scipy"}
