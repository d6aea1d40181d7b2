"""Names and files of every kind on the real Snakefile: they work, or there is one clear error."""

import shutil

import pytest
import yaml

LONGEST = "".join(map(str, range(10, 110)))[:200]


def test_the_longest_names_and_paths_with_spaces_and_quotes_work(fresh):
    """Two models, of which the first alone is read; names of files grow with those of families."""
    odd = fresh.path / "it's (a) & b"
    odd.mkdir()
    shutil.move(fresh.path / "nets/a.safetensors", odd / "a $x;.safetensors")
    entry = {"name": LONGEST, "file": ".//it's (a) & b//a $x;.safetensors"}
    (fresh.path / "zoo.yaml").write_text(yaml.safe_dump({"families": {LONGEST: [entry]}}))
    files = [f"results/tables/{LONGEST}_members.csv", f"results/figures/{LONGEST}_layers.png"]
    run = fresh.snakemake(*files)
    assert run.code == 0, run.text
    assert "double '/'" not in run.text
    assert all((fresh.path / file).exists() for file in files)
    assert "Nothing to be done" in fresh.snakemake(*files).text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seeds: [0]\n".encode("utf-16"), "config.yaml: is no UTF-8 text: save it as UTF-8"),
        ("zoo: zöo.yaml\n".encode("latin-1"), "config.yaml: is no UTF-8 text: save it as UTF-8"),
        (b"seeds:\n\t- 0\n", "config.yaml: not valid YAML: "),
        (b"seeds: [0]\nseeds: [1]\n", "config.yaml: not valid YAML: key 'seeds' stands twice"),
        (b"- seeds\n", "config.yaml: write a mapping from keys to values"),
        (b"zoo: {a: b}\n", "config.yaml: zoo: {'a': 'b'} is not of type 'string'"),
        (b"results: workflow\n", "is the workflow's own: name another folder"),
        (b"results: zoo.yaml\n", "zoo.yaml: is a file: name a folder with `results`"),
        (b"zoo: 'a{b}.yaml'\n", "zoo: 'a{b}.yaml': Snakemake takes no paths with { }"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_error(fresh, tmp_path, content, message):
    """In the working folder, over the defaults, which are in the workflow's own."""
    folder = fresh.path.rename(tmp_path / "workflow's own")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/config.yaml").write_bytes(content)
    if b"results: workflow" in content:
        (tmp_path / "work/workflow").symlink_to(folder / "workflow")
    if b"results: zoo" in content:
        (tmp_path / "work/zoo.yaml").touch()
    fresh.path = tmp_path / "work"
    run = fresh.snakemake("-s", str(folder / "Snakefile"), "--dry-run", "all")
    assert run.code == 1
    (error,) = run.errors
    assert message in error
    assert "Traceback" not in run.text
