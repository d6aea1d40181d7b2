"""Which addresses a zoo may name."""

import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.running.schema import validate


def zoo(url):
    return {"families": {"f": [{"name": "x", "url": url}]}}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/net.pth?download=1",
        "http://127.0.0.1:8000/net.safetensors",
        "http://localhost/net.pth",
        "http://[::1]:80/net.pth",
    ],
)
def test_https_and_this_machine_are_taken(url):
    validate(zoo(url), "zoo", "zoo.yaml")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/net.pth",
        "http://127.0.0.1.example.org/net.pth",
        "http://localhost.example.org/net.pth",
        "http://localhost@example.org/net.pth",
        "http://user:x@localhost:1@example.org/net.pth",
        "http://[::1].example.org/net.pth",
        "ftp://example.org/net.pth",
        "https://",
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(KernelAtlasError, match="an https address; http of this machine alone"):
        validate(zoo(url), "zoo", "zoo.yaml")
