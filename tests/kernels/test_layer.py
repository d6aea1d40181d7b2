"""The side of kernels from the number of their weights."""

import numpy as np
import pytest

from kernelatlas.errors import KernelAtlasError
from kernelatlas.kernels.layer import side


@pytest.mark.parametrize("k", [1, 2, 3, 7, 31])
def test_the_side_of_many_kernels_and_of_one(k):
    assert side(np.zeros((5, k * k))) == side(np.zeros((0, k * k))) == side(np.zeros(k * k)) == k


@pytest.mark.parametrize("n", [2, 8, 10, 48, 50])
def test_kernels_that_are_not_square_are_refused(n):
    with pytest.raises(KernelAtlasError, match=f"kernels of {n} weights are not square"):
        side(np.zeros((4, n)))
