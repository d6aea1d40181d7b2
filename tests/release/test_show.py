"""The command `kernelatlas show`: a kernel of the results, and why it was identified or not."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from curves import QUICK
from matplotlib.image import imread
from released import K, noise, planted

from kernelatlas.__main__ import main
from kernelatlas.clustering.autoencoder import fit
from kernelatlas.clustering.curve import Curve
from kernelatlas.clustering.labels import label_kernels, write_labels
from kernelatlas.clustering.templates import bank
from kernelatlas.evidence.fitted import fit_model, write_fits
from kernelatlas.figures import terminal
from kernelatlas.kernels.layer import Layer
from kernelatlas.kernels.normalise import normalise
from kernelatlas.kernels.table import write_kernels
from kernelatlas.names import REASONS
from kernelatlas.release import explorer, show_kernel
from kernelatlas.running.files import write_parquet

ROOT = Path(__file__).parents[2]
SEEDS = [0, 7]
LOOSE = {"thresholds": {"7": 0.85}, "minimum_cosine": 0.9}  # with two seeds: half are not most


@pytest.fixture(scope="module")
def shown(results, tmp_path_factory):
    """Results with two more networks: noise under a loose rule, and kernels of every odd kind."""
    folder = Path(shutil.copytree(results, tmp_path_factory.mktemp("shown") / "results"))
    flat = np.ones((4, K, K), np.float32)
    flat[1] = 0
    flat[2, 0, :2] = np.inf, np.nan
    flat[3] = planted(1, 8)[0]
    rng = np.random.default_rng(0)
    networks = {
        "loose": [Layer("a.dw", planted(10, 6)[0], 2, 1), Layer("b.dw", noise(150), 2, 1)],
        "odd": [
            Layer("block.0.flat", flat),
            Layer("block.1.strip", rng.normal(size=(2, 1, 7)).astype(np.float32)),
        ],
    }
    # One seed has seen nothing but crosses, so that both disagree on much.
    crosses = bank(K).weights[np.array(bank(K).labels) == "off-cross"]
    crosses = np.repeat(crosses, 20, axis=0) + rng.normal(0, 0.01, (20 * len(crosses), K * K))
    path = folder / "autoencoders/k7_seed7.safetensors"
    fit(normalise(crosses), QUICK, 7, "cpu")[0].save(path, {"seed": 7})
    curves = [Curve.load(folder / f"autoencoders/k7_seed{seed}.safetensors") for seed in SEEDS]
    clusters = pd.read_parquet(folder / "clusters/k7.parquet")
    for name, layers in networks.items():
        path = folder / f"kernels/{name}.parquet"
        write_kernels(path, name, layers, {})
        rule = LOOSE["thresholds"]["7"], LOOSE["minimum_cosine"]
        table = label_kernels(path, curves, clusters, *rule)
        write_labels([table], folder / f"labels/{name}.parquet", SEEDS, **LOOSE)
    # As the rule writes them.
    write_fits(fit_model(folder / "kernels/net.parquet", [K]), folder / "fits/net.parquet")
    return folder


def show(folder: Path, capsys, *arguments: object) -> str:
    assert main(["show", *map(str, arguments), "--results", str(folder)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


# --- why ---------------------------------------------------------------------------------


def test_every_reason_is_told_in_a_sentence_with_its_numbers(shown):
    """Against the label tables, for every other kernel of three networks; every reason occurs."""
    seen = set()
    for model, limit, minimum, seeds in (
        ("net", "0.3", "0.75", 3),
        ("loose", "0.85", "0.9", 2),
        ("odd", "0.85", "0.9", 2),
    ):
        for row in pd.read_parquet(shown / f"labels/{model}.parquet")[::2].itertuples():
            kernel = explorer.find(shown, model, str(row.layer_index), row.channel)
            sentence = explorer.why(kernel)
            reason = row.reason if isinstance(row.reason, str) else None
            seen.add(reason)
            start = "Identified: " if reason is None else f"Not identified, {reason}: "
            assert sentence.startswith(start)
            if reason != "degenerate":
                assert f"{row.dissimilarity:.3f}, is " in sentence
                assert f"threshold of 7×7 kernels, {limit}" in sentence
            if reason not in ("degenerate", "too far"):
                assert f"{row.template_cosine:.3f}" in sentence
                assert minimum in sentence
            if reason in (None, "seeds disagree"):
                agree = round(float(row.agreement) * seeds)
                assert f"{agree} of {seeds} seeds give that shape" in sentence
                assert row.label in sentence
    assert seen == {*REASONS, None}


def test_degenerate_kernels_are_told_apart(shown, capsys):
    for channel, found in (
        (0, "its weights are all the same (1) up to rounding"),
        (1, "all its weights are zero"),
        (2, "2 of its weights are not finite"),
    ):
        text = show(shown, capsys, "odd", 0, channel)
        assert text.rstrip().endswith(f"Not identified, degenerate: {found}, so it has no shape.")
        assert "code" not in text


def test_kernels_of_sizes_that_are_not_studied_have_no_label(shown, capsys):
    text = show(shown, capsys, "odd", "block.1.strip", 1)
    assert "layer number 1, 1×7" in text
    assert "kernels of 1×7 are not studied (sizes of this network that are: 7×7)" in text


# --- what is shown -----------------------------------------------------------------------


def test_a_kernel_is_shown_with_place_weights_label_codes_and_fit(shown, capsys):
    label = pd.read_parquet(shown / "labels/net.parquet").iloc[7]
    fitted = pd.read_parquet(shown / "fits/net.parquet").iloc[7]
    weights = planted(60, 1)[0][7]
    text = show(shown, capsys, "net", "dw", 7)
    assert text.startswith("net · dw · channel 7\nlayer number 0, 7×7, family fam\n")
    written = [[float(v) for v in line.split()] for line in text.split("\n\n")[1].splitlines()]
    np.testing.assert_allclose(written, weights, rtol=1e-3)
    assert f"label          {label['label']}\n" in text
    assert f"dissimilarity  {label['dissimilarity']:.3f}, threshold 0.3" in text
    for seed, code in enumerate(label["codes"]):
        assert f"code, seed {seed}   {code:.4f}  {label['label'].split(' ')[0]}" in text
    assert (
        f"best fit       {fitted['function']} ({fitted['form']}), R² {fitted['r2']:.3f}: " in text
    )
    assert f"amplitude {fitted['amplitude']:.3g}, " in text
    assert f"sigma {fitted['sigma']:.3g} px" in text
    assert f"second best    {fitted['runner_up']}, R² {fitted['runner_up_r2']:.3f}" in text
    assert show(shown, capsys, "net", 0, 7) == text  # by the number of the layer


def test_parameters_at_a_limit_of_the_search_are_named(shown, capsys):
    fits = pd.read_parquet(shown / "fits/net.parquet")
    reached = fits.loc[fits["at_limit"].notna()].iloc[0]
    within = fits.loc[fits["at_limit"].isna() & ~fits["degenerate"]].iloc[0]
    text = show(shown, capsys, "net", "dw", int(reached["channel"]))
    assert f"at a limit   of the search, so no estimate: {reached['at_limit']}\n" in text
    assert "at a limit" not in show(shown, capsys, "net", "dw", int(within["channel"]))


def test_strides_are_shown_and_missing_fits_named(shown, capsys):
    text = show(shown, capsys, "loose", "a.dw", 0)
    assert "layer number 0, 7×7, stride 2\n" in text  # the tables know no family of it
    assert "no fits of this kernel: `snakemake --cores all evidence` makes them" in text


def test_curves_that_are_gone_cost_only_what_they_would_tell(shown, tmp_path, capsys):
    folder = Path(shutil.copytree(shown, tmp_path / "results"))
    shutil.rmtree(folder / "autoencoders")
    text = show(folder, capsys, "net", "dw", 7)
    assert re.search(r"code, seed 2   0\.\d{4}\n", text)
    assert "Identified: " in text


# --- pictures ----------------------------------------------------------------------------

PIXEL = re.compile(r"\x1b\[48;2;(\d+);(\d+);(\d+)m( +)")


def drawn(text: str) -> list[list[tuple[int, int, int]]]:
    """Return the colours of each line of a picture."""
    lines = [line for line in text.splitlines() if "\x1b" in line]
    return [[tuple(map(int, match.groups()[:3])) for match in PIXEL.finditer(s)] for s in lines]


def test_pictures_in_a_terminal_are_red_above_the_mean_and_blue_below():
    weights = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 30]], np.float32)
    lines = drawn(terminal.coloured(weights))
    assert len(lines) == 6  # two lines a row, as letters are twice as tall as wide
    for i, row in enumerate(lines[::2]):
        assert row == lines[2 * i + 1]
        for (red, _, blue), weight in zip(row, weights[i], strict=True):
            assert (red > blue) == (weight > weights.mean())
    assert len(drawn(terminal.coloured(np.eye(31)))) == 31
    assert len(drawn(terminal.coloured(np.arange(7.0)[None]))) == 2


def in_a_terminal(folder: Path, **environment: str) -> str:
    """Run the command in a real pseudo-terminal and return what it prints there."""
    master, slave = pty.openpty()
    told = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "TERM": "xterm", **environment}
    if "NO_COLOR" not in environment:
        told.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "kernelatlas", "show", "net", "dw", "7", "--results", folder]
    with subprocess.Popen(command, stdout=slave, env=told) as process:
        os.close(slave)
        parts = []
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(master)
    assert process.returncode == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


def test_colours_are_for_terminals_that_want_them(shown, capsys):
    lines = drawn(in_a_terminal(shown))
    weights = planted(60, 1)[0][7]
    assert [len(line) for line in lines] == [K] * 2 * K
    red, _, blue = lines[2 * int(weights.argmax() // K)][int(weights.argmax() % K)]
    assert red > blue
    plain = show(shown, capsys, "net", "dw", 7)
    assert "\x1b" not in plain
    assert in_a_terminal(shown, NO_COLOR="1") == plain


def test_the_picture_shows_the_kernel_its_reconstruction_template_and_fit(shown, tmp_path, capsys):
    for name, arguments in {"a": ("net", "dw", 7), "b": ("odd", 1, 0), "c": ("odd", 0, 2)}.items():
        for kind in ("png", "pdf"):
            path = tmp_path / f"{name}.{kind}"
            assert f"Written: {path}" in show(shown, capsys, *arguments, "--output", path)
            assert path.stat().st_size > 3000
    assert imread(tmp_path / "a.png").shape[1] > imread(tmp_path / "c.png").shape[1]
    kernel = explorer.find(shown, "net", "dw", 7)
    own, reconstruction, template, fit = (panel for _, panel in show_kernel.panels(kernel))
    unit = normalise(kernel.weights.reshape(1, -1))[0]
    assert np.corrcoef(own.ravel(), unit)[0, 1] == pytest.approx(1)
    # The reconstruction is the label table's: its cosine to the template is in it.
    assert float((reconstruction * template).sum()) == pytest.approx(
        kernel.label["template_cosine"], abs=1e-5
    )
    assert float(reconstruction.ravel() @ unit) > 0.9
    r = np.corrcoef(fit.ravel(), unit)[0, 1]
    assert r**2 == pytest.approx(kernel.fit["r2"], abs=1e-4)


def test_a_reader_that_stops_gets_no_traceback(shown):
    """As `kernelatlas show … | head -1`; here it stops before anything is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "kernelatlas", "show", "net", "dw", "7", "--results", shown]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, env=environment, text=True
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


# --- errors ------------------------------------------------------------------------------


def test_what_is_not_there_is_told_with_what_is(shown, tmp_path, capsys):
    old = Path(shutil.copytree(shown, tmp_path / "old"))
    table = pq.read_table(old / "labels/net.parquet").drop_columns("reason")
    write_parquet(table, old / "labels/net.parquet", {"schema_version": 3})
    (old / "labels/loose.parquet").unlink()
    (old / "kernels/odd.parquet").write_bytes(b"PAR1 damaged")
    for folder, arguments, found in (
        (shown, ("nett", "dw", 1), "no network 'nett' in {}: did you mean 'net'"),
        (shown, ("xyz", "dw", 1), "no network 'xyz' in {}: {}/kernels has loose, net, net.untr"),
        (shown, ("odd", "block.0.flats", 1), "odd: no depthwise layer 'block.0.flats': did you"),
        (shown, ("odd", "x", 1), "odd: no depthwise layer 'x': it has 0 block.0.flat, 1 block.1."),
        (shown, ("odd", "7", 1), "odd: no depthwise layer '7': it has 0 block.0.flat, 1 block.1."),
        (shown, ("net", "dw", 60), "net: layer 'dw' has no channel 60: its channels are 0 to 59"),
        (shown, ("net", "dw", -1), "net: layer 'dw' has no channel -1: its channels are 0 to 59"),
        (shown, ("net", "dw", 1, "--output", "a.gif"), "a.gif: pictures are written as .png or "),
        (tmp_path / "no", ("net", "dw", 1), "{}/kernels: no results: run `snakemake --cores all"),
        (old, ("net", "dw", 1), "{}/labels/net.parquet: of an earlier version: run `snakemake"),
        (old, ("loose", "a.dw", 1), "{}/labels/loose.parquet: missing: run `snakemake"),
        (old, ("odd", "dw", 1), "{}/kernels/odd.parquet: cannot be read ("),
    ):
        assert main(["show", *map(str, arguments), "--results", str(folder)]) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith("ERROR " + found.replace("{}", str(folder))), told.err
        assert len(told.err.splitlines()) == 1
