"""Thresholds of the licence gates. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds of the gates.

    Parameters
    ----------
    min_targets
        Scored truths needed before anything is licensed.
    coverage_band
        Accepted distance of the shrunk coverage of 80 % intervals from .8, once it is significant.
    coverage_q
        q-value below which it is.
    tier_a, tier_b, tier_c
        Trust from which tiers begin.
    revision_rate
        Share of revised event times from which forecasts of first releases are held back.
    model_age_days
        Age from which a model that learns is stale.
    """

    min_targets: float = 30
    coverage_band: float = 0.05
    coverage_q: float = 0.05
    tier_a: float = 0.9
    tier_b: float = 0.7
    tier_c: float = 0.5
    revision_rate: float = 0.9
    model_age_days: float = 200

    @classmethod
    def of(cls, thresholds: Mapping[str, float]) -> "Policy":
        """Return the defaults with some thresholds replaced.

        Raises
        ------
        ValueError
            A name is none of the thresholds.
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(thresholds) - set(names))
        if unknown:
            raise ValueError(f"no threshold is called {', '.join(unknown)}; expected some of {', '.join(names)}")
        return cls(**thresholds)

    def as_dict(self) -> dict[str, float]:
        """Return the thresholds by name."""
        return asdict(self)
