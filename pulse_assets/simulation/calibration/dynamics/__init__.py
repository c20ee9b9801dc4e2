"""Dynamics as plug-ins: each is a schema of settings, a calibration to fields of a world, and exact answers to test it.

The compiled step is generic and reads the fields of a :class:`pulse_assets.simulation.world.World`; so a plug-in needs
no compiled code.
"""
