"""Which files a target makes, and which names on the command line are refused."""

import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.targets import Targets

FAMILIES = ["first", "second"]


@pytest.fixture
def targets():
    values = {"model": lambda: ["a", "b"], "k": lambda: [3, 7], "family": lambda: FAMILIES}
    targets = Targets({"all": values, "other": {"model": lambda: ["c"]}}, "made")
    targets.add("<results>/labels/{model}.parquet", ["all", "other"])
    targets.add("<results>/pairs/{model}_k{k}.csv", "all")
    targets.add("<results>/tables/{family}_clusters.csv", "all")
    return targets


def test_files_are_those_of_every_value_in_order(targets):
    assert targets.files("all") == [
        "<results>/labels/a.parquet",
        "<results>/labels/b.parquet",
        "<results>/pairs/a_k3.csv",
        "<results>/pairs/a_k7.csv",
        "<results>/pairs/b_k3.csv",
        "<results>/pairs/b_k7.csv",
        "<results>/tables/first_clusters.csv",
        "<results>/tables/second_clusters.csv",
    ]
    assert targets.files("other") == ["<results>/labels/c.parquet"]


def test_values_may_be_fewer_for_one_output(targets):
    targets.add("fits_k{k}.csv", "all", over={"k": lambda: [7]})
    assert targets.files("all")[-1] == "fits_k7.csv"
    assert "fits_k3.csv" not in targets.files("all")


def test_an_output_may_depend_on_a_condition_known_later(targets):
    found: list[str] = []
    targets.add("when.csv", "all", when=lambda: found)
    assert "when.csv" not in targets.files("all")
    found.append("a")
    assert "when.csv" in targets.files("all")


def test_an_output_of_no_target_is_in_none(targets):
    before = targets.files("all"), targets.files("other")
    targets.add("alone.csv", [])
    assert (targets.files("all"), targets.files("other")) == before


def test_a_mistyped_target_is_refused(targets):
    with pytest.raises(ValueError, match="alll"):
        targets.add("x.csv", of="alll")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("made/labels/d.parquet", ["no model 'd'", "there are: a, b", "zoo.yaml"]),
        ("made/tables/secnd_clusters.csv", ["no family 'secnd'", "did you mean 'second'?"]),
    ],
)
def test_unknown_names_are_refused(targets, path, parts):
    known = {"model": ["a", "b"], "family": FAMILIES}
    with pytest.raises(KernelAtlasError) as error:
        targets.refuse_unknown(["made/labels/a.parquet", path], known, "zoo.yaml")
    assert str(error.value).startswith(f"{path}: ")
    for part in parts:
        assert part in str(error.value)


def test_known_names_other_words_and_other_wildcards_pass(targets):
    requested = [
        "all",
        "--cores",
        "8",
        "made/labels/a.parquet",
        "made/pairs/a_k99.csv",
        "labels/d.parquet",
    ]
    targets.refuse_unknown(requested, {"model": ["a"], "family": FAMILIES}, "zoo.yaml")


def test_a_wildcard_that_stands_twice_has_one_value():
    targets = Targets({"all": {"model": lambda: ["a", "b"]}}, ".")
    targets.add("{model}/{model}.csv", "all")
    assert targets.files("all") == ["a/a.csv", "b/b.csv"]
    with pytest.raises(KernelAtlasError, match="no model 'c'"):
        targets.refuse_unknown(["c/c.csv"], {"model": ["a"]}, "zoo.yaml")
    targets.refuse_unknown(["c/d.csv"], {"model": ["a"]}, "zoo.yaml")


def test_files_of_unknown_values_are_left_over_unless_another_output_has_that_name(tmp_path):
    targets = Targets({"all": {}}, tmp_path)
    for pattern in (
        "tables/{family}_clusters.csv",
        "tables/k{k}_clusters.csv",
        "kernels/{model}.c",
    ):
        targets.add(f"<results>/{pattern}", "all")
    known = {"family": ["first"], "model": ["a"], "k": ["3"]}
    assert targets.left_over(known) == []
    names = ["first_clusters.csv", "second_clusters.csv", "k3_clusters.csv", "k7_clusters.csv"]
    for name in [*names, "notes.txt"]:
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "tables" / name).touch()
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels/b.c").touch()
    left = ["tables/k7_clusters.csv", "tables/second_clusters.csv"]
    assert targets.left_over(known) == left
    del known["k"]
    assert targets.left_over(known) == left[1:]
