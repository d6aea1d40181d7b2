"""ImageNet pictures as a network of timm wants them, and what it says of them."""

import errno
import logging
import math
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.progress import tracked
from kernelatlas.sources.images import chosen, list_pictures

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")  # none runs another program
PIXELS_LIMIT = 100_000_000  # of a picture; those of ImageNet have 27 million at most
BATCH_CPU, BATCH = 32, 128  # pictures at once, on other devices

# What Pillow raises on files that are damaged or no pictures.
_RAISED = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, struct.error, zlib.error),
    *(Image.DecompressionBombError, OverflowError, IndexError, KeyError),
)

log = logging.getLogger(__name__)


def sample(folder: str | Path, limit: int) -> tuple[list[Path], list[int]]:
    """Return paths and class numbers of pictures of a folder, at most `limit`, chosen at random.

    Raises
    ------
    KernelAtlasError
        As `kernelatlas.sources.images.list_pictures`.
    """
    pictures = chosen(list_pictures(folder), limit)
    return [Path(folder, picture.file) for picture in pictures], [p.label for p in pictures]


class Prepared:
    """Pictures as a network wants them, resized and cropped, in a temporary file.

    Each picture is decoded once; however many there are, a batch of them is in memory. The
    file, of 3 bytes a pixel of what the network sees, is removed when the block ends, or the
    process.

    Parameters
    ----------
    network
        Of timm, whose own configuration says how pictures are prepared
        (`timm.data.resolve_model_data_config`, `create_transform` without training).
    paths
        Of pictures.
    side
        Of the pictures in pixels, if it is not the configuration's.

    Raises
    ------
    KernelAtlasError
        Naming a file that is no picture, or if the disk is full.
    """

    def __init__(
        self, network: torch.nn.Module, paths: Sequence[str | Path], side: int | None = None
    ) -> None:
        self.config: dict[str, Any] = resolve_model_data_config(network)
        if side is not None:
            self.config["input_size"] = (self.config["input_size"][0], side, side)
        self.paths = list(paths)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._shape: tuple[int, ...] = tuple(self.config["input_size"])

    def __enter__(self) -> "Prepared":
        # Without the normalisation, so that a picture is bytes.
        transform = create_transform(**self.config, is_training=False, normalize=False)
        try:
            for path in tracked(self.paths, "pictures", "pictures"):
                pixels = transform(open_picture(path)).numpy()
                if pixels.shape != self._shape:
                    raise KernelAtlasError(
                        f"{path}: {'×'.join(map(str, pixels.shape))} instead of "
                        f"{'×'.join(map(str, self._shape))} after timm prepared it: remove it"
                    )
                self._file.write(pixels.tobytes())
        except OSError as error:
            self._file.close()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise KernelAtlasError(
                f"no space for {len(self.paths)} pictures in {tempfile.gettempdir()}: free some, "
                "set TMPDIR to a larger disk, or lower evidence.pictures"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.paths)

    def batches(
        self, device: torch.device, places: Sequence[int] | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield pictures, normalised, (n, 3, height, width) float32 on the device.

        Parameters
        ----------
        places
            Which pictures; None for all.
        """
        mean, std = (
            torch.tensor(self.config[key], device=device).reshape(1, -1, 1, 1)
            for key in ("mean", "std")
        )
        size = BATCH_CPU if device.type == "cpu" else BATCH
        wanted = range(len(self)) if places is None else places
        for begin in range(0, len(wanted), size):
            stored = np.stack([self._read(place) for place in wanted[begin : begin + size]])
            yield (torch.from_numpy(stored).to(device).float() / 255 - mean) / std

    def _read(self, place: int) -> np.ndarray:
        length = math.prod(self._shape)
        self._file.seek(int(place) * length)
        return np.frombuffer(self._file.read(length), np.uint8).reshape(self._shape)


def open_picture(path: str | Path) -> Image.Image:
    """Return a decoded picture, in colour.

    Raises
    ------
    KernelAtlasError
        If the file cannot be read, is no picture, or a larger one than `PIXELS_LIMIT`.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > PIXELS_LIMIT:
                raise KernelAtlasError(
                    f"{path}: a picture of {width}×{height} pixels (limit {PIXELS_LIMIT:,}): make "
                    "it smaller or remove it"
                )
            return picture.convert("RGB")
    except _RAISED as error:
        why = " ".join(str(error).split())[:120]
        raise KernelAtlasError(
            f"{path}: cannot be read as a picture ({why}): remove it, or copy it again"
        ) from error


@torch.no_grad()
def ranks(
    network: torch.nn.Module,
    pictures: Prepared,
    labels: Sequence[int],
    progress: Callable[[int], object] = lambda n: None,
    places: Sequence[int] | None = None,
) -> np.ndarray:
    """Return how many classes score at least as high as the true one, (n,) int.

    0 is a correct answer, below 5 one among the first five. Classes with equal scores count as
    higher, so that a network that prefers no class is never right, and neither is one whose scores
    are no numbers. `progress` is told after each batch how many pictures it had; `places` are as
    for `Prepared.batches`.
    """
    device = next(network.parameters()).device
    truths = torch.as_tensor(labels, device=device)
    truths = truths if places is None else truths[torch.as_tensor(places, device=device)]
    found, begin = [], 0
    for images in pictures.batches(device, places):
        scores = network(images.contiguous(memory_format=torch.channels_last)).float()
        truth = truths[begin : begin + len(images), None]
        begin += len(images)
        found.append((~(scores < scores.gather(1, truth))).sum(dim=1) - 1)
        progress(len(images))
    return torch.cat(found).cpu().numpy()
