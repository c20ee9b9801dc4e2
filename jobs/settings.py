"""What the environment says: every variable that Pulse reads is named here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pulse_resources.compute import Compute
from pulse_resources.errors import ConfigError
from pulse_resources.lake.resource import DeltaLake, default_root
from pulse_resources.market import Market, read_sources
from pulse_resources.registry import Registry

Mode = Literal["inline", "threads", "local", "address"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, parsed.

    Parameters
    ----------
    root
        ``PULSE_LAKE``: folder or ``s3://bucket/prefix`` of the tables; default ``./lake``.
    config
        ``PULSE_CONFIG``: YAML file with ``sources:``; default the embedded data.
    home
        ``DAGSTER_HOME``: run history; default ``./.pulse``.
    compute_mode
        ``PULSE_COMPUTE``: ``inline`` (default), ``threads``, ``local``, or the address of a Dask scheduler.
    device
        ``PULSE_DEVICE``: ``cpu`` (default), ``gpu``, or ``auto``: a GPU where there is one.
    registry_address
        ``MLFLOW_TRACKING_URI``: the model registry; default a SQLite file in ``home``.
    artefact_root
        ``MLFLOW_DEFAULT_ARTIFACT_ROOT``: where artefacts go unless a server keeps them; default a folder in ``home``.
    """

    root: str
    config: Path | None
    home: Path
    compute_mode: str
    device: str = "cpu"
    registry_address: str = ""
    artefact_root: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Parse the environment."""
        config = environ.get("PULSE_CONFIG")
        return cls(
            root=environ.get("PULSE_LAKE") or default_root(),
            config=Path(config) if config else None,
            home=Path(environ.get("DAGSTER_HOME") or ".pulse").absolute(),
            compute_mode=environ.get("PULSE_COMPUTE", "inline"),
            device=environ.get("PULSE_DEVICE", "cpu"),
            registry_address=environ.get("MLFLOW_TRACKING_URI", ""),
            artefact_root=environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT", ""),
        )

    def lake(self) -> DeltaLake:
        """Return the lake."""
        return DeltaLake(root=self.root)

    def market(self) -> Market:
        """Return the configured sources.

        Raises
        ------
        ConfigError
            The file at ``PULSE_CONFIG`` is wrong.
        """
        return Market(source_entries=read_sources(self.config))

    def registry(self) -> Registry:
        """Return the model registry; it is opened when it is first asked."""
        return Registry(address=self.registry_address, home=str(self.home), artefact_root=self.artefact_root)

    def compute(self) -> Compute:
        """Return where blocks are computed.

        Raises
        ------
        ConfigError
            ``PULSE_COMPUTE`` is neither a mode nor an address.
        """
        if "://" in self.compute_mode:
            return Compute(mode="address", address=self.compute_mode, device=self.device)
        if self.compute_mode not in get_args(Mode) or self.compute_mode == "address":
            raise ConfigError(
                f"PULSE_COMPUTE is {self.compute_mode!r}; expected inline, threads, local or an address like tcp://host:8786"
            )
        return Compute(mode=self.compute_mode, device=self.device)
