"""The pixels of a kernel, and the parts of analytic functions on them, for many kernels at once."""

import math
from functools import cached_property

import torch
from torch import Tensor

from kernelatlas.kernels import gaussians

RATIO = 1.6  # of the elongated surround
LEAST = -60.0  # exponent: what is less is nothing beside the rest
DENSE = 15  # side up to which a discrete ellipse is one product with all waves of the plane


class Grid:
    """The pixels of a k×k kernel, and functions along one axis and in the plane.

    Methods take a parameter of each of n kernels, (n,), which stay the last axis: (k, n), from
    left to right.
    """

    def __init__(self, k: int, discrete: bool, device: torch.device, dtype: torch.dtype):
        self.k, self.discrete, self.device, self.dtype = k, discrete, device, dtype
        # y runs upwards here, so that x and y are treated alike: rows are flipped at the end.
        self.axis = torch.arange(k, device=device, dtype=dtype) - (k - 1) / 2
        y, x = torch.meshgrid(self.axis, self.axis, indexing="ij")
        # Point-symmetric functions are evaluated on one half of the pixels.
        self.half = (k * k + 1) // 2
        self._x, self._y = x.ravel()[: self.half], y.ravel()[: self.half]

    @cached_property
    def double(self) -> "Grid":
        """The same grid in double precision."""
        return Grid(self.k, self.discrete, self.device, torch.float64)

    @cached_property
    def _frequencies(self) -> Tensor:
        n = 8 * self.k  # a ring on which hardly anything of a wide Gaussian wraps around
        return torch.arange(n // 2 + 1, device=self.device, dtype=self.dtype) * (2 * math.pi / n)

    @cached_property
    def _weights(self) -> Tensor:
        weight = torch.full_like(self._frequencies, 2.0)
        weight[[0, -1]] = 1.0
        return weight / (8 * self.k)

    @cached_property
    def _differences(self) -> Tensor:
        """The Fourier series of a Gaussian and its central differences, (3·k, frequencies)."""
        u = self._frequencies
        # The centre of an even kernel lies between two pixels: take their mean.
        weight = self._weights * (torch.cos(u / 2) if self.k % 2 == 0 else 1.0)
        return torch.cat(gaussians.discrete_series(self.axis, u, weight))

    @cached_property
    def _impulse(self) -> Tensor:
        """The Fourier series of a Gaussian on pixels 0, …, k − 1."""
        pixels = torch.arange(self.k, device=self.device, dtype=self.dtype)
        return gaussians.discrete_series(pixels, self._frequencies, self._weights)[0]

    def _transform(self, sigma: Tensor) -> Tensor:
        return gaussians.discrete_transform(self._frequencies, sigma)

    def gaussian(self, sigma: Tensor, order: int = 0) -> Tensor:
        """Gaussians and their first derivatives, or central differences, (order + 1, k, ...).

        `sigma` may be of any shape.
        """
        if not self.discrete:
            axis = self.axis.view(-1, *[1] * sigma.ndim)
            return torch.stack(gaussians.profiles(axis, sigma, order))
        series = self._differences[: (order + 1) * self.k] @ self._transform(sigma.flatten())
        return series.view(order + 1, self.k, *sigma.shape)

    def box(self, centre: Tensor, width: Tensor, sigma: Tensor, of: Tensor) -> Tensor:
        """Boxes of height 1 smoothed by Gaussians, (k, m, 2, n), of centres (m, 2, n).

        `width` is (m, 1, n); `sigma`, (r, n), is that of each of m by `of`, (m,).
        """
        low, high = centre - width / 2, centre + width / 2
        axis = self.axis[:, None, None, None]
        if not self.discrete:
            return gaussians.box(axis, low, high, sigma[of, None])
        covered = torch.minimum(high, axis + 0.5) - torch.maximum(low, axis - 0.5)
        covered = covered.clamp_min(0)
        impulse = (self._impulse @ self._transform(sigma.flatten())).view(-1, *sigma.shape)
        impulse = impulse[:, of, None]
        smooth = impulse[0] * covered
        for lag in range(1, self.k):
            smooth[lag:].addcmul_(impulse[lag], covered[:-lag])
            smooth[:-lag].addcmul_(impulse[lag], covered[lag:])
        return smooth

    @cached_property
    def _lags(self) -> Tensor:
        """The Fourier series of a Gaussian and its differences on pixels −2k, …, 2k, as above."""
        lags = torch.arange(-2 * self.k, 2 * self.k + 1, device=self.device, dtype=self.dtype)
        return torch.stack(gaussians.discrete_series(lags, self._frequencies, self._weights))

    def moved(self, centre: Tensor, sigma: Tensor, order: int, of: Tensor) -> Tensor:
        """Gaussians about centres, (m, 2, n), and derivatives, (order + 1, k, m, 2, n).

        `sigma`, (r, n), is that of each of m by `of`, (m,). Discrete ones are interpolated
        linearly between pixels.
        """
        if not self.discrete:
            away = self.axis[:, None, None, None] - centre
            return torch.stack(gaussians.profiles(away, sigma[of, None], order))
        series = self._lags[: order + 1] @ self._transform(sigma.flatten())
        series = series.unflatten(2, sigma.shape).index_select(2, of)
        series = series[:, :, :, None].expand(-1, -1, -1, 2, -1)
        away = self.axis[0] - centre
        below = away.floor()
        first = (below.long() + 2 * self.k).clamp(0, 3 * self.k)
        pixels = torch.arange(self.k + 1, device=self.device)
        places = first + pixels[:, None, None, None]
        values = series.gather(1, places.expand(order + 1, -1, -1, -1, -1))
        return torch.lerp(values[:, :-1], values[:, 1:], away - below)

    @cached_property
    def nearer_and_farther(self) -> tuple[Tensor, Tensor]:
        """Places on the axis of the lesser and the greater of |x| and |y|, (half,) each."""
        row, column = (
            index.ravel()[: self.half]
            for index in torch.meshgrid(
                *[torch.arange(self.k, device=self.device)] * 2, indexing="ij"
            )
        )
        swap = self.axis[row].abs() < self.axis[column].abs()
        return torch.where(swap, row, column), torch.where(swap, column, row)

    @cached_property
    def _plane(self) -> tuple[Tensor, Tensor]:
        """Return the factors of an ellipse's exponent, (·, 3); waves, (half, ·), if discrete."""
        if not self.discrete:
            x, y = self._x, self._y
            return torch.stack([x**2 / 2, x * y, y**2 / 2], 1), torch.empty(0)
        n = 2 * self.k + 5  # odd: only the frequency zero is its own mirror image
        step = 2 * math.pi / n
        half = n // 2
        grid = [(i, j) for i in range(half + 1) for j in range(-half, half + 1) if i or j >= 0]
        u, v = (torch.tensor(grid, device=self.device, dtype=self.dtype) * step).T
        centred = torch.cos(u / 2) * torch.cos(v / 2) if self.k % 2 == 0 else torch.ones_like(u)
        weight = torch.where((u == 0) & (v == 0), 1.0, 2.0) * centred / n**2
        waves = weight * torch.cos(self._x[:, None] * u + self._y[:, None] * v)
        return torch.stack([1 - u.cos(), u.sin() * v.sin(), 1 - v.cos()], 1), waves

    def ellipse(self, matrix: Tensor, moves: Tensor) -> Tensor:
        """Two Gaussians, the second `RATIO` times as wide, (2, half of all pixels, m, n).

        `matrix`, (3, n), is xx, xy and yy of the covariance if discrete, else of its inverse. Its
        exponential is a product, so that m moves of it, (m, 3), take no more exponentials.
        """
        if self.discrete and self.k > DENSE:
            return self._large_ellipse(matrix, moves)
        linear, waves = self._plane
        if not self.discrete:
            inner, moved = self.ellipse_factors(matrix, moves)
            return inner[:, :, None] * moved[..., None]
        scale = RATIO**2
        exponent, moved = (-linear @ matrix).clamp_min(LEAST), -linear @ moves.T
        inner, outer = exponent.exp(), (scale * exponent).clamp_min(LEAST).exp()
        series = [waves[:, None] * factor.exp().T for factor in (moved, scale * moved)]
        return torch.stack(
            [
                (one.flatten(0, 1) @ values).unflatten(0, one.shape[:2])
                for one, values in zip(series, (inner, outer), strict=True)
            ]
        )

    def ellipse_factors(self, matrix: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of `ellipse` if it is continuous: (2, half, n) and (2, half, m)."""
        linear, _ = self._plane
        exponent, moved = (-linear @ matrix).clamp_min(LEAST), -linear @ moves.T
        scale = RATIO**-2
        inner, outer = exponent.exp(), scale * (scale * exponent).clamp_min(LEAST).exp()
        return torch.stack([inner, outer]), torch.stack([moved.exp(), (scale * moved).exp()])

    @cached_property
    def _quarter(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the factors of an ellipse's exponent at frequencies (v, u), and waves.

        Factors are (v, u, 3); waves along y, (2, y, v), and x, (2, x, u), are even and odd. As y
        only the lower half is taken.
        """
        n = 2 * self.k + 5
        u = torch.arange(n // 2 + 1, device=self.device, dtype=self.dtype) * (2 * math.pi / n)
        weight = torch.full_like(u, 2.0)
        weight[0] = 1.0
        if self.k % 2 == 0:
            weight *= torch.cos(u / 2)
        phase = self.axis[:, None] * u
        along = torch.stack([phase.cos(), phase.sin()]) * (weight / n)
        one, sine = (1 - u.cos()).expand(len(u), -1), u.sin()
        linear = torch.stack([one, sine[:, None] * sine, one.T], -1)
        return linear, along[:, : (self.k + 1) // 2] / 2, along

    def _large_ellipse(self, matrix: Tensor, moves: Tensor) -> Tensor:
        """Do what `ellipse` does, axis by axis: of large kernels, a small part of the products.

        With S₊ at frequencies (u, v) and S₋ at (u, −v), the series is the sum over a quarter of
        the plane of (S₊ + S₋) cos ux cos vy / 2 − (S₊ − S₋) sin ux sin vy / 2.
        """
        linear, along_y, along_x = self._quarter
        mirrored = linear * linear.new_tensor([1.0, -1.0, 1.0])
        shape = (*linear.shape[:2], len(moves), matrix.shape[1])
        both = []
        for scale in (1.0, RATIO**2):
            # Products with denormal numbers would take most of the time.
            plus, minus = (
                (-scale * factors @ matrix).clamp_min(LEAST).exp()[:, :, None]
                * (-scale * factors @ moves.T).exp()[:, :, :, None]
                for factors in (linear, mirrored)
            )
            image = torch.zeros(())
            parts = (plus + minus, minus - plus)
            for y, x, part in zip(along_y, along_x, parts, strict=True):
                rows = (y @ part.flatten(1)).unflatten(1, (shape[1], -1))
                image = image + x @ rows
            both.append(image.flatten(0, 1)[: self.half].unflatten(1, shape[2:]))
        return torch.stack(both)
