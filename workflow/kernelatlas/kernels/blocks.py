"""How many kernels to treat at once."""

PIXELS = 128  # of a kernel: up to 11×11; larger ones are treated fewer at a time


def at_once(pixels: int, most: int) -> int:
    """Return how many kernels of so many pixels to treat at once: as many as take the memory.

    Parameters
    ----------
    most
        The number up to 11×11.
    """
    return max(1, min(most, most * PIXELS // pixels))
