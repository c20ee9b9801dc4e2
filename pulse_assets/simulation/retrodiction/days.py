"""A range of days retrodicted: from a configuration and silver to rows, months of origins being spread over workers.

Not pure: it hands blocks to ``Compute``. What a block gives is the business of ``retrodiction``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pulse_assets.simulation.calibration.reading import vintages_of
from pulse_assets.simulation.calibration.world_choice import choose_world
from pulse_assets.simulation.calibration.world_settings import WorldSettings
from pulse_assets.simulation.retrodiction.names import FREE, PULSE
from pulse_assets.simulation.retrodiction.origins import Retrodicted, Values, months_of, retrodict
from pulse_assets.simulation.retrodiction.wanted import Wanted
from pulse_assets.simulation.rules.rule_set import load_rules
from pulse_assets.simulation.simulate import NO_RULES, mistakes_of_users
from pulse_resources.compute import Compute
from pulse_resources.errors import ConfigError

Say = Callable[[str], object]
REPEATED = ("engine", "mode", "variable")
"""Columns of a few words, kept as such a number."""


def retrodict_range(
    silver: pa.Table, days: Sequence[date], config: Mapping[str, Any], compute: Compute, say: Say
) -> Iterator[pa.Table]:
    """Yield the rows of each month of origins, oldest first.

    Parameters
    ----------
    silver
        ``silver/series`` as known on the last day.
    days
        Rising.
    config
        Fields of :class:`~pulse_assets.simulation.retrodiction.assets.RetrodictionConfig`.
    compute
        Where months run.
    say
        Is told what was left out, once each reason.

    Raises
    ------
    ConfigError
        World, rules or numbers are wrong, or an engine or mode that was asked for has no row in the whole range.
    """
    with mistakes_of_users():
        wanted = wanted_of(config)
        blocks = [
            (days_of_block, choose_world(str(config["world"]), silver, _first_origin(days_of_block, wanted)))
            for days_of_block in months_of(days, wanted.horizon)
        ]
        sources = dict.fromkeys(source for _, settings in blocks for source in settings.sources)
        work = partial(_block, values=vintages_of(silver, tuple(sources)), wanted=wanted)
        missing = {(engine, mode) for engine in wanted.engines for mode in _modes(engine, wanted)}
        reasons: dict[str, str] = {}
        for made in compute.map_blocks(work, blocks):
            rows = pa.concat_tables(each.rows for each in made)
            missing -= _present(rows)
            for remark in (remark for each in made for remark in each.remarks):
                what, _, why = remark.partition(": ")
                if reasons.setdefault(why, what) == what:
                    say(f"left out: {remark}")
            yield rows
        _refuse_missing(missing, reasons)


def wanted_of(config: Mapping[str, Any]) -> Wanted:
    """Return what a configuration asks for.

    Raises
    ------
    ValueError
        A number is out of bounds, a name unknown, or the rules are wrong.
    """
    return Wanted(
        paths=config["paths"],
        seed=config["seed"],
        horizon=config["horizon"],
        steps=tuple(config["steps"]),
        engines=tuple(config["engines"]),
        modes=tuple(config["modes"]),
        fall=config["fall_percent"] / 100,
        block_days=config["block_days"],
        rules=None if config["rules"] == NO_RULES else load_rules(config["rules"]),
        learns=config["learned_correction"],
        energy_members=config["energy_members"],
    )


def compact(rows: pa.Table) -> pa.Table:
    """Return rows with words as numbers of a dictionary: a third of the memory while a range is collected."""
    for name in REPEATED:
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, rows[name].dictionary_encode())
    return rows


def _first_origin(days: Sequence[date], wanted: Wanted) -> date:
    """Return the day that the first of some days is retrodicted from: what the block's worlds are chosen by."""
    return np.busday_offset(np.datetime64(days[0]), -wanted.horizon, roll="backward").astype(date)  # type: ignore[no-any-return]


def _block(block: tuple[Sequence[date], WorldSettings], values: Values, wanted: Wanted) -> list[Retrodicted]:
    days, settings = block
    return list(retrodict({name: values[name] for name in settings.sources}, days, settings, wanted))


def _modes(engine: str, wanted: Wanted) -> tuple[str, ...]:
    return wanted.modes if engine == PULSE else (FREE,)


def _present(rows: pa.Table) -> set[tuple[str, str]]:
    pairs = rows.group_by(["engine", "mode"], use_threads=False).aggregate([([], "count_all")])
    return set(zip(pairs["engine"].to_pylist(), pairs["mode"].to_pylist(), strict=True))


def _refuse_missing(missing: set[tuple[str, str]], reasons: Mapping[str, str]) -> None:
    if missing:
        names = ", ".join(f"{engine} {mode}" for engine, mode in sorted(missing))
        told = (
            "; ".join(f"{what}: {why}" for why, what in reasons.items()) or "nothing that happened is known of any step"
        )
        raise ConfigError(f"no day of the range has a row of {names} ({told}): correct that, or ask for other days")
