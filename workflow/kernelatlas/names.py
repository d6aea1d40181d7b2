"""The names of clusters: shapes, and labels, which add a direction and a sign to a shape."""

from kernelatlas.errors import KernelAtlasError

FIRST, SECOND = "first-derivative", "second-derivative"
OTHER = "other"
DEGENERATE = "degenerate"  # the label of kernels without a shape: constant or not finite
# Why a kernel is not identified; the first that holds (`kernelatlas.clustering.reasons`).
TOO_FAR, NO_NAME, SEEDS_DISAGREE = "too far", "no name", "seeds disagree"
REASONS = (DEGENERATE, TOO_FAR, NO_NAME, SEEDS_DISAGREE)

# Pairs: the bright one first, then the dark one.
CENTRES = ("on-centre", "off-centre")
CROSSES = ("on-cross", "off-cross")
SQUARES = ("on-square", "off-square")

SHAPES = (
    *CENTRES,
    *CROSSES,
    *SQUARES,
    FIRST,
    SECOND,
    OTHER,
)
# Analytic functions that are fitted to kernels (`kernelatlas.evidence.fits`).
FUNCTIONS = (
    "gaussian", "dog", "elongated", "first", "second", "cross", "square", "shifted",
    "shifted dog", "shifted first", "shifted second", "gabor",
)  # fmt: skip
SMALLEST_FIT = 3  # smallest k with fits: smaller kernels have too few pixels

# Sets of kernels that tables compare (`kernelatlas.evidence.nulls`), and all of them together.
NULLS = ("shuffled", "white", "covariance")
TRAINED, UNTRAINED = "trained", "untrained"
NO_FOLD = -1  # the fold of kernels that no curve has seen
IN_SAMPLE = "trained, in sample"  # labelled by curves that have seen them
ALL_FAMILIES, ALL_NETWORKS = "all families", "all networks"

FIRST_DIRECTIONS = tuple(range(0, 360, 45))
SECOND_DIRECTIONS = tuple(range(0, 180, 45))


def first_derivative(direction: float) -> str:
    """Return the label of a first derivative.

    Parameters
    ----------
    direction
        The direction in which the kernel increases, in degrees anticlockwise from +x; rounded to
        multiples of 45°.
    """
    return f"{FIRST} {_rounded(direction, 360)}°"


def second_derivative(direction: float, sign: int) -> str:
    """Return the label of a second derivative.

    Parameters
    ----------
    direction
        The direction of differentiation, in degrees anticlockwise from +x; rounded to multiples
        of 45°.
    sign
        Its sign decides between + and −.
    """
    return f"{SECOND} {_rounded(direction, 180)}° {'+' if sign > 0 else '-'}"


def _rounded(direction: float, turn: int) -> int:
    return round(direction / 45) * 45 % turn


LABELS = (
    *(shape for shape in SHAPES if shape not in (FIRST, SECOND, OTHER)),
    *(first_derivative(direction) for direction in FIRST_DIRECTIONS),
    *(second_derivative(direction, sign) for direction in SECOND_DIRECTIONS for sign in (1, -1)),
    OTHER,
    DEGENERATE,
)


def shape_of(label: str) -> str:
    """Return the shape of a label: one of `SHAPES`, or `degenerate`."""
    if label not in LABELS:
        raise KernelAtlasError(f"label {label!r} is unknown: use one of kernelatlas.names.LABELS")
    return label.split(" ")[0]
