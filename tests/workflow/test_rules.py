"""What every rule says, as Snakemake reads it; scripts, captions and figures that fit the rules."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS, CAPTIONS = ROOT / "workflow/scripts", ROOT / "workflow/report"
OF_JOB = {"script", "code", "figure"}
# Figures that draw a table of another name; a new figure has a table of its own.
OF_ANOTHER = {
    "{family}_layers": "{family}_by_layer",
    "data": "data_spectra",
    "fits_k{k}": "functions_k{k}",
    "frequencies_k{k}": "masterkeys_frequencies_k{k}",
    "parity": "parity_sizes",
    "strides": "offsets_layers",
}


def generator(*arguments):
    return subprocess.run(
        [sys.executable, "docs/rules.py", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def rules():
    done = generator("--json")
    assert done.returncode == 0, done.stderr
    rules = {rule["name"]: rule for rule in json.loads(done.stdout)}
    assert len(rules) > 40
    return rules


def figures(rules):
    """Names of the modules that the rules draw figures with."""
    return {
        module.removeprefix("kernelatlas.figures."): rule
        for rule in rules.values()
        for module in rule["modules"]
        if "figure" in rule["params"] and module != "kernelatlas.figures.style"
    }


def test_every_rule_says_what_it_needs(rules):
    for name, rule in rules.items():
        assert rule["threads"] == 1, name
        assert rule["environment"], name
        assert {"mem_mb", "runtime"} <= set(rule["resources"]) or not rule["script"], name
    with_gpu = sorted(name for name, rule in rules.items() if "gpu" in rule["resources"])
    tests = ["parity", "replacements"]
    gpu = ["accuracy_search", "autoencoder", "crossfit", "frozen_training", "network", *tests]
    assert with_gpu == gpu
    # A group adds up the GPUs of its jobs.
    assert not any(rules[name]["group"] for name in with_gpu)


def test_no_two_rules_share_a_log_or_a_benchmark(rules):
    for what in ("log", "benchmark"):
        paths = [str(rule[what]) for rule in rules.values() if rule[what]]
        assert len(set(paths)) == len(paths)
    for name, rule in rules.items():
        (log,) = rule["log"]
        if not rule["script"]:
            continue  # a command needs no benchmark
        stem = log.removeprefix("results/logs/").removesuffix(".log")
        assert rule["benchmark"] == f"results/benchmarks/{stem}.tsv", name


def test_no_name_of_a_family_makes_two_rules_write_one_file(rules):
    files = [
        (name, path)
        for name, rule in rules.items()
        for path in filter(None, [*rule["output"], *rule["log"], rule["benchmark"]])
    ]
    # Every name that a table, a figure or a log has, and parts of them.
    stems = {Path(path).stem for _, path in files if "{family}" not in path}
    families = {stem.replace("{k}", "7") for stem in stems}
    families |= {family.rpartition("_")[0] for family in families} - {""}
    assert {"models", "sizes", "spectrum_k7", "seeds", "offsets"} <= families
    kinds = {"k": "[1-9][0-9]*", "seed": "[0-9]+"}  # {model} and {network}: anything
    for owner, path in files:
        for family in families if "{family}" in path else ():
            made = path.replace("{family}", family)
            for other, pattern in files:
                text = re.escape(pattern.replace("{family}", family))
                regex = re.sub(r"\\{(\w+)\\}", lambda m: kinds.get(m[1], "[^/]+"), text)
                assert other == owner or not re.fullmatch(regex, made), (family, owner, other)


def test_a_script_has_the_name_of_its_rule_and_is_short(rules):
    used = set()
    for name, rule in rules.items():
        if not rule["script"]:
            continue
        room, _, script = rule["script"].partition("/")
        assert script == ("figure" if room == "figures" else name)
        used.add(f"{rule['script']}.py")
    assert used == {str(path.relative_to(SCRIPTS)) for path in SCRIPTS.rglob("*.py")}
    for path in SCRIPTS.rglob("*.py"):
        assert len(path.read_text().splitlines()) < 40, path


def test_every_figure_takes_what_its_rule_gives(rules):
    drawn = figures(rules)
    for figure, rule in drawn.items():
        draw = importlib.import_module(f"kernelatlas.figures.{figure}").draw
        given = [*rule["input"], *set(rule["params"]) - OF_JOB]
        inspect.signature(draw).bind(**dict.fromkeys(given))
    modules = {path.stem for path in (ROOT / "workflow/kernelatlas/figures").glob("[a-z]*.py")}
    of_commands = {"classified", "compared", "one_kernel", "terminal"}  # `kernelatlas …`
    assert modules - of_commands == set(drawn)


def test_every_figure_draws_a_table_of_its_name_that_is_written_as_csv_too(rules):
    made = {Path(path).name for rule in rules.values() for path in rule["output"]}
    for figure, rule in figures(rules).items():
        (name,) = {Path(path).stem for path in rule["output"]}
        drawn = {Path(path).stem for path in rule["reads"] if "/tables/" in path}
        assert OF_ANOTHER.get(name, name) in drawn, f"{figure}: no table {name}"
        assert {f"{stem}.{suffix}" for stem in drawn for suffix in ("parquet", "csv")} <= made


def test_every_figure_has_a_caption_and_every_caption_a_figure(rules):
    captions = {path.stem for path in CAPTIONS.glob("*.rst")}
    assert captions == {*figures(rules), "left_out"}  # a table
    for caption in captions:
        assert (CAPTIONS / f"{caption}.rst").read_text().strip().endswith("."), caption


def test_the_page_of_rules_is_up_to_date():
    done = generator("--check")
    assert done.returncode == 0, done.stderr


def test_a_rule_that_others_are_made_of_is_no_target(fresh):
    run = fresh.snakemake("short_job")
    assert run.code != 0
    assert len(run.errors) == 1, run.text
    assert "no targets: ask for all" in run.errors[0]
