import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.zoo import load_zoo


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
        ("families: {a: [convnextv2_base.fcmae_ft_in1k]}", "would come from a hub"),
        ("families: {a: [{name: x, hub: a/b, filename: c}]}", "would come from a hub"),
    ],
)
def test_a_bad_zoo_is_one_clear_error(load, text, message):
    with pytest.raises(KernelAtlasError) as caught:
        load(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("zoo.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_missing_zoo_is_named(tmp_path):
    with pytest.raises(KernelAtlasError, match=r"gone\.yaml: no such zoo file"):
        load_zoo(tmp_path / "gone.yaml")
