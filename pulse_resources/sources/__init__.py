"""Where rows come from. A source reads and describes; what a row must satisfy is the gate's business.

Third parties add a source by an entry point in the group ``pulse.sources``; see :mod:`.protocol`.
"""
