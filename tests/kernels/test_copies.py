"""Equal kernels are counted as sorting all of them counts them."""

import numpy as np
import pytest

from kernelatlas.kernels.copies import count_copies, hash_rows


def sorted_out(rows):
    """How often each row occurs, by sorting them all."""
    _, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return counts[inverse.ravel()]


@pytest.fixture
def rows():
    """9,000 kernels, many of them copies, some of another sign of zero, some nearly equal."""
    rng = np.random.default_rng(0)
    found = rng.normal(size=(3000, 9)).astype(np.float32)
    found[::7, 3] = 0
    found = found[rng.integers(len(found), size=9000)]
    found[::3, 3] = np.where(found[::3, 3] == 0, np.float32(-0.0), found[::3, 3])
    found[::11, 8] = np.nextafter(found[::11, 8], np.float32(9))
    return found


def test_copies_are_those_of_sorted_rows(rows):
    copies = count_copies(rows, hash_rows(rows))
    assert copies.dtype == np.int32
    assert copies.max() > 1
    np.testing.assert_array_equal(copies, sorted_out(rows))


@pytest.mark.parametrize("different", [1, 5, 1000])
def test_kernels_that_share_a_hash_are_not_taken_for_copies(rows, different):
    few = rows[:2000]
    hashes = hash_rows(few) % np.uint64(different)
    np.testing.assert_array_equal(count_copies(few, hashes), sorted_out(few))


def test_hashes_are_equal_for_equal_kernels_alone(rows):
    _, inverse = np.unique(rows, axis=0, return_inverse=True)
    _, of_hashes = np.unique(hash_rows(rows), return_inverse=True)
    assert len({*zip(inverse.ravel(), of_hashes, strict=True)}) == inverse.max() + 1
    assert of_hashes.max() == inverse.max()


def test_kernels_of_half_precision_have_different_hashes():
    # Their 13 last bits are zero, and differences are multiples of powers of two.
    values = np.arange(-8, 8, dtype=np.float32) / 8
    rows = np.stack(np.meshgrid(*[values] * 4), axis=-1).reshape(-1, 4)
    assert len(np.unique(hash_rows(rows))) == len(rows) == 16**4


def test_no_kernels():
    rows = np.empty((0, 9), np.float32)
    assert count_copies(rows, hash_rows(rows)).shape == (0,)
