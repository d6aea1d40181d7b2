"""The command line: labels and fits for the kernels of a checkpoint."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError

TYPICAL = 8  # kernels of each label in the figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", force=True)
    try:
        _classify(options.checkpoint, options.release, options.output, options.device)
    except KernelAtlasError as error:
        print("ERROR", " ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kernelatlas", description="Depthwise convolution kernels of trained networks."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="command")
    command = commands.add_parser(
        "classify",
        help="labels, analytic fits and a figure for the kernels of a checkpoint",
        description=(
            "Label every depthwise kernel of a checkpoint with the curves of a release, and find "
            "the analytic function that fits it best. Writes labels.csv, labels.parquet, "
            "shapes.pdf and shapes.png, and prints the share of each shape. No code in the "
            "checkpoint is executed."
        ),
    )
    command.add_argument(
        "checkpoint",
        type=Path,
        help=".safetensors (or the index of its shards), .pth, .pt or .bin",
    )
    command.add_argument(
        "--release",
        type=Path,
        default=Path("results/release"),
        metavar="FOLDER",
        help="a release, made by `snakemake release` (default: %(default)s)",
    )
    command.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to write the results (default: ./NAME_kernels, for a checkpoint NAME.pth)",
    )
    command.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="device for the fits: auto, cpu, cuda or mps (default: %(default)s)",
    )
    return parser


def _classify(checkpoint: Path, release: Path, output: Path | None, device: str) -> None:
    if not checkpoint.exists():  # the reader's own message would mention a zoo
        raise KernelAtlasError(f"{checkpoint}: no such file: check the path of the checkpoint")
    # Imported here so that --help and the error above do not wait for torch.
    from kernelatlas.figures import classified, style
    from kernelatlas.release import classification
    from kernelatlas.running.files import write_frame

    known = classification.load_release(release)
    layers = classification.layers_of(checkpoint)
    name = checkpoint.stem
    folder = output or Path(f"{name}_kernels")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KernelAtlasError(
            f"{folder}: cannot create this folder ({error.strerror}): choose another --output"
        ) from error
    table = known.classify(layers, device)
    shapes = classification.shape_table(table)
    typical = classification.typical(table, layers, known, TYPICAL)

    write_frame(table, folder / "labels.parquet", folder / "labels.csv")
    description = {"name": name, "settings": known.manifest["settings"]}
    page = classified.draw(table, typical, description)
    style.save(page, folder / "shapes.pdf", folder / "shapes.png")

    counts = (len(table), "kernel"), (table["layer"].nunique(), "layer")
    print(f"{checkpoint.name}:", " in ".join(style.count(*count) for count in counts))
    shapes["share"] = shapes["share"].map("{:.1%}".format)
    shapes["r2"] = shapes["r2"].map("{:.2f}".format, na_action="ignore")
    shapes["agrees"] = shapes["agrees"].map("{:.0%}".format, na_action="ignore")
    heads = {
        "share": "of size k",
        "r2": "median R²",
        "function": "most frequent fit",
        "agrees": "fits of that shape",
    }
    print(shapes.rename(columns=heads).to_string(index=False, na_rep=""))
    print(f"Written: labels.csv, labels.parquet, shapes.pdf and shapes.png in {folder}/")


if __name__ == "__main__":
    sys.exit(main())
