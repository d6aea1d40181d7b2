"""Digests of scripts: what must change them, what must not, and the same for every Python."""

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running import fingerprint as module

WORKFLOW = Path(module.__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13")

# A small library, and scripts that use parts of it.
LIBRARY = {
    "__init__": """
        __version__ = "1.0"

        def __getattr__(name):
            from kernelatlas.room import far

            return getattr(far, name)
        """,
    "errors": """
        class KernelAtlasError(Exception):
            pass
        """,
    "room/__init__": "",
    "room/far": """
        import numpy as np

        ROUNDS = 20

        def rounded(x):
            return np.round(x * ROUNDS) / ROUNDS

        def forgotten(x):
            return x - 1
        """,
    "room/middle": """
        from kernelatlas.room import far as away

        def halved(x):
            return away.rounded(x / 2)
        """,
    "room/near": """
        import functools
        import logging
        import warnings
        from typing import TYPE_CHECKING

        from kernelatlas import __version__
        from kernelatlas.errors import KernelAtlasError
        from kernelatlas.room.middle import halved as half

        if TYPE_CHECKING:
            from kernelatlas.room import registry

        log = logging.getLogger(__name__)
        LIMIT = 3
        REMEDY = "use less"

        def explained(x):
            return f"{x!r} is too large"

        def limited(x: "registry.Any", factor=2) -> float:
            '''Return it.'''
            if x > LIMIT:
                found = f"{x} found by {__version__}"
                text = f"{found}: " + explained(x)
                log.warning("too large: %s", text)
                raise KernelAtlasError(f"{text}: {REMEDY}")
            if x < 0:
                warnings.warn("negative", stacklevel=2)
                raise ValueError(f"{x} is negative")
            return half(x) * factor

        class Shape:
            sides: int = 4

            def area(self, a):
                return a * a

            def border(self, a):
                return self.sides * a

        @functools.cache
        def cached(x):
            return x + 1
        """,
    "room/registry": """
        KNOWN = {}

        def register(function):
            KNOWN[function.__name__] = function
            return function

        @register
        def first(x):
            return x + 1
        """,
    "room/settings": """
        import os

        os.environ["THREADS"] = "1"

        def unused():
            return 1
        """,
    "room/late": """
        import importlib

        import kernelatlas.room.settings

        def named():
            return importlib.import_module("kernelatlas.room.far").rounded(1)

        def some(name):
            return importlib.import_module(f"kernelatlas.figures.{name}").draw()
        """,
    "figures/__init__": "",
    "figures/one": """
        def draw():
            return 1
        """,
    "figures/two": """
        from kernelatlas.room.far import rounded

        def draw():
            return rounded(2)
        """,
}
SCRIPTS = {
    "limited": "from kernelatlas.room.near import limited as f\nf(1)",
    "shape": "import kernelatlas.room.near\nkernelatlas.room.near.Shape().area(2)",
    "cached": "from kernelatlas.room import near\nnear.cached(2)",
    "whole": "from kernelatlas.room import far\nprint(vars(far))",
    "inside": "def f():\n    from kernelatlas.room.middle import halved\n    halved(3)\nf()",
    "registered": "from kernelatlas.room.registry import KNOWN\nKNOWN['first'](1)",
    "named": "from kernelatlas.room.late import named\nnamed()",
    "computed": "from kernelatlas.room.late import some\nsome('one')",
    "lazy": "import kernelatlas\nkernelatlas.rounded(1)",
    "nothing": "print(1)",
}
FAR = {"limited", "whole", "inside", "named", "computed", "lazy"}
CHANGES = [  # file, old, new, the scripts whose results may be others
    ("room/far", "ROUNDS = 20", "ROUNDS = 21", FAR),
    ("room/far", "np.round(x * ROUNDS)", "np.round(x / ROUNDS)", FAR),
    ("room/far", "import numpy as np", "import other as np", FAR),
    ("room/far", "x - 1", "x - 2", {"whole", "lazy"}),  # both use the module itself
    ("room/middle", "x / 2", "x / 3", {"limited", "inside"}),
    ("room/middle", "import far as away", "import near as away", {"limited", "inside"}),
    ("room/near", "LIMIT = 3", "LIMIT = 4", {"limited"}),
    ("room/near", "x > LIMIT", "x >= LIMIT", {"limited"}),
    ("room/near", "factor=2", "factor=3", {"limited"}),
    ("room/near", "raise ValueError", "raise TypeError", {"limited"}),
    ("room/near", "halved as half", "other as half", {"limited"}),
    ("room/near", "a * a", "a * a / 2", {"shape"}),
    ("room/near", "sides: int = 4", "sides: int = 5", {"shape"}),
    ("room/near", "sides: int", "sides: float", {"shape"}),  # dataclasses read it
    ("room/near", "return self.sides * a", "return a", {"shape"}),
    ("room/near", "@functools.cache\n", "@functools.lru_cache(2)\n", {"cached"}),
    ("room/near", "def cached(x)", "def cached(x, y=functools)", {"cached"}),
    ("room/registry", "x + 1", "x + 2", {"registered"}),
    ("room/settings", '"1"', '"2"', {"named", "computed"}),  # an effect of an import
    ("figures/one", "return 1", "return 2", {"computed"}),
]
SILENT = [  # file, old, new: what changes no result
    ("__init__", '"1.0"', '"2.0"'),
    ("room/near", "is too large", "is larger than allowed"),
    ("room/near", "found by", "told by"),
    ("room/near", '"use less"', '"try less"'),
    ("room/near", '"too large: %s", text', '"%s", text.upper()'),
    ("room/near", 'log.warning("too large: %s", text)', "pass"),
    ("room/near", '"negative", ', '"below zero", '),
    ("room/near", "is negative", "is below zero"),
    ("room/near", "Return it.", "Return half of it."),
    ("room/near", "-> float", "-> int"),
    ("room/near", ': "registry.Any"', ""),
    ("room/near", "import registry", "import settings"),
    ("room/near", "LIMIT = 3", "# a comment\nLIMIT  =  (3)"),
    ("room/near", "import functools\nimport logging\n", "import logging\nimport functools\n"),
    ("room/settings", "return 1", "return 2"),
]


@pytest.fixture
def small(tmp_path, monkeypatch):
    for name, text in LIBRARY.items():
        path = tmp_path / "kernelatlas" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.removeprefix("        ") for line in text.splitlines()))
    (tmp_path / "scripts").mkdir()
    for name, text in SCRIPTS.items():
        (tmp_path / f"scripts/{name}.py").write_text(text)
    monkeypatch.setattr(module, "LIBRARY", tmp_path / "kernelatlas")
    return tmp_path


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the library and the scripts of the project."""
    for folder in ("kernelatlas", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__", "*.parquet")
        shutil.copytree(WORKFLOW / folder, tmp_path / folder, ignore=ignored)
    monkeypatch.setattr(module, "LIBRARY", tmp_path / "kernelatlas")
    return tmp_path


def digests(tree):
    scripts = sorted((tree / "scripts").rglob("*.py"))
    return {str(path.relative_to(tree / "scripts")): module.fingerprint(path) for path in scripts}


def changed(before, tree):
    after = digests(tree)
    return {name.removesuffix(".py") for name in before if before[name] != after[name]}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_digests_are_16_hexadecimal_digits_and_differ(small):
    found = digests(small)
    assert len(set(found.values())) == len(SCRIPTS)
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in found.values())


@pytest.mark.parametrize(("file", "old", "new", "expected"), CHANGES)
def test_a_change_counts_for_exactly_the_scripts_that_use_it(small, file, old, new, expected):
    before = digests(small)
    edit(small / f"kernelatlas/{file}.py", old, new)
    assert changed(before, small) == expected


@pytest.mark.parametrize(("file", "old", "new"), SILENT)
def test_what_changes_no_result_does_not_count(small, file, old, new):
    before = digests(small)
    edit(small / f"kernelatlas/{file}.py", old, new)
    assert changed(before, small) == set()


COUNTED = [  # in a module that is used whole
    ("from kernelatlas.room.far import rounded as {}, forgotten as {}\na(b(1))", "ab", "ba"),
    ("def f():\n    text = '{}'\n    print(text)", ["one"], ["two"]),  # a text that is a value
    ("class A:\n    text = '{}'\n    def f(self):\n        return self.text", ["one"], ["two"]),
    ("def f():\n    global text\n    text = '{}'", ["one"], ["two"]),
    ("def f(log=[]):\n    log.append('{}')", ["one"], ["two"]),
    ("def f(x):\n    text = 'a'\n    text += '{}'\n    return text", ["one"], ["two"]),
    ("def f(x):\n    raise StopIteration({})", ["x"], ["-x"]),
    ("def f(x):\n    x = {}\n    return x", ["1"], ["True"]),
    ("def f(x):\n    return x[{}:]", ["1"], ["1:2"]),
    ("def f(x):\n    return {}", ["x.a.b"], ["x.b.a"]),
    ("def f(x, *, {}): return a", ["a=1, b=None"], ["a=None, b=1"]),
    ("def f(x):\n    return f'{{x:{}}}'", [".2f"], [".3f"]),
    ("@other.register\ndef f(x: {}): return x", ["int"], ["float"]),
]


@pytest.mark.parametrize(("body", "one", "two"), COUNTED)
def test_what_counts_within_a_unit(small, body, one, two):
    path = small / "kernelatlas/room/texts.py"
    script = small / "scripts/texts.py"
    script.write_text("from kernelatlas.room import texts\nprint(texts)\n")
    found = []
    for values in (one, two):
        path.write_text("import logging\nlog = logging.getLogger('x')\n" + body.format(*values))
        found.append(module.fingerprint(script))
    assert found[0] != found[1]


def test_modules_that_are_named_count_whole_in_place_of_computed_names(small):
    script = small / "scripts/figure.py"
    script.write_text(
        "from importlib import import_module\n"
        "import_module(f'kernelatlas.figures.{snakemake.params.name}').draw()\n"
    )

    def found():
        named = (module.fingerprint(script, [f"kernelatlas.figures.{n}"]) for n in ("one", "two"))
        return [module.fingerprint(script), *named]

    before = found()
    assert len(set(before)) == 3
    edit(small / "kernelatlas/figures/one.py", "return 1", "return 3")
    after = found()
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, True, False]
    edit(small / "kernelatlas/room/far.py", "ROUNDS = 20", "ROUNDS = 21")
    last = found()
    assert [a != b for a, b in zip(after, last, strict=True)] == [True, False, True]
    with pytest.raises(KernelAtlasError, match=r"figure\.py: there is no module 'kernelatlas\.no'"):
        module.fingerprint(script, ["kernelatlas.no"])


def test_a_file_that_is_no_python_is_named(small):
    (small / "kernelatlas/room/far.py").write_text("def broken(:\n")
    with pytest.raises(KernelAtlasError, match=r"far\.py: .*mend the file"):
        digests(small)


def test_the_order_of_definitions_does_not_count(tree):
    before = digests(tree)
    for path in (tree / "kernelatlas").rglob("*.py"):
        code = ast.parse(path.read_text())
        functions = [node for node in code.body if isinstance(node, ast.FunctionDef)]
        others = [node for node in code.body if node not in functions]
        code.body = [*others, *reversed(functions)]
        path.write_text(ast.unparse(code))
    assert changed(before, tree) == set()


def test_the_version_changes_nothing_in_the_project(tree):
    before = digests(tree)
    assert len(before) > 20
    edit(tree / "kernelatlas/__init__.py", "__version__ = ", "__version__ = 'new' + ")
    assert changed(before, tree) == set()


def test_reworded_errors_change_nothing_in_the_project(tree):
    class Reworded(ast.NodeTransformer):
        """Puts other texts into every `raise KernelAtlasError(...)`."""

        count = 0

        def visit_Raise(self, node):
            if isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) == "KernelAtlasError":
                self.count += 1
                node.exc.args = [ast.Constant(f"another text {self.count}")]
            return node

    before, reworded = digests(tree), Reworded()
    for path in (tree / "kernelatlas").rglob("*.py"):
        path.write_text(ast.unparse(reworded.visit(ast.parse(path.read_text()))))
    assert reworded.count > 50
    # A text that a name holds until it is raised is no longer used at all.
    assert changed(before, tree) == set()


def test_the_place_on_disk_does_not_count(tree, tmp_path_factory, monkeypatch):
    before = digests(tree)
    moved = tmp_path_factory.mktemp("moved") / "tree"
    shutil.copytree(tree, moved)
    monkeypatch.setattr(module, "LIBRARY", moved / "kernelatlas")
    assert digests(moved) == before


def pythons():
    """Interpreters by version: those of pyenv, whose commands on the PATH may refuse, or others."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in VERSIONS:
        known = [str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python"))]
        if found := next(iter(known), None) or shutil.which(f"python{version}"):
            yield version, found


FORMS = Path(__file__).with_name("forms.py.txt")
RECORDED = "f8a0c5539140d58a"


@pytest.fixture
def forms(small):
    """A script in which about every form of Python's syntax occurs."""
    script = small / "scripts/forms.py"
    shutil.copy(FORMS, script)
    return script


def test_the_digest_of_every_form_of_syntax_is_the_recorded_one(forms):
    # Another value here means that everything is built again.
    assert module.fingerprint(forms) == RECORDED


@pytest.mark.parametrize("version", VERSIONS)
def test_digests_are_the_same_for_all_versions_of_python(version, tree):
    python = dict(pythons()).get(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from kernelatlas.running.fingerprint import fingerprint\n"
        "names = sys.argv[1:]\n"
        "print(json.dumps([sys.version, [fingerprint(Path(name)) for name in names]]))\n"
    )
    scripts = [*sorted((tree / "scripts").rglob("*.py")), FORMS]
    command = [python, "-S", "-c", code, *map(str, scripts)]  # the standard library alone
    done = subprocess.run(
        command, env={"PYTHONPATH": str(tree)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told, found = json.loads(done.stdout)
    assert told.startswith(version)
    assert found == [module.fingerprint(script) for script in scripts]
