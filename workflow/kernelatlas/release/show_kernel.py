"""The command `kernelatlas show`: a kernel of the results, as a picture and in words."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kernelatlas.errors import KernelAtlasError
from kernelatlas.figures import one_kernel, style, terminal
from kernelatlas.names import NO_NAME, OTHER, SHAPES
from kernelatlas.release.classification import can_fit
from kernelatlas.release.explorer import MAKE_FITS, Kernel, find, why

# Parameters of fits, with their units.
UNITS = {
    "amplitude": "", "offset": "", "sigma": " px", "ratio": "", "surround": "", "aspect": "",
    "frequency": " rad/px", "phase": " rad", "angle": " rad", "width": " px", "x": " px",
    "y": " px",
}  # fmt: skip


def show_kernel(
    results: Path, model: str, layer: str, channel: int, output: Path | None = None
) -> None:
    """Print a kernel, and write a picture of it if `output` is given.

    Raises
    ------
    KernelAtlasError
        As `kernelatlas.release.explorer.find`, or if the picture cannot be written.
    """
    if output is not None and output.suffix not in (".png", ".pdf"):
        raise KernelAtlasError(f"{output}: pictures are written as .png or .pdf: change --output")
    kernel = find(results, model, layer, channel)
    print("\n\n".join(told(kernel, in_colour())))
    if output is not None:
        style.save(one_kernel.draw(panels(kernel), title(kernel), why(kernel)), output)
        print(f"\nWritten: {output}")


def in_colour() -> bool:
    """Tell whether what is printed may have colours (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def title(kernel: Kernel) -> str:
    """Name the kernel in a line."""
    place = kernel.place
    return f"{place['model']} · {place['layer']} · channel {place['channel']}"


def told(kernel: Kernel, colour: bool) -> list[str]:
    """Return paragraphs about a kernel.

    Parameters
    ----------
    colour
        Whether its picture is drawn in colours; else its weights are written.
    """
    place, label = kernel.place, kernel.label
    known = [
        f"layer number {place['layer_index']}",
        f"{place['kh']}×{place['kw']}",
        *([f"stride {place['stride']}"] if place["stride"] is not None else []),
        *([f"family {kernel.family}"] if kernel.family else []),
    ]
    drawn = colour and np.isfinite(kernel.weights).all()
    picture = terminal.coloured(kernel.weights) if drawn else terminal.numbers(kernel.weights)
    parts = [f"{title(kernel)}\n{', '.join(known)}", picture]
    if drawn:
        least, most = kernel.weights.min(), kernel.weights.max()
        parts[-1] += (
            f"\nweights {least:.4g} to {most:.4g}, mean {kernel.weights.mean():.4g}; red is above "
            "the mean, blue below"
        )
    if label is not None and not label["degenerate"]:
        parts.append(_label(kernel, label))
        parts.append(_fit(kernel))
    parts.append(why(kernel))
    return parts


def _label(kernel: Kernel, label: dict[str, Any]) -> str:
    named = label["label"]
    if label["reason"] == NO_NAME and len(kernel.reconstructions):
        named += f" (nearest: {kernel.names_of(kernel.mean, -1).label[0]})"
    lines = [
        f"label          {named}",
        f"agreement      {label['agreement']:.2f} of the seeds",
        f"dissimilarity  {label['dissimilarity']:.3f}, threshold {kernel.threshold:g}",
    ]
    if label["direction"] is not None:
        lines.insert(1, f"direction      {label['direction']:.0f}°")
    shapes = [""] * len(label["codes"])
    if len(kernel.reconstructions):
        nearest = kernel.names_of(kernel.reconstructions, -1)
        minimum = kernel.rule["minimum_cosine"]
        shapes = [
            f"  {SHAPES[shape]}" if cosine >= minimum else f"  {OTHER} (nearest: {SHAPES[shape]})"
            for shape, cosine in zip(nearest.shape, nearest.cosine, strict=True)
        ]
    lines += [
        f"code, seed {seed}   {code:.4f}{shape}"
        for seed, code, shape in zip(kernel.rule["seeds"], label["codes"], shapes, strict=True)
    ]
    return "\n".join(lines)


def _fit(kernel: Kernel) -> str:
    fit = kernel.fit
    if fit is None:
        return f"no fits of this kernel: `{MAKE_FITS}` makes them (of 3×3 and larger)"
    own = (
        f"{name} {fit[name]:.3g}{unit}" for name, unit in UNITS.items() if fit.get(name) is not None
    )
    lines = [
        f"best fit       {fit['function']} ({fit['form']}), R² {fit['r2']:.3f}: {', '.join(own)}"
    ]
    if fit.get("at_limit"):
        lines.append(f"  at a limit   of the search, so no estimate: {fit['at_limit']}")
    if fit["fit_label"]:
        lines.append(f"  its name     {fit['fit_label']}")
    if fit["runner_up"]:
        lines.append(f"second best    {fit['runner_up']}, R² {fit['runner_up_r2']:.3f}")
    jets = [fit.get(f"jet_r2_{order}") for order in range(4)]
    orders = [f"order {n} R² {r2:.3f}" for n, r2 in enumerate(jets) if r2 is not None]
    if orders:
        lines.append(f"local jet      {', '.join(orders)}")
    return "\n".join(lines)


def panels(kernel: Kernel) -> list[tuple[str, np.ndarray]]:
    """Return the pictures of a kernel with their titles: itself, reconstruction, template, fit."""
    weights = np.nan_to_num(kernel.weights, posinf=0, neginf=0)
    found = [("weights", weights - weights.mean())]
    square = (kernel.k, kernel.k)
    if len(kernel.reconstructions):
        distance = kernel.label["dissimilarity"] if kernel.label else float("nan")
        found.append((f"reconstruction\ndissimilarity {distance:.3f}", kernel.mean.reshape(square)))
        name = kernel.names_of(kernel.mean, -1)
        template = kernel.template(int(name.template[0])).reshape(square)
        found.append((f"nearest template\n{name.label[0]}\ncosine {name.cosine[0]:.3f}", template))
    fit = kernel.fit
    if fit is not None and fit["function"] and can_fit():
        from kernelatlas.evidence.fits import render

        values = render(pd.DataFrame([fit]), kernel.k)[0].reshape(square)
        text = f"fit: {fit['function']}\nR² {fit['r2']:.3f}"
        found.append((text, values - values.mean()))
    return found
