"""What the page must show: from the tables of a zoo by pandas, without the explorer's arrays."""

import numpy as np
import pandas as pd

KEY = ["model", "layer", "layer_index", "channel"]


def kernels_of(zoo) -> pd.DataFrame:
    """Return all kernels of a zoo, by family: their rows of the kernel, label and fit tables."""
    parts = []
    families = list(dict.fromkeys(network.family for network in zoo.networks))
    networks = sorted(zoo.networks, key=lambda network: families.index(network.family))
    for order, network in enumerate(networks):
        kernels = pd.read_parquet(network.kernels).assign(
            k=lambda t: t["kh"].where(t["kh"] == t["kw"])
        )
        labels = pd.read_parquet(network.labels).drop(columns=["model", "layer", "k", "degenerate"])
        fits = pd.read_parquet(network.fits).drop(columns=["model", "layer", "k", "degenerate"])
        keys = ["layer_index", "channel"]
        table = kernels.merge(labels, "left", keys).merge(fits, "left", keys)
        parts.append(table.assign(family=network.family, trained=network.trained, order=order))
    table = pd.concat(parts, ignore_index=True)
    for column in table.columns[table.dtypes == "category"]:
        table[column] = table[column].astype(object)
    size = table["kh"].astype(str) + "x" + table["kw"].astype(str)
    shape = table["label"].str.split(" ").str[0]
    truths = {name: table[name].fillna(False).astype(bool) for name in ("identified", "degenerate")}
    table = table.assign(size=size, shape=shape, **truths)
    return table.sort_values(["order", *KEY[2:]], ignore_index=True)


def keys_of(table: pd.DataFrame) -> list[tuple]:
    return list(table[["model", "layer", "channel"]].itertuples(index=False, name=None))


def normalised(table: pd.DataFrame) -> np.ndarray:
    """Return the weights of kernels of one size without their mean and of norm 1, (n, h · w)."""
    weights = np.stack(table["weights"].to_numpy()).astype(float)
    with np.errstate(all="ignore"):
        centred = weights - weights.mean(1, keepdims=True)
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def eight_bits(table: pd.DataFrame, explorer) -> pd.DataFrame:
    """Return kernels of one size with the weights that the explorer has of them, but for a scale.

    What the page computes starts from these; that they are near those of the tables is tested
    with the arrays.
    """
    size = table["size"].iloc[0]
    weights = np.load(explorer / f"data/{size}/weights.npy")[table["row"]]
    return table.assign(weights=list(weights.reshape(len(table), -1)))


def number(text: str) -> float:
    """Read a number as the page writes it."""
    return float(text.replace("−", "-").replace(",", "").split("°")[0].split()[0])


# The pixels of a picture: of a canvas of a pixel a weight, and in the middle of each weight of a
# tile, all of which are on one canvas.
# They are read from copies, since reading from a canvas slows it down.
COPY = """const copy = (canvas) => {
  const own = new OffscreenCanvas(canvas.width, canvas.height);
  const context = own.getContext('2d', {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  return context;
};"""
CANVAS = f"""{COPY} const [canvas, height, width] = arguments;
if (canvas.width !== width || canvas.height !== height) throw new Error('another size');
return Array.from(copy(canvas).getImageData(0, 0, width, height).data);"""
TILE = f"""{COPY} const [tile, height, width] = arguments;
const context = copy(tile.closest('.tiles').querySelector('canvas'));
const scale = devicePixelRatio;
return Array.from({{length: height * width}}, (_, n) => {{
  const x = tile.offsetLeft + (n % width + 0.5) * tile.offsetWidth / width;
  const y = tile.offsetTop + (Math.floor(n / width) + 0.5) * tile.offsetHeight / height;
  return [...context.getImageData(Math.floor(x * scale), Math.floor(y * scale), 1, 1).data];
}}).flat();"""


def shares_of_colours(page, script, element, shape, colours) -> np.ndarray:
    """Return where on the colour map the pixels of a picture are, in [-1, 1]; (h, w)."""
    pixels = np.array(page.js(script, element, *shape)).reshape(-1, 4)[:, :3]
    distance = np.abs(pixels[:, None].astype(int) - np.array(colours)[None]).sum(2)
    assert (distance.min(1) == 0).all()  # no other colour, and nothing smoothed
    # Some neighbours on the map are the same colour: the middle of them.
    first, last = distance.argmin(1), 255 - distance[:, ::-1].argmin(1)
    return ((first + last + 1) / 256 - 1).reshape(shape)


def of_size(table: pd.DataFrame, name: str, index: dict, zoo) -> pd.DataFrame:
    """Return the kernels of a size with their rows, as the explorer's contract numbers them.

    Sorted by cell, then as they are in the zoo; cells are those of the index.
    """
    own = table[table["size"] == name].copy()
    cells = index["sizes"][name]["cells"]
    if index["sizes"][name]["studied"]:
        clusters = pd.read_parquet(zoo.folder / f"clusters/k{name.split('x')[0]}.parquet")
        nameless = clusters.loc[clusters["label"] == "other", "cluster"].tolist()
        labels = [cell["label"] for cell in cells]
        numbers = {label: labels.index(label) for label in labels}
        numbers |= {("other", n): labels.index("other") + i for i, n in enumerate(nameless)}
        keys = zip(own["label"], own["cluster"], strict=True)
        own["cell"] = [numbers.get((label, n), numbers.get(label)) for label, n in keys]
    else:
        own["cell"] = 0
    own = own.sort_values("cell", kind="stable").reset_index()
    return own.assign(row=np.arange(len(own))).set_index("row", drop=False)
