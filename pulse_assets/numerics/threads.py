"""Linear algebra on one thread: a product over several rounds differently, and waits for cores that others use."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _controller() -> Any:  # noqa: ANN401 - threadpoolctl ships no types
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block with one BLAS thread, so that it gives the same bits in a process and on a Dask worker.

    Examples
    --------
    >>> import numpy as np
    >>> with one_thread():
    ...     print(float((np.ones((2, 2)) @ np.ones((2, 2)))[0, 0]))
    2.0
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield
