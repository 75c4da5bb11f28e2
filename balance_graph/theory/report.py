"""All findings together: a table for people, a page for browsers, a document for machines."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from balance_graph.graph.files.draft import write_whole
from balance_graph.theory.finding import Finding

_WIDTH = 62
_STYLE = (
    "table.findings {border-collapse: collapse} table.findings td, table.findings th "
    "{border-bottom: 1px solid #ccc; padding: 0.3em 0.8em; text-align: left; vertical-align: top}"
)
_HEADINGS = ("", "statement", "", "worst residual", "tolerance", "worst at", "broken hypothesis")


@dataclass(frozen=True)
class Report:
    """What `verify` found: one `Finding` for each statement.

    Attributes
    ----------
    findings : tuple of Finding
    networks : tuple of str
        Names of the networks examined.
    seconds : float
        Wall time.

    See Also
    --------
    verify : Returns it.
    """

    findings: tuple[Finding, ...]
    networks: tuple[str, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every statement that applies holds, and at least one applies."""
        verdicts = [finding.holds for finding in self.findings]
        return False not in verdicts and True in verdicts

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that fail."""
        return tuple(finding for finding in self.findings if finding.holds is False)

    def __getitem__(self, number: int) -> Finding:
        """The finding about the statement of this number."""
        for finding in self.findings:
            if finding.number == number:
                return finding
        message = f"no finding about statement {number!r}; there are {[one.number for one in self.findings]}"
        raise KeyError(message)

    def table(self) -> str:
        """A table in plain text: statement, verdict, worst residual against its tolerance, and where."""
        lines = [f"{'':>2}  {'statement':<{_WIDTH}}  {'verdict':<14}  {'residual':>8}  {'allowed':>8}  worst at"]
        for finding in self.findings:
            first, *rest = textwrap.wrap(finding.statement, _WIDTH) or [""]
            lines.append(f"{finding.number:>2}  {first:<{_WIDTH}}  {_verdict_cells(finding)}".rstrip())
            lines += [f"    {line}" for line in rest]
            lines += textwrap.wrap(
                _counterexample_text(finding), _WIDTH + 46, initial_indent="    - ", subsequent_indent="      "
            )
        return "\n".join([*lines, "", self._last_line()])

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, text, lists and dicts, ready for strict JSON."""
        return {
            "holds": self.holds,
            "networks": list(self.networks),
            "seconds": self.seconds,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_json(self, path: str | Path | None = None, *, indent: int | None = 2) -> str:
        """As a JSON document without NaN or infinities; written to a file if a path is given."""
        text = json.dumps(self.to_dict(), indent=indent, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    def to_html(self, path: str | Path | None = None) -> str:
        """As a page of HTML that needs nothing else; written to a file if a path is given."""
        page = (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>The theory, verified</title>'
            f"<style>body {{font-family: sans-serif}} {_STYLE}</style></head>\n"
            f"<body><h1>The theory, verified</h1>\n{self._body()}\n</body></html>\n"
        )
        if path is not None:
            write_whole(path, page)
        return page

    def _repr_html_(self) -> str:
        return f"<style>{_STYLE}</style>\n{self._body()}"

    def _body(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
        rows = "\n".join(_html_row(finding) for finding in self.findings)
        return f'<table class="findings"><tr>{head}</tr>\n{rows}</table>\n<p>{escape(self._last_line())}</p>'

    def _last_line(self) -> str:
        counts = [sum(1 for one in self.findings if one.verdict == verdict) for verdict in _VERDICTS]
        parts = [
            f"{count} {words[count != 1]}" for count, words in zip(counts, _VERDICTS.values(), strict=True) if count
        ]
        networks = f"{len(self.networks)} network{'' if len(self.networks) == 1 else 's'}"
        return f"{len(self.findings)} statements on {networks} in {self.seconds:.1f} s: {', '.join(parts)}"

    def __repr__(self) -> str:
        failing = f", failures={[one.number for one in self.failures]}" if self.failures else ""
        return f"Report(holds={self.holds}, {len(self.findings)} findings{failing}, {self.seconds:.1f} s)"


# Each verdict as said of one statement, and of several.
_VERDICTS = {
    "holds": ("holds", "hold"),
    "fails": ("fails", "fail"),
    "does not apply": ("does not apply", "do not apply"),
}


def _verdict_cells(finding: Finding) -> str:
    if finding.residual is None:
        return f"{finding.verdict:<14}  {finding.reason}"
    where = f"  {finding.witness}" if finding.residual > 0 else ""
    return f"{finding.verdict:<14}  {finding.residual:>8.1e}  {finding.tolerance:>8.1e}{where}"


def _counterexample_text(finding: Finding) -> str:
    return "; ".join(
        f"{one.description}: {one.measured:.2g}, {'fails as it should' if one.fails else 'DOES NOT FAIL'}"
        for one in finding.counterexamples
    )


def _html_row(finding: Finding) -> str:
    checks = "\n".join(f"{check.what}: {check.residual:.1e} of {check.tolerance:.1e}" for check in finding.checks)
    known = finding.residual is not None
    cells = (
        f"<td>{finding.number}</td>",
        f"<td>{escape(finding.statement)}<br><small>{escape(finding.source)}</small></td>",
        f"<td><b>{escape(finding.verdict)}</b></td>",
        f'<td title="{escape(checks)}">{f"{finding.residual:.1e}" if known else ""}</td>',
        f'<td title="{escape(finding.reason)}">{f"{finding.tolerance:.1e}" if known else ""}</td>',
        f"<td>{escape(finding.witness if known and finding.residual else finding.reason if not known else '')}</td>",
        f"<td>{escape(_counterexample_text(finding))}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"
