"""Compiles kernels and keeps them on disk, each under a digest of everything that it is made of."""

import hashlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
COMPILED = (
    *("accounts", "block", "compile", "drivers", "header", "intrinsics", "keeping", "philox", "record", "steps"),
    "transforms",
)
"""Modules whose text decides what a kernel is."""
PREAMBLE = '''"""Made from a set of causal rules; see pulse_assets.simulation.kernel.compile."""

from pulse_assets.simulation.kernel.block import *
from pulse_assets.simulation.kernel.block import H, account, draw_shocks, finish, move_chances, move_state, pull_state
from pulse_assets.simulation.kernel.block import remember, shock_state, start_paths
from pulse_assets.simulation.kernel.intrinsics import *
from pulse_assets.simulation.kernel.philox import draw_uniform_rows
from pulse_assets.simulation.kernel.transforms import exp_, log_, sqrt_

'''
NO_RULES = """
def apply_rules(
    work: F32s, floats: F32s, counts: I64s, ids: U64s, k0: U64, k1: U64, branch: I64, t: I64, steps: I64, valid: I64
) -> None:
    pass
"""
Kernel = Callable[..., None]


@lru_cache(maxsize=1)
def kernel_folder() -> Path:
    """Return where compiled kernels are kept: a folder named after the sources of all of them."""
    digest = hashlib.sha256()
    for name in COMPILED:
        digest.update((HERE / f"{name}.py").read_bytes())
    return HERE / "__pycache__" / f"kernels-{digest.hexdigest()[:12]}"


def block_kernel(rules: str = "") -> Kernel:
    """Return ``run_block`` as the kernel of a world whose rules are part of its text: what is translated to C.

    Parameters
    ----------
    rules
        Restricted Python that defines ``apply_rules``; empty for a world without rules.
    """
    return rule_module(rules or NO_RULES).run_block  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def rules_address(rules: str) -> int:
    """Return where compiled rules are in the memory of this process, 0 for none; the first call compiles them."""
    if not rules:
        return 0
    function = rule_module(rules).apply_rules
    function.compile(_signature())
    result = function.overloads[_signature()]
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


@lru_cache(maxsize=1)
def _signature() -> tuple[object, ...]:
    from numba import types

    f32s, i64s, u64s = (types.Array(kind, 1, "C") for kind in (types.float32, types.int64, types.uint64))
    return (types.int64, f32s, f32s, i64s, u64s, types.uint64, types.uint64, *[types.int64] * 4)


@lru_cache(maxsize=64)
def rule_module(rules: str) -> ModuleType:
    """Return a module that has the rules' ``apply_rules`` and a ``run_block`` that calls it."""
    from pulse_assets.simulation.kernel import block

    body = inspect.getsource(inspect.unwrap(block.run_block))
    own = re.sub(r"def apply_rules\(\s*work", "def apply_rules(address: I64, work", rules.strip())
    text = f"{PREAMBLE}\n@compiled\n{own}\n\n\n{body}"
    name = f"pulse_rules_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = _written(name, text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba looks a function's module up by its name, also when it reads its cache
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
    """Decorate a kernel so that its code is kept in :func:`kernel_folder`, or in memory if that cannot be written."""
    from numba.core import config

    kept = config.CACHE_DIR
    if "NUMBA_CACHE_DIR" in os.environ and not kept:
        kept = os.environ["NUMBA_CACHE_DIR"]
    config.CACHE_DIR = str(kernel_folder())
    try:
        return decorate(cache=os.access(HERE, os.W_OK))(function)
    finally:
        config.CACHE_DIR = kept
