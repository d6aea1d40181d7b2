"""How many kernels are treated at once."""

import pytest

from kernelatlas.kernels.blocks import at_once


@pytest.mark.parametrize("k", [2, 7, 11])
def test_small_kernels_are_treated_as_many_at_once(k):
    assert at_once(k * k, 1000) == 1000


@pytest.mark.parametrize("k", [12, 31, 51, 127])
def test_large_kernels_take_no_more_memory_than_those_of_11_pixels(k):
    n = at_once(k * k, 10_000)
    assert n * k * k <= 10_000 * 128 < (n + 1) * k * k


def test_one_kernel_is_treated_however_large_it_is():
    assert at_once(10**6, 1000) == 1
