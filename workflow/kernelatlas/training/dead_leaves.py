"""Dead leaves: pictures made of random shapes that cover one another.

Shapes fall one after another, at uniform places, until they hide what lies below
(Matheron 1968). With diameters d of density p(d) ∝ d⁻³ between two bounds the picture
looks alike at every scale, has edges, occlusion and even surfaces, and its power falls
with about the square of the frequency, as that of photographs (Lee, Mumford & Huang,
IJCV 41, 2001; as training data: Baradad et al., NeurIPS 2021, arXiv 2106.05963).

What makes a world, our choice: one of five shapes (disc, ellipse, square, triangle, rod),
how far its leaves turn from upright, its mean colour, and how strongly light from above
shades each leaf. A world can be told by its shapes and colours, a quarter turn by the light.
"""

import numpy as np

SHAPES = ("disc", "ellipse", "square", "triangle", "rod")
SMALLEST, LARGEST = 4.0, 160.0  # diameters in pixels
EXPONENT = 3.0  # of the density of diameters: scale invariance
LAYERS = 4.0  # how often a pixel is covered on average: e⁻⁴ is never


def picture(world: int, number: int, side: int, seed: int = 0) -> np.ndarray:
    """Return a picture of a world.

    Parameters
    ----------
    world
        From 0; decides shape, turns, colours and light.
    number
        Pictures of one world with different numbers are independent.
    side
        Pixels.

    Returns
    -------
    ndarray of shape (side, side, 3), uint8
    """
    traits = np.random.default_rng([seed, world])
    shape = SHAPES[world % len(SHAPES)]
    colour = traits.uniform(0.3, 0.7, 3)
    spread = traits.uniform(0.1, 0.5) * np.pi  # of the leaves' turns, radians
    light = traits.uniform(0.15, 0.35)  # change of brightness over a leaf's radius
    random = np.random.default_rng([seed, world, number, 1])

    margin = LARGEST / 2  # leaves whose centre is outside reach in
    # Without shape factors: the area of a leaf is about that of its disc.
    area = np.pi / 4 * _mean_square()
    n = int(LAYERS * (side + 2 * margin) ** 2 / area)
    radii = _diameters(random, n) / 2
    y, x = random.uniform(-margin, side + margin, (2, n))
    turns = random.normal(0, spread, n)
    # Luminance varies more than colour, as in photographs.
    tones = colour + random.normal(0, 0.2, (n, 1)) + random.normal(0, 0.07, (n, 3))
    canvas = np.broadcast_to(colour, (side, side, 3)).astype(np.float32)
    for leaf in range(n):
        _paint(canvas, shape, x[leaf], y[leaf], radii[leaf], turns[leaf], tones[leaf], light)
    return (255 * canvas.clip(0, 1)).round().astype(np.uint8)


def _mean_square() -> float:
    """Return the mean of d² under p(d) ∝ d⁻³."""
    a, b = SMALLEST, LARGEST
    return 2 * np.log(b / a) / (a**-2 - b**-2)


def _diameters(random: np.random.Generator, n: int) -> np.ndarray:
    """Return n draws of p(d) ∝ d⁻ᵅ between the bounds, by inversion."""
    power = 1 - EXPONENT
    low, high = SMALLEST**power, LARGEST**power
    return (low + random.uniform(size=n) * (high - low)) ** (1 / power)


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
    """Lay one leaf on the canvas, its edge one pixel soft."""
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
    """Return about how many pixels a place is outside the shape (negative: inside)."""
    if shape == "disc":
        return np.hypot(u, v) - radius
    if shape == "ellipse":
        return (np.hypot(u / 0.5, v) - radius) * 0.5
    if shape == "square":
        return np.maximum(abs(u), abs(v)) - 0.9 * radius
    if shape == "triangle":
        return np.maximum(0.866 * abs(u) + 0.5 * (-v), v) - 0.6 * radius
    return np.maximum(abs(u) - 0.3 * radius, abs(v) - 1.3 * radius)  # rod
