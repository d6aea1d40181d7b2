from pathlib import Path

import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.zoo import load_zoo

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.safetensors").write_bytes(b"")

    def write_and_load(text: str):
        (tmp_path / "zoo.yaml").write_text(text)
        return load_zoo("zoo.yaml")

    return write_and_load


def test_models_are_sorted_and_keep_their_family(load):
    models = load(
        "families:\n"
        "  second: [{name: b, file: net.safetensors}]\n"
        "  first:\n"
        "    - {name: c, init: convnext_atto, seed: 3, arguments: {depths: [1, 1, 1, 1]}}\n"
        "    - {name: a, file: net.safetensors, trained_on: pictures}\n"
    )
    assert [(m.family, m.name, m.trained) for m in models] == [
        ("first", "a", True),
        ("first", "c", False),
        ("second", "b", True),
    ]
    assert models[1].arguments == {"depths": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the zoo is empty"),
        ("families: {}", "non-empty"),
        ("families: {a: []}", "families.a"),
        ("families: [a", "not valid YAML"),
        ("models: {}", "unknown key 'models'"),
        ("family: {}", "did you mean 'families'"),
        ("families: {a: [{file: net.safetensors}]}", "'name' is a required property"),
        ("families: {a: [{name: x, file: net.safetensors, sede: 1}]}", "unknown key 'sede'"),
        ("families: {a: [{name: x, file: 3}]}", "not of type 'string'"),
        ("families: {a: [{name: x, file: ''}]}", "file"),
        ("families: {a: [{name: x, file: net.safetensors, init: y}]}", "one source"),
        ("families: {a: [{name: x, file: gone.pth}]}", "no file 'gone.pth'"),
        ("families: {a: [{name: x, init: gone.yaml}]}", "no file 'gone.yaml'"),
        ("families: {a: [{name: '../x', file: net.safetensors}]}", "'../x' cannot be a file name"),
        ("families: {a: [{name: a/b, file: net.safetensors}]}", "'a/b' cannot be a file name"),
        ("families: {a: [{name: a b, file: net.safetensors}]}", "'a b' cannot be a file name"),
        ("families: {a: [{name: '', file: net.safetensors}]}", "'' cannot be a file name"),
        ("families: {a: [{name: .x, file: net.safetensors}]}", "'.x' cannot be a file name"),
        ('families: {a: [{name: "x\\n", file: net.safetensors}]}', "cannot be a file name"),
        ("families: {../a: [{name: x, file: net.safetensors}]}", "family name '../a'"),
        (
            "families: {a: [{name: x, file: net.safetensors}, {name: X, init: y}]}",
            "'X' of family 'a' stands also",
        ),
        ("families: {a: [{name: x, init: y}], a: [{name: z, init: y}]}", "'a' stands twice"),
        ("families: {2024: [convnext_tiny]}", "family name '2024' is no text for YAML"),
        ("families: {no: [convnext_tiny]}", "family name 'False' is no text for YAML"),
        ("families: {null: [convnext_tiny]}", "family name 'None' is no text"),
        ("families: {2024-01-01: [convnext_tiny]}", "family name '2024-01-01' is no text"),
        ("families: {1.5: [convnext_tiny]}", "family name '1.5' is no text"),
        ("families: {12:30: [convnext_tiny]}", "write it in quotes"),
        ("families: {[a]: [convnext_tiny]}", "unhashable key"),
        ("families: {a: [7]}", "model name '7' is no text"),
        ("families: {a: [null]}", "write it in quotes"),
        ("families: {a: [{name: on, file: net.safetensors}]}", "model name 'True' is no text"),
        ("families: {a: [{name: 2024-01-01, init: y}]}", "model name '2024-01-01' is no text"),
        ("families: {a: [{<<: 3, name: x}]}", "expected a mapping or list of mappings for merging"),
        ("families: &a {f: *a}", "Circular reference"),
        ("families:\n\ta: [convnext_tiny]", "indent with spaces, not with tabs"),
        ("families: {a: [convnext_tiny]}\n---\nb: 1", "expected a single document"),
        ("families: !!python/name:os.system {}", "could not determine a constructor"),
        ("families: {2024-13-45: [convnext_tiny]}", "month must be in 1..12"),
        (f"families: {{{'f' * 240}: [convnext_tiny]}}", "has 240 characters, too many"),
        (f"families: {{a: [{{name: {'m' * 240}, init: y}}]}}", "use at most 200"),
        (f"families: {{{'ab' * 20}: [convnext_tiny]}}", "the same characters over and over"),
        (f"families: {{a: [{{name: m, file: {'m' * 300}}}]}}", "no file 'mmm"),
        ('families: {a: [{name: m, file: "a\\0b"}]}', "no file 'a"),
        ("families: {a: [{name: m, file: .}]}", "no file '.'"),
        ("families: {f: [convnext_tiny], F: [convnext_nano]}", "'f' and 'F' differ in case alone"),
        ("families: {a: [convnextv2_bse.fcmae]}", "did you mean 'convnextv2_base.fcmae"),
        ("families: {a: [convnxt_tiny]}", "did you mean 'convnext_tiny"),
        ("families: {a: ['convnxt_*']}", "'convnxt_*' matches no network"),
        ("families: {a: [resnet50.a1_in1k]}", "'resnet50.a1_in1k' has no depthwise layers"),
        ("families: {a: [{name: mine}]}", "no file, hub or url is given"),
        ("families: {a: [convnext_tiny], b: ['convnext_t*']}", "stands also in family 'a'"),
        ("families: {a: [{name: x, hub: a}]}", "owner/repository"),
        ("families: {a: [{name: x, hub: ../b}]}", "owner/repository"),
        ("families: {a: [{name: x, hub: a/b/c}]}", "owner/repository"),
        ("families: {a: [{name: x, hub: a/b, filename: ../c}]}", "without '..'"),
        ("families: {a: [{name: x, hub: a/b, filename: /c}]}", "without '..'"),
        ("families: {a: [{name: x, hub: a/b, filename: c/../d}]}", "without '..'"),
        ("families: {a: [{name: x, hub: a/b, revision: ../main}]}", "a commit, branch or tag"),
        ("families: {a: [{name: x, hub: a/b, url: 'https://c'}]}", "one source"),
        ("families: {a: [{name: x, url: 'ftp://c'}]}", "https address"),
        ("families: {a: [{name: x, url: 'file:///etc/passwd'}]}", "https address"),
        ("families: {a: [{name: x, url: 'https://c', sha256: abc}]}", "64 hexadecimal digits"),
        ("families: {a: [{name: x, file: net.safetensors, sha256: abc}]}", "sha256"),
        ("families: {a: [{name: x, file: net.safetensors, filename: c}]}", "'hub' is a dep"),
        (
            "families: {a: [{name: x, file: net.safetensors, architecture: convnext_tny}]}",
            "did you mean 'convnext_tiny",
        ),
    ],
)
def test_a_bad_zoo_is_one_clear_error(load, text, message):
    with pytest.raises(KernelAtlasError) as caught:
        load(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("zoo.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_a_zoo_in_another_encoding_is_to_be_saved_as_utf_8(load, tmp_path, encoding):
    text = "families: {a: [{name: x, file: net.safetensors, trained_on: Bücher}]}"
    assert load(text)[0].trained_on == "Bücher"
    (tmp_path / "zoo.yaml").write_bytes(text.encode(encoding))
    with pytest.raises(KernelAtlasError, match=r"^zoo\.yaml: is no UTF-8 text: save it as UTF-8$"):
        load_zoo("zoo.yaml")
    (tmp_path / "zoo.yaml").write_bytes(text.encode("utf-8-sig"))  # as some editors save it
    assert load_zoo("zoo.yaml")[0].trained_on == "Bücher"


def test_a_zoo_that_is_a_folder_is_named(tmp_path):
    with pytest.raises(KernelAtlasError, match="is a folder: name a YAML file in it"):
        load_zoo(tmp_path)


def test_merge_keys_share_what_entries_have_in_common(load):
    models = load(
        "families:\n"
        "  a: &a\n"
        "    - &x {name: x, file: net.safetensors, trained_on: pictures}\n"
        "    - {<<: *x, name: y}\n"
        "    - {<<: [{fused: true}, *x], name: z}\n"
    )
    assert [(m.name, m.trained_on, m.fused) for m in models] == [
        ("x", "pictures", False),
        ("y", "pictures", False),
        ("z", "pictures", True),
    ]


def test_paths_count_from_the_zoo_or_else_from_the_workflow(tmp_path, monkeypatch):
    for file in ("zoos/nets/a.pth", "atlas/nets/a.pth", "atlas/nets/b.pth", "nets/c.pth"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    zoo = tmp_path / "zoos/zoo.yaml"
    zoo.write_text(
        "families:\n"
        "  f:\n"
        "    - {name: a, file: nets/a.pth}\n"
        "    - {name: b, file: nets/b.pth}\n"
        "    - {name: c, file: ..//nets/./c.pth}\n"
        f"    - {{name: d, file: {tmp_path}//nets/c.pth}}\n"
    )
    files = [model.file for model in load_zoo("zoos/zoo.yaml", root=tmp_path / "atlas")]
    assert files == ["zoos/nets/a.pth", "atlas/nets/b.pth", "nets/c.pth", f"{tmp_path}/nets/c.pth"]
    with pytest.raises(KernelAtlasError, match=r"'b': no file 'nets/b\.pth' \(seen"):
        load_zoo("zoos/zoo.yaml")


@pytest.mark.parametrize("folder", ["a{b}", "{", "c<d>"])
def test_paths_that_snakemake_would_read_as_patterns_are_refused(load, tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "net.pth").touch()
    with pytest.raises(KernelAtlasError, match=r"Snakemake takes no paths with .*rename"):
        load(f"families: {{f: [{{name: a, file: '{folder}/net.pth'}}]}}")


def test_a_missing_zoo_is_named(tmp_path):
    with pytest.raises(KernelAtlasError, match=r"gone\.yaml: no such zoo file"):
        load_zoo(tmp_path / "gone.yaml")


def test_a_tag_of_timm_knows_its_repository_and_architecture(load):
    (model,) = load("families: {a: [convnextv2_atto.fcmae_ft_in1k]}")
    assert (model.name, model.family) == ("convnextv2_atto.fcmae_ft_in1k", "a")
    assert model.remote == {"hub": "timm/convnextv2_atto.fcmae_ft_in1k"}
    assert model.architecture == "convnextv2_atto"
    assert model.trained


def test_an_entry_may_pin_a_tag_and_name_its_data(load):
    (model,) = load(
        "families: {a: [{name: convnextv2_atto.fcmae, revision: v1, trained_on: ImageNet-1k}]}"
    )
    assert model.remote == {"hub": "timm/convnextv2_atto.fcmae", "revision": "v1"}
    assert model.trained_on == "ImageNet-1k"


def test_an_architecture_stands_for_its_default_tag_or_for_all(load, tmp_path):
    (model,) = load("families: {a: [convnextv2_atto]}")
    assert model.name == "convnextv2_atto.fcmae_ft_in1k"
    names = [model.name for model in load_zoo("zoo.yaml", every_tag=True)]
    assert names == ["convnextv2_atto.fcmae", "convnextv2_atto.fcmae_ft_in1k"]


def test_patterns_are_of_architectures_or_with_a_dot_of_tags(load):
    assert [m.name for m in load("families: {a: ['convnextv2_[at]*o']}")] == [
        "convnextv2_atto.fcmae_ft_in1k",
    ]
    assert [m.name for m in load("families: {a: ['convnextv2_?????.fcmae']}")] == [
        "convnextv2_femto.fcmae",
        "convnextv2_large.fcmae",
    ]


def test_a_name_of_its_own_comes_before_a_pattern(load):
    models = load(
        "families:\n"
        "  a: ['convnextv2_atto.*', 'convnextv2_a*.fcmae']\n"
        "  b: [{name: convnextv2_atto.fcmae, revision: v1}]\n"
    )
    assert [(m.family, m.name, m.revision) for m in models] == [
        ("a", "convnextv2_atto.fcmae_ft_in1k", None),
        ("b", "convnextv2_atto.fcmae", "v1"),
    ]


def test_sources_of_ones_own(load):
    first, second, third = load(
        "families:\n"
        "  a:\n"
        "    - {name: x, hub: owner/repo, filename: sub/net.bin, revision: refs/pr/1}\n"
        "    - {name: y, url: 'https://host/y.pth?download=1', architecture: convnext_tiny}\n"
        "    - {name: z, hub: owner/repo}\n"
    )
    assert first.remote == {
        "hub": "owner/repo",
        "filenames": ("sub/net.bin",),
        "revision": "refs/pr/1",
    }
    assert second.remote == {"url": "https://host/y.pth?download=1"}
    assert (first.architecture, second.architecture) == (None, "convnext_tiny")
    assert third.remote == {"hub": "owner/repo"}


def test_the_lock_file_pins_what_has_no_revision_of_its_own(load, tmp_path):
    commit = "0123456789" * 4
    (tmp_path / "zoo.lock.yaml").write_text(
        f"x: {{revision: {commit}}}\ny: {{revision: {commit}}}\nu: {{etag: f}}\n"
        f"gone: {{revision: {commit}}}\n"
    )
    x, y, u = load(
        "families: {a: [{name: x, hub: a/b}, {name: y, hub: a/c, revision: v1}], "
        "b: [{name: u, url: 'https://c/d'}]}"
    )
    assert x.remote == {"hub": "a/b", "revision": commit}
    assert (x.locked, y.locked, u.locked) == (True, False, True)
    assert y.remote == {"hub": "a/c", "revision": "v1"}
    assert u.remote == {"url": "https://c/d", "etag": "f"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: {revision: main}", "revision"),
        ("x: {commit: 3}", "unknown key 'commit'"),
        ("[", "not valid YAML"),
        ("- x", "not of type 'object'"),
    ],
)
def test_a_bad_lock_file_is_named(load, tmp_path, text, message):
    (tmp_path / "zoo.lock.yaml").write_text(text)
    with pytest.raises(KernelAtlasError, match=r"^zoo\.lock\.yaml: ") as caught:
        load("families: {a: [{name: x, hub: a/b}]}")
    assert message in str(caught.value)


def test_the_zoos_that_come_with_the_project_hold_what_they_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    zoos = ROOT / "workflow" / "zoos"
    assert len(load_zoo(zoos / "timm.yaml")) == 471
    every = load_zoo(zoos / "timm.yaml", every_tag=True)
    assert len(every) == 721
    assert len({model.family for model in every}) == 49
    paper = load_zoo(zoos / "paper.yaml")
    assert {model.family for model in paper} == {
        *("convnext", "convnextv2", "convmixer", "mobilenetv2", "mobilenetv3"),
        *("efficientnet", "efficientnetv2", "mixnet"),
    }
    # Every family has its control, each from random numbers of its own.
    controls = [model for model in paper if not model.trained]
    assert len({model.family for model in controls}) == len(controls) == 8
    assert len({model.seed for model in controls}) == 8
