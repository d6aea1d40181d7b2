"""Where tensors live: one `device: auto` for CUDA, MPS and CPU."""

import torch

from kernelatlas.errors import KernelAtlasError


def resolve(name: str = "auto") -> torch.device:
    """Return the device of that name; `auto` is CUDA, else MPS, else the CPU.

    Raises
    ------
    KernelAtlasError
        If the device asked for is not on this machine.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, present in available.items() if present)
    if not available.get(name.split(":")[0], False):
        raise KernelAtlasError(
            f"device '{name}' is not on this machine: set `device: auto` in config.yaml"
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return the device in words for a file's metadata, without anything of the host."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
