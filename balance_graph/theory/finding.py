"""What was found about one statement of the theory: measured residuals, witnesses, and where it fails and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One quantity that the statement says is zero, and the largest value that was measured.

    Attributes
    ----------
    what : str
        The quantity.
    residual : float
        Its largest measured value; inf if one was not finite.
    tolerance : float
        What it may be at most.
    reason : str
        Why that much.
    witness : str
        Network, and node or edge, at which the largest value was measured.
    count : int
        How many values were measured.
    """

    what: str
    residual: float
    tolerance: float
    reason: str
    witness: str
    count: int

    @property
    def holds(self) -> bool:
        """Whether every measured value is within the tolerance."""
        return self.residual <= self.tolerance

    @property
    def severity(self) -> float:
        """The residual in units of its tolerance."""
        if self.residual == 0.0:
            return 0.0
        return self.residual / self.tolerance if self.tolerance > 0 else math.inf


@dataclass(frozen=True)
class Counterexample:
    """An example with one hypothesis broken, and what was measured there.

    Attributes
    ----------
    description : str
        What was broken, and what follows.
    measured : float
        How far the conclusion of the statement is off there.
    margin : float
        It must be off by at least this, so that nobody takes rounding for a failure.
    """

    description: str
    measured: float
    margin: float

    @property
    def fails(self) -> bool:
        """Whether the statement really fails there."""
        return self.measured >= self.margin


@dataclass(frozen=True)
class Finding:
    """What was found about one statement: one row of a `Report`.

    Attributes
    ----------
    number : int
        Number of the statement, 1 to 18.
    name : str
        Name of the function that examined it.
    statement : str
        The statement in words.
    source : str
        Where it comes from.
    checks : tuple of Check
        The quantities measured. `residual`, `tolerance`, `reason` and `witness` are those of the worst.
    networks : tuple of str
        Networks on which something was measured.
    skipped : dict
        Networks on which nothing, or not everything, could be measured, each with the reason.
    counterexamples : tuple of Counterexample
        Examples with a hypothesis broken; the statement must fail there.
    no_counterexample : str
        Why there is none, where there is none.
    seconds : float
        Wall time.

    See Also
    --------
    verify : Makes findings.
    Report : All of them.
    """

    number: int
    name: str
    statement: str
    source: str
    checks: tuple[Check, ...]
    networks: tuple[str, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    counterexamples: tuple[Counterexample, ...] = ()
    no_counterexample: str = ""
    seconds: float = 0.0

    @property
    def applies(self) -> bool:
        """Whether anything was measured at all; if not, `skipped` says why."""
        return bool(self.checks)

    @property
    def holds(self) -> bool | None:
        """Whether all residuals are within tolerance and all counterexamples fail; None where nothing applies."""
        if not self.applies:
            return None
        return all(check.holds for check in self.checks) and all(one.fails for one in self.counterexamples)

    @property
    def verdict(self) -> str:
        """``holds``, ``fails`` or ``does not apply``."""
        return {True: "holds", False: "fails", None: "does not apply"}[self.holds]

    @property
    def worst(self) -> Check | None:
        """The check nearest to its tolerance, or farthest beyond it."""
        return max(self.checks, key=lambda check: check.severity, default=None)

    @property
    def residual(self) -> float | None:
        """Residual of the worst check."""
        return self.worst.residual if self.worst else None

    @property
    def tolerance(self) -> float | None:
        """Tolerance of the worst check."""
        return self.worst.tolerance if self.worst else None

    @property
    def reason(self) -> str:
        """Why that tolerance; where nothing applies, why not."""
        return self.worst.reason if self.worst else "; ".join(sorted(set(self.skipped.values())))

    @property
    def witness(self) -> str:
        """Where the worst residual was measured."""
        return self.worst.witness if self.worst else ""

    @property
    def counterexample(self) -> Counterexample | None:
        """The first counterexample, where there is one."""
        return self.counterexamples[0] if self.counterexamples else None

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, text, lists and dicts; a number that is not finite is None."""
        return {
            "number": self.number,
            "name": self.name,
            "statement": self.statement,
            "source": self.source,
            "applies": self.applies,
            "holds": self.holds,
            "residual": _finite(self.residual),
            "tolerance": _finite(self.tolerance),
            "reason": self.reason,
            "witness": self.witness,
            "checks": [_check_dict(check) for check in self.checks],
            "networks": list(self.networks),
            "skipped": dict(self.skipped),
            "counterexamples": [_counterexample_dict(one) for one in self.counterexamples],
            "no_counterexample": self.no_counterexample,
            "seconds": self.seconds,
        }

    def summary(self) -> str:
        """The finding in a few lines of text."""
        lines = [f"{self.number}. {self.statement}", f"   {self.verdict}"]
        lines += [_check_line(check) for check in self.checks]
        lines += [_counterexample_line(one) for one in self.counterexamples]
        lines += [f"   not on {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        worst = f", residual={self.residual:.2g}, tolerance={self.tolerance:.2g}" if self.worst else ""
        return f"Finding({self.number}, {self.name!r}, {self.verdict}{worst})"


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _check_dict(check: Check) -> dict[str, Any]:
    return {
        "what": check.what,
        "residual": _finite(check.residual),
        "tolerance": check.tolerance,
        "reason": check.reason,
        "witness": check.witness,
        "count": check.count,
        "holds": check.holds,
    }


def _counterexample_dict(one: Counterexample) -> dict[str, Any]:
    return {
        "description": one.description,
        "measured": _finite(one.measured),
        "margin": one.margin,
        "fails": one.fails,
    }


def _check_line(check: Check) -> str:
    sign = "<=" if check.holds else ">"
    where = f", worst at {check.witness}" if check.residual > 0 else ""
    return f"   {check.what}: {check.residual:.2g} {sign} {check.tolerance:.2g} ({check.count} measured{where})"


def _counterexample_line(one: Counterexample) -> str:
    verdict = "fails as it should" if one.fails else "DOES NOT FAIL"
    return f"   {one.description}: {verdict}, {one.measured:.2g} against {one.margin:.2g}"
