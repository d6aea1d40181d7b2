"""The names of clusters: shapes, and labels that add a direction and a sign to them."""

from kernelatlas.errors import KernelAtlasError

FIRST, SECOND = "first-derivative", "second-derivative"
OTHER = "other"
DEGENERATE = "degenerate"  # the label of kernels without a shape: constant or not finite

SHAPES = (
    "on-centre",
    "off-centre",
    "on-cross",
    "off-cross",
    "on-square",
    "off-square",
    FIRST,
    SECOND,
    OTHER,
)
# Analytic functions that kernels are fitted by (`kernelatlas.fits`).
FUNCTIONS = ("gaussian", "dog", "elongated", "first", "second", "cross", "square", "shifted")
SMALLEST_FIT = 3  # k: smaller kernels have too few pixels

# Sets of kernels that are compared (`kernelatlas.nulls`), and all families of models together.
NULLS = ("shuffled", "white", "covariance")
TRAINED, UNTRAINED = "trained", "untrained"
ALL_FAMILIES = "all families"

FIRST_DIRECTIONS = tuple(range(0, 360, 45))
SECOND_DIRECTIONS = tuple(range(0, 180, 45))


def first_derivative(direction: int) -> str:
    """Return the label of a first derivative.

    Parameters
    ----------
    direction
        Degrees counter-clockwise from +x in which the kernel increases: 0, 45, …, 315.
    """
    if direction not in FIRST_DIRECTIONS:
        raise KernelAtlasError(
            f"direction {direction} of a first derivative: use one of {FIRST_DIRECTIONS}"
        )
    return f"{FIRST} {direction}°"


def second_derivative(direction: int, sign: int) -> str:
    """Return the label of a second derivative.

    Parameters
    ----------
    direction
        Degrees counter-clockwise from +x along which is derived: 0, 45, 90 or 135.
    sign
        Positive or negative.
    """
    if direction not in SECOND_DIRECTIONS or sign == 0:
        raise KernelAtlasError(
            f"direction {direction} and sign {sign} of a second derivative: use one of "
            f"{SECOND_DIRECTIONS} and a sign that is not 0"
        )
    return f"{SECOND} {direction}° {'+' if sign > 0 else '-'}"


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
