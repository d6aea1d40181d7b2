"""Files of checkpoints that tests write."""

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path):
    """Return a function that writes bytes to a file and returns its path."""

    def write(data: bytes, name: str = "net.bin") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write
