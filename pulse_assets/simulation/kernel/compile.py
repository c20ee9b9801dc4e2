"""Compiles kernels and keeps them on disk, each under a digest of everything that it is made of."""

import hashlib
import importlib.util
import inspect
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
PREAMBLE = '''"""Made from a set of causal rules; see pulse_assets.simulation.kernel.compile."""

from pulse_assets.simulation.kernel.block import *
from pulse_assets.simulation.kernel.block import H, account, draw_shocks, finish, move_chances, move_state, pull_state
from pulse_assets.simulation.kernel.block import remember, shock_state, start_paths
from pulse_assets.simulation.kernel.intrinsics import *
from pulse_assets.simulation.kernel.philox import draw_uniform_rows
from pulse_assets.simulation.kernel.transforms import exp_, log_, sqrt_

'''
Kernel = Callable[..., None]


@lru_cache(maxsize=1)
def kernel_folder() -> Path:
    """Return where compiled kernels are kept: a folder named after the sources of all of them."""
    digest = hashlib.sha256()
    for source in sorted(HERE.glob("*.py")):
        digest.update(source.read_bytes())
    return HERE / "__pycache__" / f"kernels-{digest.hexdigest()[:12]}"


@lru_cache(maxsize=32)
def block_kernel(rules: str = "") -> Kernel:
    """Return the compiled ``run_block`` of a world.

    Parameters
    ----------
    rules
        Restricted Python that defines ``apply_rules``; empty for a world without rules.
    """
    from pulse_assets.simulation.kernel import block

    if not rules:
        return block.run_block  # type: ignore[no-any-return]
    return rule_module(rules).run_block  # type: ignore[no-any-return]


def rule_module(rules: str) -> ModuleType:
    """Return a module that has the rules' ``apply_rules`` and a ``run_block`` that calls it."""
    from pulse_assets.simulation.kernel import block

    body = inspect.getsource(block.run_block.py_func)
    text = f"{PREAMBLE}\n@compiled\n{rules.strip()}\n\n\n{body}" if "@compiled" not in rules else f"{PREAMBLE}\n{rules.strip()}\n\n\n{body}"
    name = f"pulse_rules_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = _written(name, text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _written(name: str, text: str) -> Path:
    """Write a module where the kernels are kept, or into a folder of this user where that cannot be written."""
    import tempfile

    for folder in (kernel_folder(), Path(tempfile.gettempdir()) / f"pulse-kernels-{os.getuid()}"):
        path = folder / f"{name}.py"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return path
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        except OSError:
            continue
        return path
    raise OSError(f"neither {kernel_folder()} nor the temporary folder can be written: kernels with rules need one")


def cached(decorate: Callable[..., Any], function: Callable[..., Any]) -> Any:  # noqa: ANN401 - numba's dispatcher
    """Decorate a kernel so that its code is kept in :func:`kernel_folder`, or in memory only if that cannot be written."""
    from numba.core import config

    kept = config.CACHE_DIR  # type: ignore[attr-defined]
    if "NUMBA_CACHE_DIR" in os.environ and not kept:
        kept = os.environ["NUMBA_CACHE_DIR"]
    config.CACHE_DIR = str(kernel_folder())  # type: ignore[attr-defined]
    try:
        return decorate(cache=os.access(HERE, os.W_OK))(function)
    finally:
        config.CACHE_DIR = kept  # type: ignore[attr-defined]
