"""Depthwise kernels out of safetensors files."""

import hostile
import pytest
import torch
from readings import assert_equal, refusal

from kernelatlas.sources.checkpoints import read_depthwise

ENTRY = hostile.entry([2, 1, 3, 3], 0, 72)
DATA = bytes(72)


def test_safetensors_come_in_natural_order(file):
    names = ["a", "a1", "a1.b2", "a1.b10", "a2", "a10", "b0", "b00", "ä1"]
    state = {f"{name}.weight": torch.randn(2, 1, 2, 2) for name in reversed(names)}
    layers = read_depthwise(file(hostile.safetensors_bytes(state))).layers
    assert_equal(layers, state, names)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (hostile.safetensors_raw({"a": ENTRY}, DATA, length=2**60), "claims a header of"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA, length=500), "claims a header of"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA, length=9), "damaged"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA[:-1]), "its header needs"),
        (hostile.safetensors_raw({"a": ENTRY}, DATA + b"x"), "its header needs"),
        (hostile.safetensors_raw("{}        ", b"x"), "its header needs"),
        (hostile.safetensors_raw("{}"), "0 tensors read"),
        (hostile.safetensors_raw("{" + '"a":{' * 50_000), "RecursionError"),
        (hostile.safetensors_raw({"a": [1]}), "no valid entry"),
        (hostile.safetensors_raw({"a": {}}), "unknown dtype"),
        (hostile.safetensors_raw('{"a": {}, "a": {}}'), "twice"),
        (hostile.safetensors_raw({"a": ENTRY, "b": ENTRY}, DATA), "should follow"),
        (
            hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 4, 76)}, DATA + b"1234"),
            "should follow",
        ),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], -4, 68)}, DATA), "offsets"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 7.2)}, DATA), "offsets"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], False, 72)}, DATA), "offsets"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 4], 0, 72)}, DATA), "do not fit"),
        (hostile.safetensors_raw({"a": hostile.entry([2**60, 1, 3, 3], 0, 72)}, DATA), "not fit"),
        (hostile.safetensors_raw({"a": hostile.entry([2**70, 1, 3, 3], 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry([-2, -1, 3, 3], 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry([2, True, 3, 3], 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry("2133", 0, 72)}, DATA), "shape"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 72, "F33")}, DATA), "dtype"),
        (hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 72, [])}, DATA), "dtype"),
        (
            hostile.safetensors_raw({"a": hostile.entry([2, 1, 3, 3], 0, 2**60)}, DATA),
            "do not fit",
        ),
        (
            hostile.safetensors_raw({"a": hostile.entry([2**58, 1, 1, 2], 0, 2**61)}, DATA),
            "its header needs",
        ),
        (hostile.safetensors_raw({"\ud800.weight": ENTRY}, DATA), "Unicode"),
        (hostile.safetensors_raw({"a\nb": hostile.entry([9], 0, 72)}, DATA), "'a\\nb'"),
        (hostile.safetensors_raw({"a" * 10_000: hostile.entry([9], 0, 72)}, DATA), "do not fit"),
    ],
)
def test_damaged_safetensors(file, data, words):
    assert words in refusal(file(data))
