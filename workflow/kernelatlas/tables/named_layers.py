"""Layers that the reviews of the ICLR paper name, wherever the zoo has them."""

from collections.abc import Mapping

import pandas as pd

from kernelatlas.names import shape_of

# Numbers of layers in the public reviews of arXiv 2401.14469, by the architecture without `tf_`.
# Whether they count from 0 or from 1, and which layers they count, the reviews do not say.
NUMBERS = {"efficientnet_b2": 11, "efficientnet_b4": 10, "efficientnet_b6": 10, "hornet_tiny": 14}
SHOWN = 3  # shapes
COLUMNS = [
    *("family", "model", "trained", "number", "counted_from", "layer_index", "layer", "k"),
    *("kernels", "share_identified", "rank", "layers", "shapes"),
]


def number_of(architecture: str) -> int | None:
    """Return the number that the reviews give of a layer of this architecture; None without one.

    Parameters
    ----------
    architecture
        Of timm, with or without a tag, or a name that begins like one of `NUMBERS`.
    """
    plain = architecture.removeprefix("tf_").partition(".")[0]
    if plain.startswith("hornet_tiny"):  # with 7×7 kernels, or global filters in its last stages
        plain = "hornet_tiny"
    return NUMBERS.get(plain)


def named_layer_table(composition: pd.DataFrame, architectures: Mapping[str, str]) -> pd.DataFrame:
    """Describe the layers that the reviews may mean, counting depthwise layers from 0 and from 1.

    Parameters
    ----------
    composition
        As `kernelatlas.tables.models.composition_table` returns it.
    architectures
        Architecture, or name, by model.

    Returns
    -------
    DataFrame
        Two rows for each model that has such a layer, columns as in results/README.md.
    """
    rows = []
    known = composition.assign(shape=composition["label"].map(shape_of))
    for model, architecture in architectures.items():
        number = number_of(architecture)
        own = known[known["model"] == model]
        if number is None or own.empty:
            continue
        sums = own.groupby("layer_index")[["kernels", "identified"]].sum()
        shares = sums["identified"] / sums["kernels"]
        for begin in (0, 1):
            here = own[own["layer_index"] == number - begin]
            if here.empty:  # of a size that is not studied
                continue
            counts = here.groupby("shape")["kernels"].sum().sort_values(ascending=False)
            first = here.iloc[0]
            index, kernels = int(first["layer_index"]), int(counts.sum())
            rows.append(
                {
                    **{key: first[key] for key in ("family", "model", "trained", "layer", "k")},
                    **{"number": number, "counted_from": begin, "layer_index": index},
                    **{"kernels": kernels, "share_identified": shares[index]},
                    **{"rank": int((shares < shares[index]).sum()) + 1, "layers": len(shares)},
                    "shapes": ", ".join(
                        f"{shape} {100 * n / kernels:.0f} %"
                        for shape, n in counts.head(SHOWN).items()
                    ),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)
