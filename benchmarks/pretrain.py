"""Trains what ships for panels that have taught nothing yet, and measures it on panels that were left out.

``python -m benchmarks.pretrain PANEL … [--write] [--json]``

PANEL is ``FILE:season:season_2:horizon:class[:mean_of]``: a Parquet file with ``unique_id, ds, y`` (or ``close``), its
seasons in steps (1 and 0 for none), steps ahead, ``market`` or ``other``, and how many steps to average into one. The
last horizon of every series is left out of training, so that it can serve as a test. With ``--write`` the result of all
panels replaces ``pulse_assets/forecasting/prior.json``. Panels of one file are left out together.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.report import Report
from pulse_assets.forecasting.engine import inline
from pulse_assets.forecasting.gate import INPUTS, plain_gate
from pulse_assets.forecasting.lags import lags_of
from pulse_assets.forecasting.learning import Lessons, learn, standardise
from pulse_assets.forecasting.pool import POOL, Batch, blended
from pulse_assets.forecasting.prior import CLASSES, COLUMNS, plain_prior
from pulse_assets.forecasting.tuning import Rows, descend, mean_loss
from pulse_assets.forecasting.walk_state import spec
from pulse_assets.numerics.quantiles import LEVELS

ROWS_A_PANEL = 1_500
PENALTY, STEPS, RATE = 5e-4, 120, 0.05
TARGET = Path("pulse_assets/forecasting/prior.json")
DIGITS = 5


@dataclass(frozen=True)
class Panel:
    """One training panel and its backtests."""

    name: str
    file: str
    panel_class: str
    known_until: date | None
    batch: Batch
    lessons: Lessons

    @property
    def rows(self) -> Rows:
        """A sample of the backtest rows."""
        count = len(self.lessons.truth)
        step = max(1, count // ROWS_A_PANEL)
        return self.lessons.rows.part(slice(None, None, step))


def load(argument: str) -> Panel:
    """Read a panel and make its backtests."""
    parts = argument.split(":")
    path, (season, season_2, horizon), panel_class = Path(parts[0]), map(int, parts[1:4]), parts[4]
    mean_of = int(parts[5]) if len(parts) > 5 else 1
    histories = [_averaged(y, mean_of) for y in _histories(path)]
    market = panel_class == "market"
    kept = [y for y in histories if len(y) >= 2 * horizon + 8 and (not market or y.min() > 0)]
    values = [np.log(y) if market else y for y in kept]
    lengths = np.array([len(y) for y in values])
    batch = Batch(
        np.concatenate(values),
        np.concatenate(([0], np.cumsum(lengths))),
        np.full(len(values), not market),
        np.array([crc32(f"{path.name}{number}".encode()) for number in range(len(values))], np.int64),
        spec(season, season_2, horizon, lags_of(season, season_2) + 1),
        relative=not market,
    )
    lessons = next(iter(learn(batch, (lengths - horizon)[:, None], inline)))
    name = f"{path.stem}{'' if mean_of == 1 else f' by {mean_of}'} ({len(values)} series, h {horizon})"
    return Panel(name, path.name, panel_class, _last_day(path), batch, lessons)


def _histories(path: Path) -> list[np.ndarray]:
    table = pq.read_table(path)
    column = "y" if "y" in table.column_names else "close"
    ids = table["unique_id"].cast(pa.string())
    table = pa.table({"unique_id": ids, "ds": table["ds"], "y": table[column].cast(pa.float64())}).drop_null()
    table = table.sort_by([("unique_id", "ascending"), ("ds", "ascending")])
    codes = table["unique_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return np.split(table["y"].to_numpy(), np.flatnonzero(np.diff(codes)) + 1)


def _last_day(path: Path) -> date | None:
    """Return the last day in a file; None where its stamps are no dates."""
    newest = pc.max(pq.read_table(path, columns=["ds"])["ds"]).as_py()
    return newest.date() if isinstance(newest, datetime) else None


def _averaged(y: np.ndarray, count: int) -> np.ndarray:
    whole = len(y) // count * count
    return np.asarray(y[len(y) - whole :].reshape(-1, count).mean(axis=1))


def train(panels: list[Panel]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return gate, slopes and quantiles of some panels, each counting alike."""
    plain = plain_prior()
    gate = descend(plain_gate(POOL), [panel.rows for panel in panels], PENALTY, STEPS, RATE)
    mean = np.mean([_standardised(gate, plain.slopes, panel)[1] for panel in panels], axis=0)
    shapes = []
    for panel in panels:
        errors = _standardised(gate, mean, panel)[0]
        shapes.append(np.quantile(errors[np.isfinite(errors)], LEVELS))
    return gate, mean, np.mean(shapes, axis=0)


def _standardised(gate: np.ndarray, slopes: np.ndarray, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    center, apart, _ = blended(gate, panel.lessons.spoken)
    return standardise(center, apart, slopes, panel.lessons, panel.batch.sizes)


def trained_for(panel_class: str, panels: list[Panel]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what panels teach one class; the gate of a class leans on all panels, spread and shape on its own."""
    own = [panel for panel in panels if panel.panel_class == panel_class] or panels
    return train(own)


def leave_out(panels: list[Panel], report: Report) -> None:
    """Measure each panel with a gate that never saw its file."""
    for panel in panels:
        others = [other for other in panels if other.file != panel.file]
        gate, _, _ = trained_for(panel.panel_class, others)
        plain = mean_loss(plain_gate(POOL), panel.rows)
        ratio = mean_loss(gate, panel.rows) / plain
        report.add("loss_vs_plain", ratio, "ratio", "weights by inverse power of loss", panel.name)


def as_json(panels: list[Panel]) -> dict[str, object]:
    """Return the file's content."""
    classes: dict[str, object] = {}
    for panel_class in CLASSES:
        own = [panel for panel in panels if panel.panel_class == panel_class]
        gate, slopes, quantiles = trained_for(panel_class, panels)
        classes[panel_class] = {
            "trained_on": [panel.name for panel in own],
            "known_until": str(max(panel.known_until for panel in own if panel.known_until)),
            "gate": [
                {name: np.round(gate[end, k, : INPUTS + 1], DIGITS).tolist() for k, name in enumerate(COLUMNS)}
                for end in range(2)
            ],
            "slopes": np.round(slopes, DIGITS).tolist(),
            "quantiles": np.round(quantiles, DIGITS).tolist(),
        }
    digest = hashlib.sha256(json.dumps(classes, sort_keys=True).encode()).hexdigest()[:12]
    return {"version": digest, "made_by": "python -m benchmarks.pretrain", "classes": classes}


def main() -> None:
    """Train, measure, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panels", nargs="+")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--no-test", action="store_true", help="leave the leave-one-out test away")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    panels = [load(argument) for argument in options.panels]
    report = Report("pretrain")
    if not options.no_test:
        leave_out(panels, report)
        report.print()
    if options.write:
        TARGET.write_text(json.dumps(as_json(panels), indent=1) + "\n", encoding="utf-8")
        sys.stderr.write(f"wrote {TARGET}, {TARGET.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
