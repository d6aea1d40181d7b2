import shutil
from pathlib import Path

import pytest

from kernelatlas.running import fingerprint as module

WORKFLOW = Path(module.__file__).parents[2]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for folder in ("kernelatlas", "scripts"):
        shutil.copytree(WORKFLOW / folder, tmp_path / folder)
    monkeypatch.setattr(module, "LIBRARY", tmp_path / "kernelatlas")
    return tmp_path


def digests(tree):
    module._digest.cache_clear()
    return {p.stem: module.fingerprint(p) for p in sorted((tree / "scripts").glob("*/*.py"))}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_comments_docstrings_and_formatting_change_nothing(tree):
    before = digests(tree)
    edit(
        tree / "kernelatlas/clustering/templates.py",
        '"""Analytic kernels',
        '"""Other words: kernels',
    )
    edit(
        tree / "kernelatlas/clustering/templates.py",
        "\nSQUARE_SIGMA = 0.3",
        "\n# a comment\nSQUARE_SIGMA  =  0.3",
    )
    edit(tree / "scripts/clustering/clusters.py", "\nwith logged", "\n# a comment\n\nwith logged")
    assert digests(tree) == before


def test_a_formula_changes_what_imports_it_and_nothing_else(tree):
    before = digests(tree)
    edit(tree / "kernelatlas/clustering/templates.py", "SQUARE_SIGMA = 0.3", "SQUARE_SIGMA = 0.4")
    after = digests(tree)
    changed = {name for name in before if before[name] != after[name]}
    assert {"clusters", "labels", "tables_spectrum"} <= changed
    assert not changed & {"kernels", "untrained", "corpus", "autoencoder", "network", "sizes"}


def test_imports_inside_functions_count(tree):
    script = tree / "scripts/kernels/corpus.py"
    script.write_text("def late():\n    from kernelatlas.clustering.kmeans import short_path\n")
    before = digests(tree)["corpus"]
    edit(tree / "kernelatlas/clustering/kmeans.py", "ROUNDS = 20", "ROUNDS = 21")
    assert digests(tree)["corpus"] != before


def test_the_fingerprint_does_not_depend_on_the_place(tree, tmp_path_factory, monkeypatch):
    before = digests(tree)
    moved = tmp_path_factory.mktemp("moved") / "tree"
    shutil.copytree(tree, moved)
    monkeypatch.setattr(module, "LIBRARY", moved / "kernelatlas")
    assert digests(moved) == before


def test_modules_that_are_imported_by_name_count(tree):
    def digest(*modules):
        module._digest.cache_clear()
        return module.fingerprint(tree / "scripts/figures/figure.py", modules)

    before = digest(), digest("kernelatlas.figures.pca"), digest("kernelatlas.figures.seeds")
    assert len(set(before)) == 3
    edit(tree / "kernelatlas/figures/pca.py", "SHOWN = ", "UNUSED = 1\nSHOWN = ")
    after = digest(), digest("kernelatlas.figures.pca"), digest("kernelatlas.figures.seeds")
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
