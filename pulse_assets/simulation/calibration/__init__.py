"""Worlds from data as it was known on a day: dynamics, regimes, correlation, guards."""
