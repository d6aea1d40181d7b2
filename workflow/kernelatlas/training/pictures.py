"""Crops of photographs or of generated images, for the networks trained here.

A subject is the class of a crop: a photograph, or a world of dead leaves. The right-hand columns of
a photograph are held out: training crops do not overlap them, and test crops lie inside them. For
dead leaves, separate images are held out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from kernelatlas.errors import KernelAtlasError
from kernelatlas.training import dead_leaves

ROTATIONS = 4  # multiples of 90° by which crops are rotated


def load(name: str) -> np.ndarray:
    """Return an image by its name in scikit-image or scikit-learn.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        Grey images are repeated over the three channels.

    Raises
    ------
    KernelAtlasError
        If neither package has an image with that name.
    """
    import skimage.data
    from sklearn.datasets import load_sample_image

    if name in ("china", "flower"):
        picture = load_sample_image(f"{name}.jpg")
    elif name == "motorcycle_left":
        picture = skimage.data.stereo_motorcycle()[0]
    elif callable(getattr(skimage.data, name, None)):
        picture = getattr(skimage.data, name)()
    else:
        raise KernelAtlasError(
            f"picture '{name}' is not installed: use names of skimage.data, 'china' or 'flower'"
        )
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    return np.array(picture[:, :, :3], dtype=np.uint8)  # a copy: some are read-only


def n_subjects(data: Mapping[str, Any]) -> int:
    """Return the number of subjects in the data of a recipe."""
    leaves = data.get("dead_leaves")
    return leaves["worlds"] if leaves else len(data["photographs"]["names"])


class Crops:
    """Batches of square crops, each with its subject and its rotation as labels.

    Parameters
    ----------
    photographs
        A mapping with `names`, see `load`, and `held_out`: the fraction of the columns of each
        photograph, counted from the right, that is held out.
    dead_leaves
        Given in place of `photographs`, a mapping with `worlds`, `pictures` (training images of
        each world; one more is held out), `side` in pixels and `seed`. See
        `kernelatlas.training.dead_leaves`.
    size
        Side of a crop after scaling, in pixels.
    scale
        Smallest and largest side of the cropped region, in units of `size`.
    grey
        Probability that a training crop is converted to grey.
    jitter
        Brightness and contrast are multiplied by a factor in [1 - jitter, 1 + jitter].
    shuffled
        Permute the pixels of every crop, each by a random permutation of its own: a control that
        keeps only the colours, so that rotations cannot be recognised.
    device
        The device of the images and the batches.
    """

    def __init__(
        self,
        size: int,
        photographs: Mapping[str, Any] | None = None,
        dead_leaves: Mapping[str, Any] | None = None,
        scale: Sequence[float] = (1.0, 1.0),
        grey: float = 0.0,
        jitter: float = 0.0,
        shuffled: bool = False,
        device: torch.device | str = "cpu",
    ):
        self.size, self.scale, self.grey, self.jitter = size, tuple(scale), grey, jitter
        self.shuffled, self.device = shuffled, device
        self.train: list[torch.Tensor] = []
        self.test: list[torch.Tensor] = []  # one per subject
        if dead_leaves is not None:
            self._grow(**dead_leaves)
        elif photographs is not None:
            self._split(**photographs)
        self.per_subject = len(self.train) // len(self.test)

    def _split(self, names: Sequence[str], held_out: float) -> None:
        largest = int(np.ceil(self.size * max(self.scale)))
        for name in names:
            picture = self._tensor(load(name))
            height, width = picture.shape[1:]
            border = width - int(round(held_out * width))
            if min(height, border) < largest or min(height, width - border) < self.size:
                raise KernelAtlasError(
                    f"picture '{name}' is {width}x{height} pixels, too small for crops of "
                    f"{self.size} pixels at scale {max(self.scale)} with {held_out:.0%} held out: "
                    "lower one of them"
                )
            self.train.append(picture[:, :, :border])
            self.test.append(picture[:, :, border:])

    def _grow(self, worlds: int, pictures: int, side: int, seed: int) -> None:
        if side < self.size * max(self.scale):
            raise KernelAtlasError(
                f"dead leaves of {side} pixels are too small for crops of {self.size} pixels at "
                f"scale {max(self.scale)}: raise dead_leaves.side or lower one of them"
            )
        for world in range(worlds):
            *train, test = (
                self._tensor(dead_leaves.picture(world, number, side, seed))
                for number in range(pictures + 1)
            )
            self.train += train
            self.test.append(test)

    def _tensor(self, picture: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(picture).permute(2, 0, 1).contiguous().to(self.device)

    def batch(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return n random training crops, (n, 3, size, size) float32, and their labels, (n, 2).

        The labels are the index of the subject and the number of rotations by 90°, int64.
        """
        draw = torch.rand(n, 9, generator=generator, dtype=torch.float64).tolist()
        low, high = self.scale
        crops, shown = [], []
        for u_pic, u_rot, u_scale, u_y, u_x, u_flip, u_grey, u_bright, u_contrast in draw:
            index, rotation = int(u_pic * len(self.train)), int(u_rot * ROTATIONS)
            picture = self.train[index]
            side = int(round(self.size * (low + (high - low) * u_scale)))
            y = int(u_y * (picture.shape[1] - side + 1))
            x = int(u_x * (picture.shape[2] - side + 1))
            crop = picture[None, :, y : y + side, x : x + side].float() / 255
            if side != self.size:
                crop = F.interpolate(
                    crop, (self.size, self.size), mode="bilinear", antialias=side > self.size
                )
            if u_flip < 0.5:
                crop = crop.flip(3)
            if u_grey < self.grey:
                crop = crop.mean(1, keepdim=True).expand(-1, 3, -1, -1)
            mean = crop.mean()
            crop = (crop - mean) * (1 + self.jitter * (2 * u_contrast - 1))
            crop = crop + mean * (1 + self.jitter * (2 * u_bright - 1))
            crops.append(torch.rot90(crop, rotation, (2, 3)))
            shown.append((index // self.per_subject, rotation))
        return self._finished(crops, generator), torch.tensor(shown, device=self.device)

    def held_out(self, per_subject: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a fixed set of test crops: positions in each held-out part, in 4 rotations."""
        crops, shown = [], []
        for index, picture in enumerate(self.test):
            rows = np.linspace(0, picture.shape[1] - self.size, per_subject).round().astype(int)
            columns = np.linspace(0, picture.shape[2] - self.size, per_subject).round().astype(int)
            # Columns in another order than rows, so that not all crops lie on the diagonal.
            for y, x in zip(rows, [*columns[::2], *columns[1::2]], strict=True):
                crop = picture[None, :, y : y + self.size, x : x + self.size].float() / 255
                for rotation in range(ROTATIONS):
                    crops.append(torch.rot90(crop, rotation, (2, 3)))
                    shown.append((index, rotation))
        generator = torch.Generator().manual_seed(0)
        return self._finished(crops, generator), torch.tensor(shown, device=self.device)

    def _finished(self, crops: list[torch.Tensor], generator: torch.Generator) -> torch.Tensor:
        if self.shuffled:
            shape = crops[0].shape
            orders = (torch.randperm(self.size**2, generator=generator) for _ in crops)
            crops = [
                crop.flatten(2)[:, :, order.to(crop.device)].reshape(shape)
                for crop, order in zip(crops, orders, strict=True)
            ]
        return standardise(torch.cat(crops))


def standardise(crops: torch.Tensor) -> torch.Tensor:
    """Map values in [0, 1] to about zero mean and unit variance."""
    return (crops - 0.5) / 0.25
