"""The compiled counts against plain loops."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pulse_assets.forecasting.counting import prefix_counts, revising_rows


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(1, 4))
def test_revising_rows_are_those_that_do_not_extend_their_series(ds: list[int], series: int) -> None:
    bounds = np.unique(np.linspace(0, len(ds), series + 1).astype(np.int64))
    expected = [
        any(ds[earlier] >= ds[row] for earlier in range(low, row))
        for low, high in pairwise(bounds)
        for row in range(low, high)
    ]
    assert revising_rows(np.array(ds), bounds).tolist() == expected


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20).map(sorted), st.integers(0, 10), st.integers(0, 10))
def test_prefix_counts_count_what_was_known_strictly_before_an_end(known: list[int], one: int, other: int) -> None:
    after, until = sorted((one, other))
    ends = np.arange(12)
    counts = prefix_counts(np.array(known), np.array([0, len(known)]), np.array([after]), np.array([until]), ends)
    expected = [sum(moment < end for moment in known) if after < end <= until else 0 for end in ends]
    assert counts[0].tolist() == expected
