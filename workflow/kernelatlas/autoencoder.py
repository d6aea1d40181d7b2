"""An autoencoder with a one-dimensional code and cosine loss (arXiv 2401.14469).

The decoder draws a curve of kernels, one for each code in [0, 1]. A plain network
collapses onto a few codes; three things prevent it (our choices, as are all widths):
the decoder sees Fourier features of the code, it starts on k-means centroids laid
along a short path, and it is also trained on each kernel's best code on the curve.
That best code (the projection) is what clusters and labels are made from; the
encoder learns to answer it in one pass.
"""

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from kernelatlas.device import resolve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.files import whole
from kernelatlas.kmeans import short_path, spherical_kmeans

log = logging.getLogger(__name__)

SAMPLE = 50_000  # kernels that k-means sees at most
GRID = 1024  # codes tried for a projection while training
CODE_WEIGHT = 1.0  # of the encoder's squared distance to the projected code
WARM_UP = 300  # steps that lay the decoder on the centroids
CHUNK = 65_536  # kernels per matrix product


@dataclass(frozen=True)
class Settings:
    """What config.yaml says under `autoencoder`.

    Attributes
    ----------
    widths
        Neurons of the encoder's hidden layers; the decoder has them in reverse.
    fourier
        Number of frequencies: the decoder sees sin and cos of πjz, j = 1 … fourier.
    centroids
        Centroids of k-means that the curve starts on.
    epochs, batch, learning_rate, weight_decay
        Of AdamW with a one-cycle schedule.
    curve_points
        Codes on which the curve is sampled for a projection.
    """

    widths: tuple[int, ...] = (256, 256)
    fourier: int = 24
    centroids: int = 24
    epochs: int = 200
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    curve_points: int = 2048


def perceptron(*widths: int) -> nn.Sequential:
    """Return linear layers of these widths with GELU between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class Autoencoder(nn.Module):
    """Normalised k×k kernels, (n, k * k), to codes in [0, 1], (n,), and back."""

    frequencies: Tensor

    def __init__(self, k: int, settings: Settings):
        super().__init__()
        self.k, self.settings = k, settings
        self.encoder = perceptron(k * k, *settings.widths, 1)
        self.decoder = perceptron(2 * settings.fourier, *settings.widths[::-1], k * k)
        frequencies = torch.pi * torch.arange(1, settings.fourier + 1)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def encode(self, kernels: Tensor) -> Tensor:
        # Unit vectors have entries of about 1/k; the network wants about 1.
        return torch.sigmoid(self.encoder(kernels * self.k).squeeze(1))

    def decode(self, codes: Tensor) -> Tensor:
        phases = codes[:, None] * self.frequencies
        values = self.decoder(torch.cat([phases.sin(), phases.cos()], dim=1))
        return F.normalize(values - values.mean(dim=1, keepdim=True), dim=1)

    def curve(self, points: int) -> tuple[Tensor, Tensor]:
        """Return equally spaced codes, (points,), and their kernels, (points, k * k)."""
        codes = torch.linspace(0, 1, points, device=self.frequencies.device)
        return codes, self.decode(codes)

    @torch.no_grad()
    def project(self, kernels: Tensor) -> tuple[Tensor, Tensor]:
        """Return each kernel's best code on the curve, (n,), and its dissimilarity, (n,)."""
        codes, curve = self.curve(self.settings.curve_points)
        best = [(block @ curve.T).max(dim=1) for block in kernels.split(CHUNK)]
        return (
            codes[torch.cat([b.indices for b in best])],
            1 - torch.cat([b.values for b in best]),
        )

    @torch.no_grad()
    def reconstruct(self, kernels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder's codes, (n,), and the dissimilarity to what they decode to."""
        codes = torch.cat([self.encode(block) for block in kernels.split(CHUNK)])
        blocks = zip(codes.split(CHUNK), kernels.split(CHUNK), strict=True)
        return codes, torch.cat([cosine_loss(self.decode(c), x) for c, x in blocks])

    def sample(self, kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the curve's codes, (m,), what they decode to, and how many kernels lie there."""
        index = self.project(torch.from_numpy(kernels))[0]
        codes, curve = (values.detach() for values in self.curve(self.settings.curve_points))
        counts = torch.bincount(torch.searchsorted(codes, index), minlength=len(codes))
        return codes.numpy(), curve.numpy(), counts.numpy()

    def save(self, path: str | Path, metadata: dict[str, Any]) -> None:
        """Write the weights as safetensors, everything else as one JSON text beside them."""
        content = {"k": self.k, "settings": asdict(self.settings), **metadata}
        state = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        text = json.dumps(content, sort_keys=True)
        with whole(path) as partial:
            partial.write_bytes(safetensors_bytes(state, metadata={"kernelatlas": text}))

    @classmethod
    def load(cls, path: str | Path) -> "Autoencoder":
        """Read what `save` wrote, onto the CPU."""
        with safe_open(str(path), framework="pt") as file:
            content = json.loads(file.metadata()["kernelatlas"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        settings = content["settings"]
        model = cls(content["k"], Settings(**{**settings, "widths": tuple(settings["widths"])}))
        model.load_state_dict(state)
        return model.eval()


def cosine_loss(decoded: Tensor, kernels: Tensor) -> Tensor:
    """Return 1 − cos for each pair of unit rows, (n,)."""
    return 1 - (decoded * kernels).sum(dim=1)


def fit(
    kernels: np.ndarray,
    settings: Settings,
    seed: int,
    device: str = "auto",
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
) -> tuple[Autoencoder, list[dict[str, float]]]:
    """Train an autoencoder.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    on_epoch
        Called with each row of the history.

    Returns
    -------
    model : Autoencoder
        On the device.
    history : list of dict
        epoch, learning_rate, and the epoch's mean dissimilarities loss_encoder
        (of the encoder's codes) and loss_projected (of the best codes).

    Raises
    ------
    KernelAtlasError
        If there are too few kernels, or training diverges.
    """
    place = resolve(device)
    torch.manual_seed(seed)
    k = int(round(kernels.shape[1] ** 0.5))
    model = Autoencoder(k, settings)
    centroids = start(kernels, settings.centroids, seed)
    model.to(place)
    lay_on(model, torch.from_numpy(centroids).to(place))

    data = torch.from_numpy(kernels).to(place)
    generator = torch.Generator().manual_seed(seed)
    batches = -(-len(data) // settings.batch)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=settings.weight_decay)
    steps = settings.epochs * batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        settings.learning_rate,
        total_steps=steps,
        pct_start=0.1 if steps > 10 else 0.0,  # a rise of one step divides by zero
    )
    history: list[dict[str, float]] = []
    for epoch in range(1, settings.epochs + 1):
        rate = schedule.get_last_lr()[0]
        sums = torch.zeros(2, device=place)
        for rows in torch.randperm(len(data), generator=generator).split(settings.batch):
            batch = data[rows.to(place)]
            with torch.no_grad():
                codes, curve = model.curve(GRID)
                best = codes[(batch @ curve.T).argmax(dim=1)]
            encoded = model.encode(batch)
            projected = cosine_loss(model.decode(best), batch)
            reconstructed = cosine_loss(model.decode(encoded), batch)
            # Far from its place on the curve a code's cosine has no useful slope.
            pull = CODE_WEIGHT * (encoded - best).square().mean()
            optimiser.zero_grad(set_to_none=True)
            (projected.mean() + reconstructed.mean() + pull).backward()
            optimiser.step()
            schedule.step()
            sums += torch.stack([reconstructed.detach().sum(), projected.detach().sum()])
        encoder_loss, projected_loss = (sums / len(data)).tolist()
        if not np.isfinite([encoder_loss, projected_loss]).all():
            raise KernelAtlasError(
                f"k={k}, seed {seed}: the autoencoder's loss is not finite in epoch {epoch}: "
                f"lower autoencoder.learning_rate ({settings.learning_rate:g}) in the config"
            )
        row = {
            "epoch": epoch,
            "learning_rate": rate,
            "loss_encoder": encoder_loss,
            "loss_projected": projected_loss,
        }
        history.append(row)
        on_epoch(row)
    return model.eval(), history


def start(kernels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return k-means centroids in an order in which neighbours are alike, (n, k * k)."""
    random = np.random.default_rng(seed)
    if len(kernels) > SAMPLE:
        kernels = kernels[np.sort(random.choice(len(kernels), SAMPLE, replace=False))]
    centroids = spherical_kmeans(kernels, n, seed)
    return centroids[short_path(centroids)]


def lay_on(model: Autoencoder, centroids: Tensor) -> None:
    """Fit the decoder to centroids, (n, k * k), at equally spaced codes."""
    codes = (torch.arange(len(centroids), device=centroids.device) + 0.5) / len(centroids)
    optimiser = torch.optim.Adam(model.decoder.parameters(), lr=3e-3)
    for _ in range(WARM_UP):
        loss = cosine_loss(model.decode(codes), centroids).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
