"""Dead leaves: images of random shapes that occlude one another.

Shapes are placed one after another, at uniformly distributed positions, until they cover the
image (Matheron 1968). If the density of their diameters d is p(d) ∝ d⁻³ between a smallest and a
largest diameter, the image is statistically scale-invariant. It has edges, occlusions and uniform
surfaces, and its power falls approximately with the square of the frequency, like that of
photographs (Lee, Mumford & Huang, IJCV 41, 2001; as training data: Baradad et al., NeurIPS 2021,
arXiv 2106.05963).

A world is a class of images. The parameters that define it are our choice: one of five shapes
(disc, ellipse, square, triangle, rod), the spread of the orientations, the mean colour, and the
strength of the shading by light from above. Shapes and colours identify a world; the shading
identifies a rotation by a multiple of 90°.
"""

import numpy as np

SHAPES = ("disc", "ellipse", "square", "triangle", "rod")
SMALLEST, LARGEST = 4.0, 160.0  # diameters in pixels
EXPONENT = 3.0  # of the density of diameters; 3 gives scale invariance
LAYERS = 4.0  # mean number of shapes over a pixel; a fraction e⁻⁴ of the pixels has none


def picture(world: int, number: int, side: int, seed: int = 0) -> np.ndarray:
    """Return an image of a world.

    Parameters
    ----------
    world
        Counted from 0; it determines shape, orientations, colours and shading.
    number
        Images of one world with different numbers are independent.
    side
        Side of the image in pixels.

    Returns
    -------
    ndarray of shape (side, side, 3), uint8
    """
    traits = np.random.default_rng([seed, world])
    shape = SHAPES[world % len(SHAPES)]
    colour = traits.uniform(0.3, 0.7, 3)
    spread = traits.uniform(0.1, 0.5) * np.pi  # of the orientations, radians
    light = traits.uniform(0.15, 0.35)  # change of brightness over the radius of a shape
    rng = np.random.default_rng([seed, world, number, 1])

    margin = LARGEST / 2  # shapes with a centre outside may overlap the image
    # The area of a shape is approximated by that of a disc with its diameter.
    area = np.pi / 4 * _mean_square()
    n = int(LAYERS * (side + 2 * margin) ** 2 / area)
    radii = _diameters(rng, n) / 2
    y, x = rng.uniform(-margin, side + margin, (2, n))
    turns = rng.normal(0, spread, n)
    # Luminance varies more than colour, as in photographs.
    tones = colour + rng.normal(0, 0.2, (n, 1)) + rng.normal(0, 0.07, (n, 3))
    canvas = np.broadcast_to(colour, (side, side, 3)).astype(np.float32)
    for leaf in range(n):
        _paint(canvas, shape, x[leaf], y[leaf], radii[leaf], turns[leaf], tones[leaf], light)
    return (255 * canvas.clip(0, 1)).round().astype(np.uint8)


def _mean_square() -> float:
    """Return the mean of d² under p(d) ∝ d⁻³."""
    a, b = SMALLEST, LARGEST
    return 2 * np.log(b / a) / (a**-2 - b**-2)


def _diameters(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n draws from p(d) ∝ d⁻ᵅ between SMALLEST and LARGEST, by inverse transform."""
    power = 1 - EXPONENT
    low, high = SMALLEST**power, LARGEST**power
    return (low + rng.uniform(size=n) * (high - low)) ** (1 / power)


def _paint(
    canvas: np.ndarray,
    shape: str,
    x: float,
    y: float,
    radius: float,
    turn: float,
    tone: np.ndarray,
    light: float,
) -> None:
    """Draw one shape on the canvas, with an antialiased edge one pixel wide."""
    side = len(canvas)
    reach = 1.5 * radius + 1
    left, right = max(int(x - reach), 0), min(int(x + reach) + 2, side)
    top, bottom = max(int(y - reach), 0), min(int(y + reach) + 2, side)
    if left >= right or top >= bottom:
        return
    across = np.arange(left, right, dtype=np.float32) - x
    down = (np.arange(top, bottom, dtype=np.float32) - y)[:, None]
    cos, sin = np.cos(turn), np.sin(turn)
    u, v = across * cos + down * sin, down * cos - across * sin
    cover = (0.5 - _distance(shape, u, v, radius)).clip(0, 1)[:, :, None]
    shade = (tone - light * (down / radius)[:, :, None]).astype(np.float32)
    patch = canvas[top:bottom, left:right]
    patch += cover * (shade - patch)


def _distance(shape: str, u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    """Return the approximate signed distance to the shape in pixels, negative inside."""
    if shape == "disc":
        return np.hypot(u, v) - radius
    if shape == "ellipse":
        return (np.hypot(u / 0.5, v) - radius) * 0.5
    if shape == "square":
        return np.maximum(abs(u), abs(v)) - 0.9 * radius
    if shape == "triangle":
        return np.maximum(0.866 * abs(u) + 0.5 * (-v), v) - 0.6 * radius
    return np.maximum(abs(u) - 0.3 * radius, abs(v) - 1.3 * radius)  # rod
