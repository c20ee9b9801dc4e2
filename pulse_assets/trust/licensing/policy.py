"""Thresholds of the licence gates. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite


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
    model_age_days
        Age above which a model that learns is stale.

    Raises
    ------
    ValueError
        A threshold that is not finite, negative, or a share above 1; no truths needed; tiers that do not rise.
    """

    min_targets: float = 30.0
    coverage_band: float = 0.05
    coverage_q: float = 0.05
    tier_a: float = 0.9
    tier_b: float = 0.7
    tier_c: float = 0.5
    model_age_days: float = 200.0

    def __post_init__(self) -> None:
        shares = ("coverage_band", "coverage_q", "tier_a", "tier_b", "tier_c")
        for name, value in asdict(self).items():
            most = 1.0 if name in shares else float("inf")
            if not (isfinite(value) and 0 <= value <= most):
                raise ValueError(f"threshold {name}: expected 0 to {most:g}, came {value}")
        if self.min_targets < 1:
            raise ValueError(f"threshold min_targets: expected at least 1, came {self.min_targets:g}")
        if not self.tier_c < self.tier_b < self.tier_a:
            raise ValueError(
                f"expected tiers that rise from C to A, came {self.tier_c:g}, {self.tier_b:g}, {self.tier_a:g}"
            )

    @classmethod
    def of(cls, thresholds: Mapping[str, float]) -> "Policy":
        """Return the defaults with some thresholds replaced.

        Raises
        ------
        ValueError
            A name is none of the thresholds, or a value can be none of them.

        Examples
        --------
        >>> Policy.of({"min_targets": 60}).min_targets
        60.0
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(thresholds) - set(names))
        if unknown:
            raise ValueError(f"no threshold is called {', '.join(unknown)}; expected some of {', '.join(names)}")
        # 60 and 60.0 are one policy, and must have one fingerprint
        return cls(**{name: float(value) for name, value in thresholds.items()})

    def as_dict(self) -> dict[str, float]:
        """Return the thresholds by name."""
        return asdict(self)
