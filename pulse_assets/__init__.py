"""What Pulse computes, one folder per domain. Scheduling and the command line live in ``jobs``.

Importing this package tells numba where its compiled kernels are kept: a folder named after the sources of all that
have any. By itself numba looks only at the file of the function that is called, and would go on running a kernel whose
callee in another module has changed.
"""

import hashlib
import os
import sys
from pathlib import Path

COMPILED = ("numerics", "forecasting", "trust")
"""Packages with kernels; those of simulations keep their own."""


def _kernel_folder() -> Path:
    here, digest = Path(__file__).parent, hashlib.sha256()
    for source in sorted(source for package in COMPILED for source in (here / package).rglob("*.py")):
        digest.update(source.read_bytes())
    return here / "__pycache__" / f"kernels-{digest.hexdigest()[:12]}"


def _keep_kernels() -> None:
    """Point numba to the folder, unless the user did or the folder cannot be written."""
    folder = _kernel_folder()
    if "NUMBA_CACHE_DIR" in os.environ or not os.access(Path(__file__).parent, os.W_OK):
        return
    config = sys.modules.get("numba.core.config")
    if config is not None:
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


_keep_kernels()
