"""Crops of the photographs and textures that scikit-image and scikit-learn install.

The right-hand columns of every picture are held out: training crops never touch
them and test crops lie wholly inside them.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from kernelatlas.architectures import ROTATIONS
from kernelatlas.errors import KernelAtlasError


def load(name: str) -> np.ndarray:
    """Return a picture by its scikit-image or scikit-learn name.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        Grey pictures are repeated over the three channels.

    Raises
    ------
    KernelAtlasError
        If neither package has a picture of that name.
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


class Crops:
    """Batches of square crops; the class is (picture, rotation).

    Parameters
    ----------
    pictures
        Names, see `load`.
    size
        Side of a crop after scaling, in pixels.
    scale
        Smallest and largest side of the region cut, in units of `size`.
    held_out
        Share of each picture's columns, counted from the right, kept for testing.
    grey
        Probability that a training crop loses its colours.
    jitter
        Brightness and contrast are multiplied by a factor in [1 - jitter, 1 + jitter].
    device
        Where the pictures live and the batches are made.
    """

    def __init__(
        self,
        pictures: Sequence[str],
        size: int,
        scale: Sequence[float] = (1.0, 1.0),
        held_out: float = 0.3,
        grey: float = 0.0,
        jitter: float = 0.0,
        device: torch.device | str = "cpu",
    ):
        self.size, self.scale, self.grey, self.jitter = size, tuple(scale), grey, jitter
        self.train: list[torch.Tensor] = []
        self.test: list[torch.Tensor] = []
        largest = int(np.ceil(size * max(scale)))
        for name in pictures:
            picture = torch.from_numpy(load(name)).permute(2, 0, 1).contiguous().to(device)
            height, width = picture.shape[1:]
            border = width - int(round(held_out * width))
            if min(height, border) < largest or min(height, width - border) < size:
                raise KernelAtlasError(
                    f"picture '{name}' is {width}x{height} pixels, too small for crops of {size} "
                    f"pixels at scale {max(scale)} with {held_out:.0%} held out: lower one of them"
                )
            self.train.append(picture[:, :, :border])
            self.test.append(picture[:, :, border:])

    def batch(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return n random training crops, (n, 3, size, size) float32, and their classes, (n,)."""
        draw = torch.rand(n, 9, generator=generator, dtype=torch.float64).tolist()
        low, high = self.scale
        crops, classes = [], []
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
            classes.append(ROTATIONS * index + rotation)
        return standardise(torch.cat(crops)), torch.tensor(classes, device=crops[0].device)

    def held_out(self, per_picture: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a fixed set of test crops: a grid over each held-out part, in 4 rotations."""
        crops, classes = [], []
        for index, picture in enumerate(self.test):
            rows = np.linspace(0, picture.shape[1] - self.size, per_picture).round().astype(int)
            columns = np.linspace(0, picture.shape[2] - self.size, per_picture).round().astype(int)
            # Every other column first, so that the crops leave the diagonal.
            for y, x in zip(rows, [*columns[::2], *columns[1::2]], strict=True):
                crop = picture[None, :, y : y + self.size, x : x + self.size].float() / 255
                for rotation in range(ROTATIONS):
                    crops.append(torch.rot90(crop, rotation, (2, 3)))
                    classes.append(ROTATIONS * index + rotation)
        return standardise(torch.cat(crops)), torch.tensor(classes, device=crops[0].device)


def standardise(crops: torch.Tensor) -> torch.Tensor:
    """Map values in [0, 1] to about zero mean and unit variance."""
    return (crops - 0.5) / 0.25
