"""The theory, checked: its statements on any network, rates and bounds of local balancing.

`verify` examines the eighteen statements, each a `Statement` that can be called by itself; a `Finding` says what was
measured, a `Report` holds them all.
"""

from balance_graph.theory.finding import Check, Counterexample, Finding
from balance_graph.theory.report import Report
from balance_graph.theory.statement import Statement
from balance_graph.theory.verification import STATEMENTS, verify

__all__ = ["STATEMENTS", "Check", "Counterexample", "Finding", "Report", "Statement", "verify"]
