"""How many kernels to treat at once."""

PIXELS = 128  # of a kernel: up to 11×11; larger ones are treated fewer at a time
ON_GPU = 64  # times as many on a GPU, which has no time for small products


def at_once(pixels: int, most: int, device: str = "cpu") -> int:
    """Return how many kernels of so many pixels to treat at once: as many as take the memory.

    Parameters
    ----------
    most
        The number up to 11×11 on a processor.
    device
        Type of the device that treats them.
    """
    if device != "cpu":
        most *= ON_GPU
    return max(1, min(most, most * PIXELS // pixels))
