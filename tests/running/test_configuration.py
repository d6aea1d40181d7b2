"""The config: the project's own is valid, and a wrong one is told in words."""

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.configuration import checked, read, refuse_missing, refuse_unwritable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_projects_config_is_valid_and_stays_as_it_is(config):
    assert checked(config) == config


def test_sizes_as_keys_become_texts(config):
    found = checked({**config, "thresholds": {3: 0.1, "5": 0.2}})
    assert found["thresholds"] == {"3": 0.1, "5": 0.2}
    assert checked({**config, "thresholds": {7: 0.3}})["thresholds"] == {"7": 0.3}


@pytest.mark.parametrize("own", [7, "7"])
@pytest.mark.parametrize("default", [7, "7"])
@pytest.mark.parametrize("first", [True, False])
def test_a_size_of_ones_own_goes_before_the_default_in_either_form(config, own, default, first):
    """Snakemake merges texts and numbers as different keys, in an order of its own."""
    pairs = [(own, 0.2), (default, 0.3)]
    merged = dict(pairs if first else reversed(pairs))
    if own == default:
        merged = {own: 0.2}
    found = read({**config, "thresholds": merged})
    update_config(found, read({"thresholds": {own: 0.2}}))
    assert checked(found)["thresholds"] == {"7": 0.2}


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("seedz", [1], ["seedz", "did you mean 'seeds'"]),
        ("thresholds", [0.3], ["thresholds", "a mapping from kernel sizes"]),
        ("thresholds", {"x": 0.3}, ["thresholds", "a kernel size"]),
        ("clusters", {"price": 1}, ["clusters.price", "remove it"]),
        ("images", 3, ["images", "the path of a folder of ImageNet pictures, or null"]),
        ("search", {"pictures": 0, "candidates": 1}, ["search.pictures", "at least 1"]),
    ],
)
def test_a_wrong_key_or_value_is_named(config, key, value, parts):
    with pytest.raises(KernelAtlasError) as error:
        checked({**config, key: value}, file="mine.yaml")
    for part in ("mine.yaml", *parts):
        assert part in str(error.value)


def test_a_folder_that_is_not_there_yet_can_be_made(tmp_path):
    refuse_unwritable(tmp_path)
    refuse_unwritable(tmp_path / "new")


def test_a_folder_that_is_named_must_be_there(tmp_path):
    refuse_missing("images", None)
    refuse_missing("images", str(tmp_path))
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(
            KernelAtlasError, match=rf"config: images: there is no folder '.*{name}'"
        ):
            refuse_missing("images", str(tmp_path / name))


# What `--config key=value` gives: texts of what Snakemake does not read as a number.
@pytest.mark.parametrize(
    ("key", "given", "meant"),
    [
        ("dynamics", "null", None),
        ("images", "null", None),
        ("dynamics", "~", None),
        ("container", "null", None),
        ("container", "docker://example/image:1", "docker://example/image:1"),
        ("zoo", "null", "null"),  # a path: there is no null
        ("seeds", ["0", "7"], [0, 7]),
        ("seeds", "[0, 7]", [0, 7]),
        ("kernel_sizes", ["3"], [3]),
        ("thresholds", {"3": "0.1", "7": "1e-1"}, {"3": 0.1, "7": 0.1}),
        ("clusters", {"minimum_cosine": "-0.5"}, {"minimum_cosine": -0.5}),
        ("clusters", "{minimum_cosine: 0.5}", {"minimum_cosine": 0.5}),
    ],
)
def test_texts_are_read_as_yaml_where_no_text_is_allowed(config, key, given, meant):
    found = checked({**config, key: given})[key]
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("key", "value"),
    [("seeds", "three"), ("seeds", "[0, x]"), ("minimum_kernels", "null"), ("thresholds", "{")],
)
def test_texts_that_say_nothing_allowed_are_refused_as_they_are(config, key, value):
    with pytest.raises(KernelAtlasError, match=key):
        checked({**config, key: value})
