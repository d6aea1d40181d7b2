"""Choose the torch device of a job: CUDA, MPS or the CPU."""

import fcntl
import functools
import itertools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from kernelatlas.errors import KernelAtlasError

SHARED_BY = 4  # processes: `gpu_quarters` in the rules


def resolve(name: str = "auto") -> torch.device:
    """Return the device with that name; `auto` is CUDA if present, else MPS, else the CPU.

    `auto` and `cuda` choose the CUDA device that the fewest other processes of this user have
    claimed on this machine: Snakemake counts GPUs, but does not assign them to jobs. From then on
    convolutions on CUDA are in single precision, as products are: cuDNN alone would take TF32.

    Raises
    ------
    KernelAtlasError
        If this machine does not have the device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, present in available.items() if present)
    if not available.get(name.split(":")[0], False):
        raise KernelAtlasError(f"device '{name}' is not on this machine: choose `auto`")
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda", _own_cuda()) if name == "cuda" else torch.device(name)


@functools.cache
def _own_cuda() -> int:
    devices = range(torch.cuda.device_count())
    return claim([str(torch.cuda.get_device_properties(i).uuid) for i in devices])


_claims: list[int] = []


def claim(names: Sequence[str]) -> int:
    """Claim the name that the fewest other processes have claimed; return its index.

    It is the first if all have as many as share a device. A claim is a lock on a file of this user
    in the folder for temporary files. It ends with the process.
    """
    for place, (index, name) in itertools.product(range(SHARED_BY), enumerate(names)):
        path = Path(tempfile.gettempdir()) / f"kernelatlas-{os.getuid()}-{name}-{place}.lock"
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            _claims.append(file)
            return index
    return 0


def describe(device: torch.device) -> str:
    """Return the name of the hardware for the metadata of a file; it does not identify the host."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
