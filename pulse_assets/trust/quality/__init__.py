"""Data quality: how sound the newest observations of a series are, as known at a moment. Pure.

``flags`` names the faults, ``ledger`` lays silver rows out by who knew what when, ``walk`` and ``jumps`` are the
compiled loops over them, ``measures`` turns what they count into shares, flags and one number, ``suites`` holds what
Great Expectations expects of whole tables. Nothing here knows Dagster, storage or the clock.
"""
