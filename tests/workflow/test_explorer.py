"""`snakemake explorer`: page and data, each made again when it must be."""

import json

from project import nothing_to_do

PAGE = "workflow/kernelatlas/release/page"
FOLDER = "results/explorer"


def contents(folder):
    """Bytes of all files by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_explorer_is_whole_and_only_what_changed_is_made_again(described):
    folder, page = described.path / FOLDER, described.path / PAGE
    (folder / "data/31x31").mkdir(parents=True)
    (folder / "data/31x31/weights.npy").write_bytes(b"of another zoo")
    (folder / "old.js").write_bytes(b"of another version")
    run = described.snakemake("explorer")
    assert run.code == 0, run.text
    assert set(run.jobs) == {"explorer", "explorer_data", "explorer_page"}
    first = contents(folder)
    written = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    assert {name for name in first if not name.startswith("data/")} == written
    assert {name.split("/")[1] for name in first if name.startswith("data/")} == {
        *("index.json", "networks", "7x7"),
    }
    index = json.loads(first["data/index.json"])
    assert [network["name"] for network in index["networks"]] == ["a", "a.untrained", "b"]
    assert index["sizes"]["7x7"]["studied"]
    assert {row["kind"] for row in index["nulls"]} >= {"trained", "white", "shuffled"}
    assert nothing_to_do(described.snakemake("explorer"))

    (page / "page.css").write_text("body { color: red; }")
    run = described.snakemake("explorer")
    assert set(run.jobs) == {"explorer", "explorer_page"}
    assert (folder / "page.css").read_text() == "body { color: red; }"

    # As a full disk or a careless hand may leave it.
    (folder / "data/7x7/fit.npy").write_bytes(first["data/7x7/fit.npy"][:-1])
    (folder / "data/networks/b.json").unlink()
    damaged = contents(folder)
    run = described.snakemake("explorer", "--dry-run")
    assert "7x7/fit.npy, networks/b.json: missing or not as long" in run.text
    assert contents(folder) == damaged  # nothing is removed
    run = described.snakemake("explorer")
    assert "7x7/fit.npy, networks/b.json: missing or not as long" in run.text
    assert set(run.jobs) == {"explorer", "explorer_data"}
    assert contents(folder) == {**first, "page.css": b"body { color: red; }"}


def test_a_release_has_the_explorer_only_if_asked_for(described):
    release = described.path / "results/release"
    without = contents(release)
    option = ("--config", "release={explorer: true}")
    run = described.snakemake("release", *option)
    assert run.code == 0, run.text
    explored = contents(described.path / FOLDER)
    with_it = contents(release)
    assert {
        name.removeprefix("explorer/"): content
        for name, content in with_it.items()
        if name.startswith("explorer/")
    } == explored
    files = json.loads(with_it["manifest.json"])["files"]
    assert {name for name in files if name.startswith("explorer/")} == {
        f"explorer/{name}" for name in explored
    }
    card = with_it["README.md"].decode()
    assert "explorer/ has the kernels, rounded to eight bits" in card
    assert "kernels themselves are not included" not in card
    assert "| point_rows |" in card
    assert nothing_to_do(described.snakemake("release", *option))
    assert described.snakemake("release").code == 0
    assert contents(release) == without
