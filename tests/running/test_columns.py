"""Columns of Arrow tables, beside those that Arrow makes of the same values with pandas' help."""

import numpy as np
import pyarrow as pa
import pytest

from kernelatlas.running.columns import column, list_column, numbers, text_column

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=21).astype(np.float32),
        RNG.integers(-99, 99, 21).astype(np.int16),
        RNG.integers(-99, 99, (21, 2))[:, 1],  # not contiguous
        RNG.random(21) < 0.5,
        np.empty(0, np.int32),
    ],
)
def test_numbers_and_truth_values(values):
    known = RNG.random(len(values)) < 0.6
    for mask in (None, known, np.ones_like(known)):
        made = column(values, mask)
        made.validate(full=True)
        assert made.equals(pa.array(values, mask=None if mask is None else ~mask))
        assert made.null_count == (0 if mask is None else (~mask).sum())


@pytest.mark.parametrize(
    "texts", [["b", "a", "b", "", "é"], ["b", None, "b", "a", None], [None], [], ["x"] * 9]
)
def test_texts_are_stored_once_in_the_order_of_their_first_rows(texts):
    made = text_column(texts)
    made.validate(full=True)
    assert made.equals(pa.array(texts, pa.string()).dictionary_encode())


@pytest.mark.parametrize("m", [1, 3])
def test_lists_and_what_is_empty_in_them(m):
    values = RNG.normal(size=(17, m)).astype(np.float32)
    values[RNG.random(values.shape) < 0.3] = np.nan
    known = np.zeros(25, bool)
    known[RNG.permutation(25)[:17]] = True
    rows = iter(values.tolist())
    expected = [[None if x != x else x for x in next(rows)] if has else None for has in known]
    made = list_column(values, known)
    made.validate(full=True)
    assert made.equals(pa.array(expected, pa.list_(pa.float32())))
    assert list_column(values[:0], np.zeros(2, bool)).to_pylist() == [None, None]


def test_numbers_of_a_part_of_a_column_in_several_pieces():
    whole = pa.chunked_array([np.arange(5, dtype=np.int16), np.arange(7, dtype=np.int16)])
    found = numbers(whole.slice(3, 6))
    assert found.dtype == np.int16
    assert found.tolist() == [3, 4, 0, 1, 2, 3]
    assert numbers(whole.slice(0, 0)).shape == (0,)
    assert not found.flags.writeable
