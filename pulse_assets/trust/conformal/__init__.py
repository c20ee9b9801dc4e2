"""Adaptive conformal recalibration of quantile forecasts, on the scale of normal scores.

:mod:`.learning` keeps what truths have taught, :mod:`.thresholds` says what follows for the next forecasts,
:mod:`.rows` numbers what is recalibrated, :mod:`.cadence` knows how fast its truths come, and :mod:`.recalibrator`
turns tables into tables. All pure: tables are read in :mod:`pulse_assets.trust.calibrated_days`.
"""
