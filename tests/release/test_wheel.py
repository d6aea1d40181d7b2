"""The wheel, installed away from the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from released import planted
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # From a copy: setuptools leaves its files beside the sources.
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "workflow", source / "workflow", ignore=ignored)
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, f"{source}/."], check=True)
    (path,) = folder.iterdir()
    return path


@dataclass
class Installed:
    """An environment with the wheel, and a folder in which it is used."""

    bin: Path
    folder: Path

    def run(self, *command):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder,
            env={**environment, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, *lines):
        return self.run("python", "-c", "\n".join(lines)).splitlines()


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=True)
    paths = {"base": str(place), "platbase": str(place)}
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars=paths))
    options = ["install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([place / "bin/pip", *options, wheel], check=True)
    # The dependencies are those of the tests; files that end in .pth there are not followed, so
    # that the library of the repository is not found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(place / "bin", tmp_path_factory.mktemp("elsewhere"))


def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    suffixes = (".py", ".yaml", ".parquet", ".html", ".css", ".js", ".svg")
    library = [p for p in (ROOT / "workflow/kernelatlas").rglob("*") if p.suffix in suffixes]
    expected = {path.relative_to(ROOT / "workflow").as_posix() for path in library}
    assert len(expected) > 50
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert wheel.name == f"kernelatlas-{VERSION}-py3-none-any.whl"
    metadata = {name.partition(".dist-info/")[2] for name in names - expected}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= metadata


def test_what_is_imported_is_what_was_installed(installed):
    (path,) = installed.python("import kernelatlas", "print(kernelatlas.__file__)")
    assert Path(path).is_relative_to(installed.bin.parent)


@pytest.mark.parametrize("command", [["kernelatlas"], ["python", "-m", "kernelatlas"]])
def test_the_command_tells_its_version_and_help(installed, command):
    assert installed.run(*command, "--version") == f"kernelatlas {VERSION}\n"
    told = installed.run(*command, "--help")
    assert told.startswith("usage: kernelatlas [-h] [--version] command")
    assert "classify" in told
    assert "--release FOLDER" in installed.run(*command, "classify", "--help")


def test_a_checkpoint_is_classified_with_a_release(installed, whole_release):
    weights, labels = planted(40, 3)
    save_file({"dw.weight": weights[:, None]}, installed.folder / "net.safetensors")
    told = installed.run("kernelatlas", "classify", "net.safetensors", "--release", whole_release)
    assert "net.safetensors: 40 kernels in 1 layer" in told
    written = pd.read_csv(installed.folder / "net_kernels/labels.csv")
    assert (written["label"] == labels).mean() > 0.9  # those that were planted
    assert (installed.folder / "net_kernels/shapes.png").stat().st_size > 10_000

    found = installed.python(
        "import kernelatlas",
        f"release = kernelatlas.load_release({str(whole_release)!r})",
        "release.verify()",
        "print(release.models)",
        "print(*kernelatlas.classify('net.safetensors', release)['label'], sep='|')",
    )
    assert found[0] == "['net', 'net.untrained']"
    assert found[1].split("|") == written["label"].tolist()


def test_schemas_and_the_registry_are_in_the_package(installed):
    (installed.folder / "zoo.yaml").write_text(
        "families:\n  convnextv2:\n    - convnextv2_atto.fcmae_ft_in1k\n"
    )
    (installed.folder / "bad.yaml").write_text("families:\n  a:\n    - {nam: b}\n")
    found = installed.python(
        "from kernelatlas.errors import KernelAtlasError",
        "from kernelatlas.sources.registry import resolve",
        "from kernelatlas.sources.zoo import load_zoo",
        "(model,) = load_zoo('zoo.yaml')",
        "print(model.name, model.architecture, model.hub)",
        "print([tag.name for tag in resolve('convnext_atto.d2_in1k', False)])",
        "try:",
        "    load_zoo('bad.yaml')",
        "except KernelAtlasError as error:",
        "    print(error)",
    )
    assert found[0].startswith("convnextv2_atto.fcmae_ft_in1k convnextv2_atto timm/")
    assert found[1] == "['convnext_atto.d2_in1k']"
    assert found[2].startswith("bad.yaml: families.a.0: ")
