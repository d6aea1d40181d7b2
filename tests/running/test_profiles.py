"""What the profiles have to have in common."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOR_CLUSTERS = ["slurm", "generic"]
# How a site's scheduler is spoken to.
OWN = ("slurm", "cluster-generic", "executor", "default-resources", "set-resources")


def profile(name):
    return yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())


@pytest.mark.parametrize("name", FOR_CLUSTERS)
def test_what_is_rebuilt_does_not_depend_on_the_profile(name):
    # A workflow profile stands in the place of profiles/default.
    default = profile("default")
    shared = {k: v for k, v in default.items() if not k.startswith("__") and k != "resources"}
    assert len(shared) >= 5
    assert {key: profile(name)[key] for key in shared} == shared


def test_the_profiles_for_clusters_agree():
    slurm, generic = (
        {k: v for k, v in profile(name).items() if not k.startswith(OWN)} for name in FOR_CLUSTERS
    )
    assert slurm == generic


@pytest.mark.parametrize("name", ["default", *FOR_CLUSTERS])
def test_every_key_is_explained(name):
    text = (ROOT / f"profiles/{name}/config.yaml").read_text()
    as_elsewhere = text.partition("--- As in profiles/")[0]
    for block in re.split(r"\n\n+", as_elsewhere):
        if re.search(r"^[a-z]", block, re.MULTILINE):
            assert block.startswith(("#", "executor:")), block


def test_rules_that_use_a_gpu_say_how_much_of_it():
    rules = (ROOT / "workflow/rules").glob("*.smk")
    asked = re.findall(r"gpu=GPU,\n\s+(\w+=\w+)|(gpu)=", "".join(p.read_text() for p in rules))
    assert len(asked) >= 7
    assert {share for share, _ in asked} == {"gpu_quarters=QUARTER", "gpu_quarters=WHOLE"}
