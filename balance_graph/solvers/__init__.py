"""Solvers: each a small frozen object with ``run(quotient, report=) -> Outcome``."""
