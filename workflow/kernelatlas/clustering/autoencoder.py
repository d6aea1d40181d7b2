"""An autoencoder with a one-dimensional code and cosine loss (arXiv 2401.14469).

The decoder maps each code in [0, 1] to a kernel: a curve of kernels. Trained from random weights, a
plain network collapses onto a few codes, so training has three stages (our choices, as are all
widths): a principal curve is fitted to the kernels (`kernelatlas.clustering.principal`); the
decoder, which takes Fourier features of the code, is fitted to that curve; then encoder and
decoder are trained together. The encoder returns a distribution over the points of the curve and
learns, by cross-entropy, the one that `kernelatlas.clustering.curve` defines; its code is that of
the most probable point.
"""

import itertools
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernelatlas.clustering.curve import BLOCK, middles
from kernelatlas.clustering.principal import CurveSettings, concentration, principal_curve
from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import side
from kernelatlas.running.device import resolve
from kernelatlas.running.progress import tracked
from kernelatlas.running.tensors import read_tensors, write_tensors

log = logging.getLogger(__name__)

POINTS = 256  # of the curve, in a step that fits the decoder to it
REFRESH = 50  # steps after which the curve is decoded again and a row of history is written
RISE = 0.1  # share of the steps during which the learning rate rises


@dataclass(frozen=True)
class Settings(CurveSettings):
    """The settings under `autoencoder` in config.yaml, including those of the principal curve.

    Attributes
    ----------
    widths
        Neurons of the encoder's hidden layers; the decoder has them in reverse.
    fourier
        Number of frequencies: the decoder takes sin and cos of πjz, j = 1 … fourier.
    decoder_steps
        Steps that fit the decoder to the curve.
    steps, batch
        Of the training of encoder and decoder.
    learning_rate, weight_decay
        Of AdamW with a one-cycle schedule.
    """

    widths: tuple[int, ...] = (256, 256)
    fourier: int = 512
    decoder_steps: int = 600
    steps: int = 400
    batch: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))  # a list, in config.yaml


def perceptron(*widths: int) -> nn.Sequential:
    """Return linear layers of these widths with GELU between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class Autoencoder(nn.Module):
    """Normalised k×k kernels, (n, k * k), to codes in [0, 1], (n,), and back.

    Attributes
    ----------
    points
        Of the curve; fewer than in the settings if there were fewer kernels.
    concentration
        Of `kernelatlas.clustering.curve`; NaN before training.
    """

    frequencies: Tensor
    codes: Tensor

    def __init__(self, k: int, settings: Settings, points: int | None = None):
        super().__init__()
        self.k, self.settings = k, settings
        self.points = settings.points if points is None else points
        self.concentration = float("nan")
        self.encoder = perceptron(k * k, *settings.widths, self.points)
        self.decoder = perceptron(2 * settings.fourier, *settings.widths[::-1], k * k)
        frequencies = torch.pi * torch.arange(1, settings.fourier + 1)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("codes", torch.from_numpy(middles(self.points)), persistent=False)

    def scores(self, kernels: Tensor) -> Tensor:
        """Return the encoder's log-odds of each point of the curve, (n, points)."""
        # Entries of unit vectors are about 1/k; inputs should be about 1.
        return self.encoder(kernels * self.k)

    def encode(self, kernels: Tensor) -> Tensor:
        return self.codes[self.scores(kernels).argmax(dim=1)]

    def features(self, codes: Tensor) -> Tensor:
        """Return the Fourier features that the decoder takes, (n, 2 * fourier)."""
        phases = codes[:, None] * self.frequencies
        return torch.cat([phases.sin(), phases.cos()], dim=1)

    def draw(self, features: Tensor) -> Tensor:
        """Return the kernels of codes with these features, (n, k * k)."""
        values = self.decoder(features)
        return F.normalize(values - values.mean(dim=1, keepdim=True), dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        return self.draw(self.features(codes))

    @torch.no_grad()
    def curve(self) -> Tensor:
        """Return what the codes of all points decode to, (points, k * k)."""
        return self.decode(self.codes)

    @torch.no_grad()
    def reconstruct(self, kernels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder's codes, (n,), and the dissimilarity to what they decode to."""
        codes = torch.cat([self.encode(block) for block in kernels.split(BLOCK)])
        blocks = zip(codes.split(BLOCK), kernels.split(BLOCK), strict=True)
        return codes, torch.cat([cosine_loss(self.decode(c), x) for c, x in blocks])

    def save(self, path: str | Path, metadata: dict[str, Any]) -> None:
        """Write weights and curve as safetensors, everything else as JSON text in the metadata."""
        content = {
            "k": self.k,
            "settings": asdict(self.settings),
            "concentration": self.concentration,
            **metadata,
        }
        state = {"curve": self.curve(), **self.state_dict()}
        state = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
        write_tensors(path, state, content)

    @classmethod
    def load(cls, path: str | Path) -> "Autoencoder":
        """Read what `save` wrote, onto the CPU."""
        state, content = read_tensors(path, framework="pt")
        settings = content["settings"]
        points = len(state.pop("curve"))
        settings = Settings(**{**settings, "widths": tuple(settings["widths"])})
        model = cls(content["k"], settings, points)
        model.load_state_dict(state)
        model.concentration = content["concentration"]
        return model.eval()


def cosine_loss(decoded: Tensor, kernels: Tensor) -> Tensor:
    """Return 1 − cos for each pair of unit rows, (n,)."""
    return 1 - (decoded * kernels).sum(dim=1)


def fit(
    kernels: np.ndarray,
    settings: Settings,
    seed: int,
    device: str = "auto",
    encoder: bool = True,
    known_concentration: float | None = None,
) -> tuple[Autoencoder, list[dict[str, Any]]]:
    """Train an autoencoder.

    Parameters
    ----------
    kernels : ndarray of shape (n, k * k), float32
        Normalised.
    encoder
        Whether to train the encoder too. The curve is the same without it, in two thirds of the
        time: no loss depends on both.
    known_concentration
        κ, where it has been estimated for these kernels with another seed; the curve does not
        depend on it.

    Returns
    -------
    model : Autoencoder
        On the device.
    history : list of dict
        A row for each round of the curve, and for every `REFRESH` steps of decoder and training:
        stage, step, width (of the curve's Gaussian, in points), learning_rate, dissimilarity (mean:
        of kernels to their best point, or of the decoder to the curve) and, of the training,
        dissimilarity_encoder (of kernels to what the encoder's codes decode to) and
        cross_entropy (nats, of the encoder's distribution).

    Raises
    ------
    KernelAtlasError
        If training diverges.
    """
    on = resolve(device)
    torch.set_flush_denormal(True)  # denormal weights of distant points are ten times slower
    torch.manual_seed(seed)
    k = side(kernels)
    history: list[dict[str, Any]] = []

    def note(stage: str, step: int, row: dict[str, float]) -> None:
        if not np.isfinite(list(row.values())).all():
            raise KernelAtlasError(
                f"k={k}, seed {seed}: the autoencoder's loss is not finite in step {step}: "
                f"lower autoencoder.learning_rate ({settings.learning_rate:g}) in the config"
            )
        history.append({"stage": stage, "step": step, **row})

    rounds = itertools.count(1)
    curve = principal_curve(
        kernels, settings, seed, on, lambda row: note("curve", next(rounds), row)
    )
    model = Autoencoder(k, settings, len(curve))
    if known_concentration is None:
        known_concentration = concentration(kernels, settings, seed, on)
    model.concentration = known_concentration
    model.to(on)
    fit_decoder(model, torch.from_numpy(curve).to(on), lambda *row: note("decoder", *row))
    train(model, torch.from_numpy(kernels), seed, lambda *row: note("training", *row), encoder)
    return model.eval(), history


def fit_decoder(
    model: Autoencoder, curve: Tensor, note: Callable[[int, dict[str, float]], None]
) -> None:
    """Fit the decoder to a curve, (points, k * k)."""
    settings = model.settings
    # `fused` is the same step in one pass over the weights.
    optimiser = torch.optim.Adam(model.decoder.parameters(), fused=True)
    rates = one_cycle(optimiser, settings.learning_rate, settings.decoder_steps)
    features = model.features(model.codes)
    what = f"decoder of {model.k}x{model.k} kernels"
    for step in tracked(range(1, settings.decoder_steps + 1), what, "steps"):
        rows = torch.randint(len(curve), (POINTS,)).to(curve.device)
        loss = cosine_loss(model.draw(features[rows]), curve[rows]).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % REFRESH == 0 or step == settings.decoder_steps:
            rate = float(rates.get_last_lr()[0])
            note(step, {"learning_rate": rate, "dissimilarity": loss.item()})
        rates.step()


def train(
    model: Autoencoder,
    kernels: Tensor,
    seed: int,
    note: Callable[[int, dict[str, float]], None],
    encoder: bool = True,
) -> None:
    """Train encoder and decoder on kernels, (n, k * k), that stay on the model's device.

    Without the encoder its part of the history is zero.
    """
    settings, device = model.settings, model.codes.device
    kernels = kernels.to(device)
    generator = torch.Generator().manual_seed(seed)
    decay = settings.weight_decay
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=decay, fused=True)
    rates = one_cycle(optimiser, settings.learning_rate, settings.steps)
    features = model.features(model.codes)
    sums, since = torch.zeros(3, device=device), 0
    what = f"autoencoder of {model.k}x{model.k} kernels"
    for step in tracked(range(1, settings.steps + 1), what, "steps"):
        if (step - 1) % REFRESH == 0:
            with torch.no_grad():
                curve = model.draw(features)
        rows = torch.randint(len(kernels), (settings.batch,), generator=generator)
        batch = kernels[rows.to(device)]
        cosines = batch @ curve.T
        best = cosines.argmax(dim=1)
        drawn = cosine_loss(model.draw(features[best]), batch).mean()
        loss, answered, entropy = drawn, torch.zeros_like(drawn), torch.zeros_like(drawn)
        if encoder:
            scores = model.scores(batch)
            entropy = F.cross_entropy(scores, torch.softmax(model.concentration * cosines, dim=1))
            answered = 1 - cosines.gather(1, scores.argmax(dim=1, keepdim=True)).mean()
            loss = drawn + entropy
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        sums += torch.stack([drawn.detach(), answered, entropy.detach()])
        since += 1
        if step % REFRESH == 0 or step == settings.steps:
            means, rate = (sums / since).tolist(), float(rates.get_last_lr()[0])
            columns = ("learning_rate", "dissimilarity", "dissimilarity_encoder", "cross_entropy")
            note(step, dict(zip(columns, (rate, *means), strict=True)))
            sums.zero_()
            since = 0
        rates.step()


def one_cycle(
    optimiser: torch.optim.Optimizer, rate: float, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return a learning rate that rises to `rate` and falls to almost zero over the steps."""
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        rate,
        total_steps=max(steps, 1) + 1,
        pct_start=RISE if steps > 1 / RISE else 0.0,  # a rise of one step divides by zero
    )
