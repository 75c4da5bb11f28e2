"""Solvers: each a small frozen object with ``run(reduction, report=) -> Outcome``."""
