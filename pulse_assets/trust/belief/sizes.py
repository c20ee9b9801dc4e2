"""How many truths trust rests on, and over how many it is put to the test."""

WINDOW = 90
"""Newest targets that count."""
NEXT = 30
"""Truths to come over which a model is expected to beat naive, and newest ones by which that is judged later."""
LEAST_RECENT = 20
"""Truths that such a judgement needs; a series that fell silent has none."""
STATED = 10
"""Targets below which means are given, but no error of them and no test."""
