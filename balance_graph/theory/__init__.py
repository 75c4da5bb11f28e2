"""The theory, checked: its statements on any network, rates and bounds of local balancing.

`verify` examines the eighteen statements, each a `Statement` that can be called by itself; a `Finding` says what was
measured, a `Report` holds them all.
"""
