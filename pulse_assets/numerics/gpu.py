"""Whether this process can use a GPU, in the words of ``pulse_resources.compute``, which pure code may not use."""

import importlib
import importlib.util


def gpu_problem() -> str | None:
    """Return why this process cannot compute on a GPU, or None if it can."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed (pip install 'pulse[gpu]')"
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return f"CuPy is installed but does not import ({error})"
    return None if cupy.cuda.is_available() else "CuPy finds no CUDA driver or no device (see nvidia-smi)"
