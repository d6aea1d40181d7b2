"""What README.md and docs/ name exists, and their numbers are those of the results."""

import importlib
import re
import shlex
import shutil

import pytest
from test_numbers import ROOT, numbers

from kernelatlas.errors import KernelAtlasError

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DICTIONARY = ROOT / "results" / "README.md"
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
NUMBERED = [name for name in NAMES if "\n<!-- numbers: " in (ROOT / name).read_text()]
MEASURED = {"docs/benchmarks.md", "docs/cluster.md"}  # timings with the commands that made them
BLOCK = re.compile(r"^<!-- (?:numbers|recorded): .*?^<!-- end -->$", re.M | re.S)
CODE = re.compile(r"^```.*?^```$", re.M | re.S)
FOLDERS = "workflow|docs|tests|benchmarks|envs|profiles|resources"
# Options of Snakemake that documents use, and whether a value follows.
OPTIONS = {
    "--apptainer-args": True,
    "--cache": True,
    "--configfile": True,
    "--cores": True,
    "--resources": True,
    "--rerun-triggers": True,
    "--software-deployment-method": True,
    "--workflow-profile": True,
    "-d": True,
    "-n": False,
    "-s": True,
    "--unlock": False,
}
SEVERAL = {"--config", "--set-resources", "--cache"}  # followed by any number of values


def paths_in(text: str) -> set[str]:
    """Return the paths of the repository that a text names; `*` and `{…}` stand for anything.

    Lock files are left out: `snakemake lock` makes them.
    """
    found = re.findall(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./{{}}*-]*[\w/}}*]", text)
    return {re.sub(r"\{.*?\}", "*", path) for path in found if not path.endswith(".lock.yaml")}


def anchors_in(text: str) -> set[str]:
    """Return the anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_in(text: str, program: str) -> list[list[str]]:
    """Return the words of every command in code, blocks and inline, without comments."""
    lines = "\n".join(CODE.findall(text)).replace("\\\n", " ").splitlines()
    lines += re.findall(r"`([^`\n]+)`", CODE.sub("", text))
    starts = [line.strip() for line in lines if re.match(rf"\s*{program}\b", line)]
    return [shlex.split(line, comments=True)[1:] for line in starts]


def targets_of(words: list[str]) -> list[str]:
    """Return the targets of a Snakemake command."""
    if "--" in words:
        return words[words.index("--") + 1 :]
    targets = []
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in SEVERAL:  # without `--` nothing but options may follow the values
            break
        if not word.startswith("-"):
            targets.append(word)
        elif OPTIONS[name] and not value:
            next(rest)
    return targets


@pytest.mark.parametrize(
    ("line", "targets"),
    [
        ("--cores 8 all", ["all"]),
        ("--cores 8 --config zoo=a.yaml tags=all -- all evidence", ["all", "evidence"]),
        ("--workflow-profile profiles/slurm -n all", ["all"]),
        ("--unlock", []),
    ],
)
def test_targets_are_what_is_no_option(line, targets):
    assert targets_of(line.split()) == targets


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 180


def test_tables_of_the_readme_are_narrow():
    rows = [line for line in README.read_text().splitlines() if line.startswith("|")]
    assert rows
    assert max(line.count("|") - 1 for line in rows) <= 7


@pytest.mark.parametrize("name", NAMES)
def test_lines_of_prose_are_short(name):
    text = CODE.sub("", (ROOT / name).read_text())
    assert [line for line in text.splitlines() if len(line) > 160 and line[0] != "|"] == []


@pytest.mark.parametrize("name", NUMBERED)
def test_blocks_are_what_the_tables_in_results_give(name):
    text = (ROOT / name).read_text()
    try:
        expected = numbers.filled(text, numbers.Results(ROOT / "results"), name)
    except KernelAtlasError as error:
        if not re.search(r": missing: run `|of an earlier version", str(error)):
            raise
        pytest.skip(str(error))
    # Trainings amplify the last bits, in which processors differ: equal up to two points.
    numbers_of = re.compile(r"(?<![\w×])[−-]?\d+(?:\.\d+)?")
    assert numbers_of.sub("#", text) == numbers_of.sub("#", expected), f"{name}: run `make docs`"
    pairs = zip(numbers_of.findall(text), numbers_of.findall(expected), strict=True)
    values = [tuple(float(number.replace("−", "-")) for number in pair) for pair in pairs]
    far = [(old, new) for old, new in values if abs(old - new) > (2 if abs(new) > 3 else 0.3)]
    assert far == [], f"{name} is out of date: run `make docs`"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MEASURED])
def test_no_share_stands_in_prose(name):
    text = (ROOT / name).read_text()
    prose = CODE.sub("", BLOCK.sub("", text))
    shares = r"\d\s*(?:%|±)|(?<![\d,])\d{1,2}(?:\.\d)? points?\b(?! of)"
    found = [line for line in prose.splitlines() if re.search(shares, line)]
    # The level of an interval is a choice and no result.
    assert [line for line in found if not re.search(r"95 % intervals?\b", line)] == []


def test_only_the_quoted_claim_says_that_few_filters_are_nearly_all_kernels():
    """R² of eight filters is at least 0.8 for a few per cent of the kernels (masterkeys block)."""
    words = r"\b(?:almost|nearly|virtually|most of)\s+(?:every|all|any)\b"
    claim = re.compile(words + r"[^.|]*a·f\s*\+\s*b", re.I)
    folders = [ROOT / name for name in ("docs", "workflow", "benchmarks")]
    files = [file for folder in folders for file in folder.rglob("*.*")]
    files += [*PAGES, DICTIONARY, ROOT / "CITATION.cff", ROOT / "pyproject.toml"]
    texts = {".md", ".py", ".rst", ".cff", ".yaml", ".toml"}
    said = {
        file.relative_to(ROOT).as_posix()
        for file in files
        if file.suffix in texts and claim.search(file.read_text(encoding="utf-8"))
    }
    # The page that puts the papers' statements beside ours quotes it, with what is found here.
    assert said == {"docs/paper.md", "docs/paper.yaml"}
    lines = (ROOT / "docs/paper.md").read_text().splitlines()
    assert "R² of at least 0.8 for" in next(line for line in lines if claim.search(line))


@pytest.mark.parametrize("path", [*PAGES, DICTIONARY], ids=[*NAMES, "results/README.md"])
def test_paths_and_links_exist(path):
    text = path.read_text()
    missing = [name for name in sorted(paths_in(text)) if not list(ROOT.glob(name))]
    for target in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", text)):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        if not found.exists() or (anchor and anchor not in anchors_in(found.read_text())):
            missing.append(target)
    assert missing == []


@pytest.mark.parametrize("path", [*PAGES, DICTIONARY], ids=[*NAMES, "results/README.md"])
def test_names_of_the_library_exist(path):
    missing = []
    for name in set(re.findall(r"`(kernelatlas(?:\.\w+)+)", path.read_text())):
        parts = name.split(".")
        found = importlib.import_module(parts[0])
        for end, part in enumerate(parts[1:], 2):
            if not hasattr(found, part):
                try:
                    importlib.import_module(".".join(parts[:end]))
                except ModuleNotFoundError:
                    missing.append(name)
                    break
            found = getattr(found, part)
    assert missing == []


def test_targets_of_make_exist():
    known = set(re.findall(r"^([\w-]+)(?: [\w-]+)*:", (ROOT / "Makefile").read_text(), re.M))
    for path in PAGES:
        for words in commands_in(path.read_text(), "make"):
            targets = {word for word in words if "=" not in word}
            assert targets <= known, path.name


def in_default_folder(target: str, words: list[str]) -> str:
    """Return a target of a command as it is without the command's `results=`."""
    for word in words:
        if word.startswith("results=") and "/" in target:
            folder = word.removeprefix("results=")
            assert target.startswith(f"{folder}/"), target
            return f"results/{target.removeprefix(f'{folder}/')}"
    return target


def test_targets_of_snakemake_exist(fresh):
    targets = {
        in_default_folder(target, words)
        for path in PAGES
        for words in commands_in(path.read_text(), "snakemake")
        for target in targets_of(words)
        if "{" not in target
    }
    assert {"all", "dynamics", "evidence", "release"} <= targets
    # The default configuration, which names a zoo in this repository.
    shutil.copy2(ROOT / "config.yaml", fresh.path)
    (fresh.path / "resources").symlink_to(ROOT / "resources")
    run = fresh.snakemake("--dry-run", "--quiet", "all", "--", *sorted(targets))
    assert run.code == 0, run.text
