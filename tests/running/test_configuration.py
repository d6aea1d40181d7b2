"""The config: the project's own is valid, and a wrong one is told in words."""

import os
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.configuration import (
    checked,
    merged,
    read,
    refuse_folder,
    refuse_missing,
    settings,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_projects_config_is_valid_and_stays_as_it_is(config):
    assert checked(config) == config
    assert settings({}, [], ROOT, alone=True) == config


def test_sizes_as_keys_become_texts(config):
    found = checked({**config, "thresholds": {3: 0.1, "5": 0.2}})
    assert found["thresholds"] == {"3": 0.1, "5": 0.2}
    assert checked({**config, "thresholds": {7: 0.3}})["thresholds"] == {"7": 0.3}


@pytest.mark.parametrize("own", [7, "7"])
@pytest.mark.parametrize("default", [7, "7"])
def test_a_size_of_ones_own_goes_before_the_default_in_either_form(config, own, default):
    defaults = read({**config, "thresholds": {default: 0.3}})
    found = checked(merged([defaults, read({"thresholds": {own: 0.2}})]))
    assert found["thresholds"] == {"7": 0.2}


# As Snakemake reads the command line.
@pytest.mark.parametrize(
    ("entry", "key", "meant"),
    [
        ("seeds=[0]", "seeds", [0]),
        ("kernel_sizes=[5, 7]", "kernel_sizes", [5, 7]),
        ("dynamics=null", "dynamics", None),
        ("dynamics=", "dynamics", None),
        ("minimum_kernels=7", "minimum_kernels", 7),
        ("thresholds={7: 0.2}", "thresholds", {"7": 0.2}),
        ('thresholds={"7": 2e-1}', "thresholds", {"7": 0.2}),
        ("autoencoder={steps: 10, widths: [8, 8]}", "autoencoder", {"steps": 10, "widths": [8, 8]}),
        ("evidence={published: null, r2: 1}", "evidence", {"published": None, "r2": 1.0}),
    ],
)
def test_the_command_line_merges_any_value_onto_the_defaults(config, entry, key, meant):
    found = settings(parse_config([entry]), [], ROOT, alone=True)
    expected = dict(config)
    expected[key] = {**config[key], **meant} if isinstance(meant, dict) else meant
    assert found == expected


def test_paths_count_from_the_file_that_names_them(tmp_path, monkeypatch):
    """Else from the working folder; what is not there, from the workflow's own folder."""
    for folder in ("work", "work/sub", "work/other"):
        (tmp_path / folder).mkdir()
    for file in ("work/zoo.yaml", "work/sub/zoo.yaml", "work/sub/states.yaml"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path / "work")
    files = [tmp_path / "work/sub/first.yaml", tmp_path / "work/other/second.yaml"]
    files[0].write_text("zoo: zoo.yaml\ndynamics: states.yaml\nevidence: {published: f.npy}\n")
    files[1].write_text("dynamics: workflow/zoos/dynamics.yaml\nimages: ../pictures//\n")
    given = {}
    for file in files:
        update_config(given, yaml.safe_load(file.read_text()))
    found = settings(given, files, ROOT, alone=True)
    assert found["zoo"] == "sub/zoo.yaml"
    assert Path(found["dynamics"]).samefile(ROOT / "workflow/zoos/dynamics.yaml")
    assert found["images"] == "pictures"
    assert found["evidence"]["published"] == "sub/f.npy"
    found = settings({**given, "zoo": "./zoo.yaml"}, files, ROOT, alone=True)
    assert found["zoo"] == "zoo.yaml"
    found = settings({"container": "docker://a//b", "images": "/x//y"}, [], ROOT, alone=True)
    assert (found["container"], found["images"]) == ("docker://a//b", "/x/y")


def test_a_config_in_the_working_folder_counts_unless_it_is_that_of_another_workflow(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("seeds: [7]\nsamples: all\n")
    assert settings({}, [], ROOT, alone=False)["seeds"] == [0, 1, 2]
    with pytest.raises(KernelAtlasError, match="unknown key 'samples'"):
        settings({}, [], ROOT, alone=True)
    (tmp_path / "config.yaml").write_text("seeds: [7]\n")
    assert settings({}, [], ROOT, alone=True)["seeds"] == [7]
    assert settings({"seeds": [8]}, [], ROOT, alone=True)["seeds"] == [8]


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


def test_results_may_be_in_a_folder_that_is_not_there_yet(tmp_path):
    refuse_folder(tmp_path, ROOT)
    refuse_folder(tmp_path / "new/deep", ROOT)
    refuse_folder(ROOT / "results", ROOT)
    refuse_folder(ROOT / "results_other", ROOT)


@pytest.mark.parametrize("name", ["file", "file/deep"])
def test_results_may_not_be_under_a_file(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(KernelAtlasError, match="file: is a file: name a folder with `results`"):
        refuse_folder(tmp_path / name, ROOT)


@pytest.mark.parametrize("name", ["workflow", "docs/new", "workflow/zoos/../rules", "./tests"])
def test_results_may_not_be_among_the_workflows_own_files(name):
    with pytest.raises(KernelAtlasError, match="is the workflow's own"):
        refuse_folder(ROOT / name, ROOT)


def test_results_may_not_be_where_nothing_can_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may all
    with pytest.raises(KernelAtlasError, match=f"{tmp_path} cannot be written"):
        refuse_folder(tmp_path / "new", ROOT)


@pytest.mark.parametrize("value", ["", ".", "..", "/", "./", "../..", "a{b}", "<results>", 7, None])
def test_results_need_a_folder_of_their_own(config, value):
    with pytest.raises(KernelAtlasError, match="results"):
        checked({**config, "results": value})


def test_results_in_the_working_folder_have_a_relative_path(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value, meant in {
        str(tmp_path / "r/"): "r",
        "./a//b/": "a/b",
        "../c": "../c",
        "/somewhere/else/": "/somewhere/else",
    }.items():
        assert checked({**config, "results": value})["results"] == meant


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
