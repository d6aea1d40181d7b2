"""Fill the tables of docs/rules.md with the rules of the workflow (`make docs`).

They stand between `<!-- rules -->` and `<!-- end of rules -->`. With --check nothing is written,
and text that differs is an error; with --json the rules are printed.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    sys.path.pop(0)  # with this folder in front, Python's own module `numbers` would not be found

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/rules.md"
BEGIN, END = "<!-- rules -->\n", "<!-- end of rules -->\n"
CONSTRAINED = re.compile(r"\{(\w+),[^{}]*\}")  # as Snakemake keeps a wildcard
MOST = 12  # files of a rule that are listed
SHARED = "kernelatlas.running"  # what every script uses; of no use in the table


@dataclass(frozen=True)
class Rule:
    """A rule that makes files.

    Attributes
    ----------
    room
        The name of its file under workflow/rules/.
    script
        Under workflow/scripts/, without `.py`; None of a rule that runs a command.
    modules
        Of the library, that the script imports itself, or by a parameter; without `SHARED`.
    reads
        Paths among its inputs, as far as they are not found by a function.
    resources
        Names of those that it asks for.
    """

    name: str
    room: str
    output: list[str]
    input: list[str]
    reads: list[str]
    log: list[str]
    benchmark: str | None
    script: str | None
    modules: list[str]
    params: list[str]
    resources: list[str]
    threads: int
    environment: bool
    group: str | None


def read_rules(root: Path = ROOT) -> list[Rule]:
    """Return the rules of a Snakefile that make files, in the order of its includes.

    Raises
    ------
    RuntimeError
        If the installed Snakemake tells less of its rules than 9.27 does.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

    settings = OutputSettings(quiet={Quietness.ALL})
    with SnakemakeApi(settings) as api:
        workflow = api.workflow(ResourceSettings(), snakefile=root / "Snakefile", workdir=root)
        try:
            found = list(workflow._workflow.rules)
            return [_rule(rule, root) for rule in found if rule.output]
        except AttributeError as error:
            raise RuntimeError(
                f"docs/rules.py: this Snakemake no longer has what 9.27 has: {error}: mend "
                "read_rules, or lower the bound of snakemake in pyproject.toml"
            ) from error


def _rule(rule: Any, root: Path) -> Rule:
    params = dict(rule.params.items())
    script = params.get("script")
    modules = _imports(root / f"workflow/scripts/{script}.py") if script else []
    if "figure" in params:
        modules.append(f"kernelatlas.figures.{params['figure']}")
    return Rule(
        name=rule.name,
        room=Path(rule.snakefile).stem,
        output=_plain(rule.output),
        input=[name for name, _ in rule.input.items()],
        reads=_plain(path for path in rule.input if isinstance(path, str)),
        log=_plain(rule.log),
        benchmark=_plain([rule.benchmark])[0] if rule.benchmark else None,
        script=script,
        modules=sorted(name for name in modules if not name.startswith(SHARED)),
        params=sorted(params),
        resources=sorted(rule.resources),
        threads=rule.resources["_cores"].value,
        environment=rule.conda_env is not None,
        group=rule.group,
    )


def _plain(paths: Iterable[object]) -> list[str]:
    """Return paths without the constraints of their wildcards."""
    return [CONSTRAINED.sub(r"{\1}", str(path)) for path in paths]


def _imports(script: Path) -> list[str]:
    """Return the modules of the library that a script imports from."""
    found = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                path = ROOT / "workflow" / Path(*whole.split("."))
                module = path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
                found.add(whole if module else node.module)
    return [name for name in found if name.startswith("kernelatlas.")]


def tables(rules: list[Rule]) -> str:
    """Return a table of rules for each room."""
    lines = []
    for room in dict.fromkeys(rule.room for rule in rules):
        lines += [
            f"## {room}",
            "",
            "| rule | output | script | library |",
            "| --- | --- | --- | --- |",
        ]
        for rule in rules:
            if rule.room == room:
                library = "<br>".join(
                    f"`{name.removeprefix('kernelatlas.')}`" for name in rule.modules
                )
                cells = (
                    f"`{rule.name}`",
                    _outputs(rule.output),
                    f"`{rule.script}.py`" if rule.script else "–",
                    library,
                )
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _outputs(paths: list[str]) -> str:
    """Return the files of a rule, those that differ only in their suffix on one line.

    Of very many, as of a page with its modules, only the first.
    """
    by_stem: dict[str, list[str]] = {}
    for path in paths:
        stem, dot, suffix = path.rpartition(".")
        by_stem.setdefault(stem if dot else path, []).append(dot + suffix if dot else "")
    lines = [
        f"`{stem}{suffixes[0]}`" + "".join(f", `{suffix}`" for suffix in suffixes[1:])
        for stem, suffixes in by_stem.items()
    ]
    return "<br>".join(lines if len(lines) <= MOST else [lines[0], "…"])


def filled(text: str, content: str) -> str:
    """Return a page with the content between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE}: no lines {BEGIN.strip()} and {END.strip()}: put them there")
    return f"{before}{begin}\n{content}\n{end}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    parser.add_argument("--json", action="store_true", help="print the rules")
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]  # the rules look for targets among them
    rules = read_rules()
    if arguments.json:
        print(json.dumps([asdict(rule) for rule in rules]))
        return
    text = PAGE.read_text()
    new = filled(text, tables(rules))
    if arguments.check and new != text:
        raise SystemExit(f"{PAGE}: out of date: run `make docs`")
    if not arguments.check:
        PAGE.write_text(new)


if __name__ == "__main__":
    main()
