"""A trained panel as bytes: an npz file of plain arrays and JSON, with a digest of all that it holds. Pure.

No pickle, so reading runs no code. What the arrays mean to a forecast is in :mod:`.training`.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from pulse_assets.forecasting.garch import GjrFit
from pulse_assets.forecasting.lags import LagMap
from pulse_assets.forecasting.learning import PanelModel
from pulse_assets.forecasting.volatility import Volatility

Arrays = dict[str, npt.NDArray[Any]]
Meta = dict[str, str | int]

FORMAT = 1
"""Number of the layout of the bytes."""
NUMBERS = tuple(field.name for field in fields(GjrFit) if field.name != "reason")


def packed(meta: Meta, arrays: Arrays) -> bytes:
    """Return numbers and what they are as bytes; equal ones give equal bytes."""
    text = json.dumps({**meta, "format": FORMAT, "digest": digest_of(meta, arrays)}, sort_keys=True)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, meta=np.frombuffer(text.encode(), np.uint8), **_in_order(arrays))
    return file.getvalue()


def unpacked(content: bytes) -> tuple[Meta, Arrays]:
    """Return what :func:`packed` was given.

    Raises
    ------
    ValueError
        The bytes are cut off, changed, or of something else.

    Examples
    --------
    >>> unpacked(packed({"family": "B price"}, {"x": np.ones(2)}))
    ({'family': 'B price'}, {'x': array([1., 1.])})
    """
    try:
        return _read(content)
    except (ValueError, KeyError, TypeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"expected a trained panel, and these {len(content):,} bytes are damaged or of something else ({error}); "
            "register the model again, or restore its artefact from a backup"
        ) from error


def _read(content: bytes) -> tuple[Meta, Arrays]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(arrays.pop("meta").tobytes())
    layout, said = meta.pop("format"), meta.pop("digest")
    if layout != FORMAT:
        raise ValueError(f"layout {layout}, and this version of Pulse reads {FORMAT}")
    if digest_of(meta, arrays) != said:
        raise ValueError(f"its digest is not {said}")
    return meta, arrays


def digest_of(meta: Mapping[str, object], arrays: Arrays) -> str:
    """Return the SHA-256 of numbers and what they are, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(dict(meta), sort_keys=True).encode())
    for name, array in _in_order(arrays).items():
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _in_order(arrays: Arrays) -> Arrays:
    return {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}


def model_arrays(model: PanelModel) -> Arrays:
    """Return the parameters of a panel model by name."""
    arrays: Arrays = {
        "gate": model.gate,
        "slopes": model.slopes,
        "shape": model.shape,
        "scalars": np.array([model.pull, model.penalty, float(model.rows)]),
    }
    if model.lag_map is not None:
        arrays["lag_coefficients"] = model.lag_map.coefficients
        arrays["lag_scalars"] = np.array([model.lag_map.strength, float(model.lag_map.windows)])
    if model.volatility is not None:
        arrays["volatility"] = np.stack([getattr(model.volatility.fit, name) for name in NUMBERS])
        arrays["volatility_reason"] = model.volatility.fit.reason
        arrays["volatility_differenced"] = np.array([model.volatility.differenced])
    return arrays


def model_from(arrays: Arrays) -> PanelModel:
    """Return the panel model whose parameters :func:`model_arrays` returned."""
    pull, penalty, rows = arrays["scalars"].tolist()
    lag_map = volatility = None
    if "lag_scalars" in arrays:
        strength, windows = arrays["lag_scalars"].tolist()
        lag_map = LagMap(arrays["lag_coefficients"], strength, int(windows))
    if "volatility" in arrays:
        numbers = dict(zip(NUMBERS, arrays["volatility"], strict=True))
        fit = GjrFit(**numbers, reason=arrays["volatility_reason"])
        volatility = Volatility(fit, bool(arrays["volatility_differenced"][0]))
    return PanelModel(arrays["gate"], arrays["slopes"], arrays["shape"], lag_map, pull, volatility, penalty, int(rows))
