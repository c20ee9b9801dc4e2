"""Evidence of a run for writes that do not go through the IO manager."""

import hashlib
import json
from collections.abc import Mapping

import dagster as dg

from pulse_resources.lake import Evidence


def evidence_of(context: dg.AssetExecutionContext, inputs: Mapping[str, int] | None = None) -> Evidence:
    """Return who is writing: run, job, asset and code version."""
    specs = [spec for spec in context.assets_def.specs if spec.key in context.selected_asset_keys]
    return Evidence(
        run_id=context.run.run_id,
        asset_key=", ".join("/".join(spec.key.path) for spec in specs),
        job=context.run.job_name,
        code_version=specs[0].code_version or "" if specs else "",
        inputs=inputs or {},
    )


def fingerprint(config: object) -> str:
    """Return twelve hexadecimal digits of a JSON-like configuration."""
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
