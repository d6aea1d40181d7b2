"""Checkpoints that are replaced: the kernels are read again if the content differs, only then."""

import json
import os
import shutil
import time

import pytest

from kernelatlas.kernels.table import read_square
from kernelatlas.running.files import sha256
from project import nothing_to_do, planted

TABLES = ["results/kernels/one.parquet", "results/kernels/two.parquet"]
PAST = 1e9  # seconds since 1970: in the year 2001


@pytest.fixture
def project(fresh):
    """A project in which the kernels of a file and of a shard have been read."""
    index = {"weight_map": {"x": "shard.safetensors"}}
    (fresh.path / "nets/two.safetensors.index.json").write_text(json.dumps(index))
    names = {"one": "one.safetensors", "two": "two.safetensors.index.json"}
    models = [{"name": name, "file": f"nets/{file}"} for name, file in names.items()]
    fresh.update("zoo.yaml", families={"first": models})
    for path in files(fresh):
        planted(path, 5)
    run = fresh.snakemake(*TABLES)
    assert run.counts["kernels"] == 2, run.text
    return fresh


def files(project):
    return [project.path / f"nets/{name}.safetensors" for name in ("one", "shard")]


def written(new, file):
    shutil.copyfile(new, file)
    os.utime(file, (PAST, PAST))


def linked(new, file):
    file.unlink()
    file.symlink_to(new)
    # Of the link itself: Snakemake looks at both times.
    os.utime(file, (PAST, PAST), follow_symlinks=False)


REPLACED = {
    "written": written,
    "copied with its times": shutil.copy2,
    "moved": lambda new, file: new.replace(file),
    "linked": linked,
}


def test_older_files_of_other_content_are_read(project):
    assert nothing_to_do(project.snakemake(*TABLES))
    seen = set()
    for seed, how in enumerate(REPLACED, start=6):
        for file in files(project):
            new = project.path / f"{how}_{file.name}"
            planted(new, seed)
            os.utime(new, (PAST, PAST))
            size, content = file.stat().st_size, new.read_bytes()
            REPLACED[how](new, file)
            assert file.read_bytes() == content
            assert (file.stat().st_size, file.stat().st_mtime) == (size, PAST), how
        run = project.snakemake(*TABLES)
        assert run.counts["kernels"] == 2, (how, run.text)
        assert "Params have changed" in run.text
        assert nothing_to_do(project.snakemake(*TABLES)), how
        for table in TABLES:
            kernels = read_square(project.path / table, 7)[1]
            seen.add((how, kernels.tobytes()))
    assert len({kernels for _, kernels in seen}) == len(REPLACED)


def test_equal_content_is_not_read_again_whatever_its_time_and_inode(project):
    for seconds in (PAST, time.time() + 60):
        for file in files(project):
            content = file.read_bytes()
            file.unlink()
            file.write_bytes(content)
            os.utime(file, (seconds, seconds))
        assert nothing_to_do(project.snakemake(*TABLES)), seconds
    for file in files(project):
        file.rename(project.path / file.name)
        file.symlink_to(project.path / file.name)
    assert nothing_to_do(project.snakemake(*TABLES))


def test_what_is_made_of_an_older_file_follows_it(finished):
    labels = finished.path / "results/labels"
    before = {path.name: path.read_bytes() for path in labels.iterdir()}
    new = finished.path / "new.safetensors"
    planted(new, 9)
    os.utime(new, (PAST, PAST))
    new.replace(finished.path / "nets/a.safetensors")
    run = finished.snakemake("results/tables/models.parquet")
    assert run.code == 0, run.text
    assert "Training the autoencoder" in run.text
    assert all(path.read_bytes() != before[path.name] for path in labels.iterdir())
    assert nothing_to_do(finished.snakemake("results/tables/models.parquet"))


def test_digests_are_remembered_beside_what_snakemake_remembers(project):
    memory = project.path / ".snakemake/kernelatlas/digests.json"
    time.sleep(2.1)  # what has just changed is not remembered
    for _ in range(2):
        assert nothing_to_do(project.snakemake(*TABLES))
        known = json.loads(memory.read_text())
        assert len(known) == 3
        for path, (_state, digest) in known.items():
            assert digest == sha256(project.path / path)
        memory.write_text("damaged")
    assert set(project.digests()) == {"results/README.md", *TABLES}
