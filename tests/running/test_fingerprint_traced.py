"""Every function that a script really runs, and every constant that it reads, is in its digest."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from curves import QUICK

from kernelatlas.clustering.autoencoder import fit
from kernelatlas.clustering.clusters import cluster_table
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.templates import bank
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import write_kernels
from kernelatlas.running import fingerprint as module
from kernelatlas.running.files import write_frame

WORKFLOW = Path(module.__file__).parents[2]

# Runs a script in place of Snakemake; writes what it ran and read of the library.
TRACED = """
import builtins, dis, json, runpy, sys
from types import SimpleNamespace

script, library, values, result = sys.argv[1:]
codes = set()

def trace(frame, event, argument):
    code = frame.f_code  # of a function, not of the body of a class or module
    if event == "call" and code.co_flags & 1 and code.co_filename.startswith(library):
        codes.add(code)

class Values(list):
    def __init__(self, values):
        super().__init__(values.values() if isinstance(values, dict) else values)
        if isinstance(values, dict):
            vars(self).update(values)

snakemake = json.loads(values)
for name, value in snakemake.items():
    if name != "config" and isinstance(value, dict | list):
        snakemake[name] = Values(value)
builtins.snakemake = SimpleNamespace(**snakemake)
sys.setprofile(trace)
runpy.run_path(script)
sys.setprofile(None)
found = set()
for code in codes:
    unit = code.co_qualname.partition(".")[0]
    if not unit.startswith("<"):
        found.add((code.co_filename, unit))
        read = (i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL")
        found.update((code.co_filename, name) for name in read)
with open(result, "w") as file:
    json.dump(sorted(found), file)
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The inputs of a few scripts, really made."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    weights = bank(7).weights[rng.integers(len(bank(7).weights), size=300)]
    weights = (weights + rng.normal(0, 0.03, weights.shape)).astype(np.float32)
    weights[:3] = 1  # degenerate ones too
    kernels = folder / "kernels.parquet"
    write_kernels(kernels, "net", [Layer("dw", weights.reshape(-1, 7, 7))], {})
    curves = []
    for seed in (0, 1):
        curves.append(folder / f"curve{seed}.safetensors")
        fit(normalise(weights[3:]), QUICK, seed, "cpu")[0].save(curves[-1], {"seed": seed})
    loaded = [Curve.load(path) for path in curves]
    clusters = folder / "clusters.parquet"
    write_frame(cluster_table(normalise(weights[3:]), loaded, 0.3, 0.75), clusters)
    paths, tables = list(map(str, curves)), [str(kernels)]
    params = {"thresholds": {"7": 0.3}, "minimum_cosine": 0.75, "seeds": [0, 1]}
    return {
        "kernels/corpus": {"input": tables, "params": {}, "config": {"minimum_kernels": 10}},
        "clustering/labels": {
            "input": {"kernels": str(kernels), "autoencoders": paths, "clusters": [str(clusters)]},
            "params": params,
        },
    }


def altered(path, name):
    """Return the text of a module in which what binds a name at the top level is another."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.body.append(ast.parse("altered = 1").body[0])
            return ast.unparse(tree)
        if isinstance(node, ast.ClassDef) and node.name == name:
            node.body.append(ast.parse("def altered(self): return 1").body[0])
            return ast.unparse(tree)
        if isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("logging."):
            bound = {n.id for target in node.targets for n in ast.walk(target) if hasattr(n, "id")}
            if name in bound:
                node.value = ast.Tuple([node.value, ast.Constant("altered")])
                return ast.unparse(tree)
    return None  # an import, a logger, or what Python has built in


@pytest.mark.parametrize("name", ["kernels/corpus", "clustering/labels"])
def test_what_a_script_runs_and_reads_is_in_its_digest(name, inputs, tmp_path, monkeypatch):
    library = tmp_path / "kernelatlas"
    shutil.copytree(WORKFLOW / "kernelatlas", library)
    script = WORKFLOW / f"scripts/{name}.py"
    values = inputs[name] | {
        "output": [str(tmp_path / "output.parquet")],
        "log": [str(tmp_path / "log")],
        "wildcards": {"k": "7"},
        "threads": 1,
    }
    result = tmp_path / "traced.json"
    command = [sys.executable, "-c", TRACED, str(script), str(library), json.dumps(values), result]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output.parquet").stat().st_size > 0

    monkeypatch.setattr(module, "LIBRARY", library)
    before, missed, tried = module.fingerprint(script), [], 0
    for file, unit in json.loads(result.read_text()):
        path = Path(file)
        if path == library / "__init__.py":
            continue  # asked by the import of submodules, without effect
        if f"kernelatlas.running.{path.stem}" in module.SILENT:
            continue  # writes logs alone
        text, other = path.read_text(), altered(path, unit)
        if other is not None:
            path.write_text(other)
            tried += 1
            if module.fingerprint(script) == before:
                missed.append((path.name, unit))
            path.write_text(text)
    assert tried > 10
    assert missed == []
    assert module.fingerprint(script) == before
