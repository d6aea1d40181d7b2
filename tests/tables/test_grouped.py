"""Summaries of networks one by one are those of all of them together."""

import numpy as np
import pandas as pd
import pytest

from kernelatlas.tables.grouped import grouped


@pytest.mark.parametrize("missing", [False, True])
def test_means_and_medians_do_not_depend_on_what_is_read_together(missing):
    rng = np.random.default_rng(0)
    kernels = pd.DataFrame(
        {
            "model": np.repeat(["b", "a", "c"], 1000),
            "k": np.int16(rng.choice([3, 5], 3000)),
            "distance": rng.random(3000, np.float32),
            "good": rng.random(3000) < 0.3,
        }
    )
    if missing:  # in one network, and all of one group
        kernels.loc[(kernels["model"] == "a") & (kernels["k"] == 3), "distance"] = np.nan
        kernels.loc[1500, "distance"] = np.nan
    columns = {
        "kernels": ("good", "size"),
        "good": ("good", "sum"),
        "mean": ("distance", "mean"),
        "median": ("distance", "median"),
    }
    networks = [part for _, part in kernels.groupby("model", sort=False)]
    table = grouped(networks, ["model", "k"], **columns)
    pd.testing.assert_frame_equal(table, grouped([kernels], ["model", "k"], **columns))
    assert table["model"].tolist() == ["a", "a", "b", "b", "c", "c"]
    assert table["mean"].dtype == table["median"].dtype == np.float32
    for row in table.itertuples():
        own = kernels[(kernels["model"] == row.model) & (kernels["k"] == row.k)]
        assert (row.kernels, row.good) == (len(own), own["good"].sum())
        distance = own["distance"].to_numpy(np.float64)
        known = distance[~np.isnan(distance)]
        assert np.isnan(row.mean) if not len(known) else row.mean == pytest.approx(known.mean())
        assert (
            np.isnan(row.median)
            if not len(known)
            else row.median == np.float32(np.median(known.astype(np.float32)))
        )
