"""The lake as a Dagster resource: where it is comes from the environment, or from the launchpad."""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from pulse_resources.lake.lake import Lake


def default_root() -> str:
    """Return ``PULSE_LAKE``, or the folder ``lake`` under the current directory."""
    return os.environ.get("PULSE_LAKE") or str(Path("lake").absolute())


class DeltaLake(dg.ConfigurableResource[None]):
    """Root folder or bucket of the Delta tables.

    On S3 the credentials, region and endpoint come from the usual ``AWS_…`` environment variables; commits use
    conditional put, so no lock table is needed.
    """

    root: str
    storage_options: dict[str, str] = Field(default_factory=dict)
    durable: bool = True

    def lake(self) -> Lake:
        """Return the Dagster-free lake."""
        options = dict(self.storage_options)
        if self.root.startswith("s3://"):
            options.setdefault("aws_conditional_put", "etag")
        return Lake(self.root, options, self.durable)
