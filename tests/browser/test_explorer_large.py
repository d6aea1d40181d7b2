"""A million kernels: bytes that are moved, and the nearest of all by brute force."""

import time

import numpy as np
import pytest
from truth import number

OPENING, SHOWING = 2_000_000, 200_000  # bytes


def test_opening_moves_less_than_two_megabytes(large):
    for place in ("", "shapes", "networks", "curve", "find"):
        large.forget()
        large.show(place)
        assert large.alerts == []
        moved = large.collect().moved
        print(f"{place or 'overview'}: {moved / 1e6:.3f} MB")
        assert 10_000 < moved < OPENING, place


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"identified": "yes"},
        {"family": "family2", "shape": "on-centre"},
        {"network": "large7", "sort": "table"},
        {"trained": "yes", "r2": 0.8, "sort": "r2"},
        {"identified": "no", "reason": "too far", "sort": "dissimilarity", "order": "up"},
        {"shape": "first-derivative", "agreement": 3, "r2": 0.5},
        {"sort": "agreement", "order": "up", "page": 3},
        {"page": 1000},
    ],
)
def test_showing_400_kernels_of_any_selection_moves_less_than_200_kilobytes(large, query):
    large.show("kernels", size="7x7", network="large0")  # the page and what it keeps is there
    started = time.perf_counter()
    with large.bytes_moved() as moved:
        large.go("kernels", size="7x7", **query)
        seconds = time.perf_counter() - started
        rows = large.rows()
        assert len(rows) == len(set(rows)) == 400
        time.sleep(0.5)  # whatever else it asks for
        amount = moved()
    print(f"{query}: {amount / 1e3:.0f} kB, {seconds:.2f} s")
    assert amount < SHOWING


def test_a_kernel_and_its_neighbours_are_shown_from_a_few_bytes(large):
    large.show("networks", size="7x7")
    with large.bytes_moved() as moved:
        large.go("kernel/large11/layers.3/17")
        assert large.rows(".nearest")
        amount = moved()
    print(f"a kernel: {amount / 1e3:.0f} kB")
    assert amount < 1_000_000


def test_all_of_a_million_are_searched_as_numpy_searches_them(large, large_explorer):
    kernel = np.round(np.sin(np.add.outer(np.arange(7), 0.7 * np.arange(7))), 2)
    large.show("find", size="7x7", kernel=",".join(map(str, kernel.ravel())))
    large.until(lambda: "searched in" in large.text(".found [role=status]"), "nothing is found")
    large.wait()
    told = large.text(".found [role=status]")
    print(told)
    assert "all 1,000,000 kernels" in told
    shown = np.array([number(text) for text in large.texts(".found .mosaic .below")])
    unit = (kernel - kernel.mean()).ravel().astype(np.float32)
    integers = np.load(large_explorer / "data/7x7/weights.npy")  # of 8 bits, as the page has them
    weights = integers.reshape(-1, 49).astype(np.float32)
    weights -= weights.mean(1, keepdims=True)
    cosines = weights @ (unit / np.linalg.norm(unit)) / np.linalg.norm(weights, axis=1)
    best = np.sort(np.partition(cosines, -60)[-60:])[::-1]
    assert len(shown) == 60
    assert np.abs(shown - best).max() < 6e-4  # three digits
