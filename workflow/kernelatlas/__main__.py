"""The command line: the explorer, a kernel of the results, the kernels of checkpoints."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kernelatlas import __version__
from kernelatlas.errors import KernelAtlasError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", force=True)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # `kernelatlas show … | head`: nobody reads on
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # what Python flushes at exit
        return 1
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
    _add_explore(commands)
    _add_show(commands)
    _add_classify(commands)
    return parser


def _add_explore(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "explore",
        help="the explorer in the browser: every kernel as a picture",
        description=(
            "Open the explorer that `snakemake explorer` made in the browser. It is served on this "
            "machine alone, until Ctrl-C."
        ),
    )
    command.set_defaults(run=_explore)
    command.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("results/explorer"),
        metavar="FOLDER",
        help="an explorer, or results or a release that have one (default: %(default)s)",
    )
    command.add_argument(
        "--port", type=int, metavar="PORT", help="0 for a free one (default: 8765 or a free one)"
    )
    command.add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        help="only print the address",
    )


def _add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "show",
        help="one kernel of the results: its picture, label and fit, and why it has them",
        description=(
            "Show a kernel of the workflow's results: its picture, its place, its label with the "
            "codes and votes of the seeds, the analytic functions that fit it, and why it was or "
            "was not identified."
        ),
    )
    command.set_defaults(run=_show)
    command.add_argument("model", metavar="MODEL", help="a network of the zoo")
    command.add_argument("layer", metavar="LAYER", help="the name of a layer, or its number from 0")
    command.add_argument("channel", metavar="CHANNEL", type=int, help="from 0")
    command.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="what `snakemake` made (default: %(default)s)",
    )
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="write a picture too, .png or .pdf"
    )


def _add_classify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "classify",
        help="labels, analytic fits and figures for the kernels of checkpoints",
        description=(
            "Label every depthwise kernel of checkpoints with the curves of a release, and find "
            "the analytic function that fits it best. Writes labels.csv, labels.parquet, "
            "shapes.pdf and shapes.png for each file, a table and a figure that compare several, "
            "and prints the shares of shapes beside those of the release and of its nulls. No code "
            "in a checkpoint is executed."
        ),
    )
    command.set_defaults(run=_classify)
    command.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="safetensors (or the index of its shards), PyTorch, ONNX, TFLite or Keras",
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
        help=(
            "where to write the results (default: ./NAME_kernels, for a checkpoint NAME.pth; "
            "./compared_kernels for several, with a folder for each)"
        ),
    )
    command.add_argument(
        "--fits",
        action=argparse.BooleanOptionalAction,
        help="fit analytic functions, for which PyTorch is needed (default: if it is installed)",
    )
    command.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="device for the fits: auto, cpu, cuda or mps (default: %(default)s)",
    )
    reading = command.add_argument_group("reading checkpoints, as the options of a zoo")
    reading.add_argument("--key", metavar="PATH", help="where in the file the state dict is: a.b")
    reading.add_argument(
        "--depthwise", action="store_true", help="all layers of depthwise shape are depthwise"
    )
    reading.add_argument(
        "--fused", action="store_true", help="fold norms and parallel branches into the kernels"
    )


def _explore(options: argparse.Namespace) -> None:
    from kernelatlas.release.explorer_server import explore

    explore(options.folder, options.port, options.browser)


def _show(options: argparse.Namespace) -> None:
    from kernelatlas.release.show_kernel import show_kernel

    show_kernel(options.results, options.model, options.layer, options.channel, options.output)


def _classify(options: argparse.Namespace) -> None:
    for path in options.checkpoints:
        if not path.exists():  # before torch is imported, and before anything is computed
            raise KernelAtlasError(f"{path}: no such file: check the path of the checkpoint")
    from kernelatlas.release.classify_files import classify_files

    classify_files(
        options.checkpoints,
        options.release,
        options.output,
        options.device,
        options.fits,
        key=options.key,
        depthwise=options.depthwise,
        fused=options.fused,
    )


if __name__ == "__main__":
    sys.exit(main())
