import re
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

ENVS = Path(__file__).parents[2] / "envs"
sys.path.insert(0, str(ENVS))

import lock  # noqa: E402


def test_the_conda_environment_holds_the_pins():
    requirements = (ENVS / "requirements.txt").read_text()
    environment = yaml.safe_load((ENVS / "environment.yaml").read_text())
    pinned = lock.pins(requirements)
    assert len(pinned) > 100
    assert environment["dependencies"][-1]["pip"] == pinned
    assert (ENVS / "environment.yaml").read_text() == lock.environment(requirements)


@pytest.mark.parametrize("file", ["requirements.txt", "browser.txt"])
def test_every_pin_is_exact_and_has_hashes(file):
    text = (ENVS / file).read_text()
    for block in re.split(r"\n(?=[a-z])", text.strip()):
        assert re.match(r"[a-z0-9._-]+==\S+", block), block
        assert "--hash=sha256:" in block, block


def test_the_pins_meet_the_bounds_of_the_project():
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
    bounds = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    texts = [(ENVS / file).read_text() for file in ("requirements.txt", "browser.txt")]
    pins = [Requirement(pin) for text in texts for pin in lock.pins(text)]
    for bound in map(Requirement, bounds):
        found = [
            pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(bound.name)
        ]
        assert found, bound
        for pin in found:
            assert bound.specifier.contains(str(pin.specifier).removeprefix("=="))


def test_the_browser_has_the_versions_of_the_project_and_trio_for_itself():
    main, own = (
        dict(pin.split(" ;")[0].split("==") for pin in lock.pins((ENVS / file).read_text()))
        for file in ("requirements.txt", "browser.txt")
    )
    assert {name: own[name] for name in own.keys() & main.keys()} == {
        name: main[name] for name in own.keys() & main.keys()
    }
    # httpcore imports trio wherever it is installed, which every extraction would pay for.
    assert "trio" in own
    assert "trio" not in main
