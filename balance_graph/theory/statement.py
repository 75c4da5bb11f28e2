"""A statement of the theory, and the trial in which it is examined on networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import networkx as nx
import numpy as np

from balance_graph._arguments import Rng, generator_of
from balance_graph.graph.compilation import check_digraph
from balance_graph.problem.regularizers import Regularizer, as_regularizer
from balance_graph.theory.finding import Check, Counterexample, Finding
from balance_graph.theory.subject import Subject

Networks: TypeAlias = "nx.DiGraph[Any] | Mapping[str, nx.DiGraph[Any]] | Iterable[Subject]"


@dataclass
class Tally:
    """One quantity under measurement: keeps the largest value, and where it was."""

    what: str
    tolerance: float
    reason: str
    residual: float = 0.0
    witness: str = ""
    count: int = 0

    def add(self, value: float, witness: str) -> None:
        """Record a measured value; one that is not a number counts as infinite."""
        size = abs(float(value))
        size = math.inf if math.isnan(size) else size
        self.count += 1
        if size > self.residual or not self.witness:
            self.residual, self.witness = size, witness


@dataclass
class Trial:
    """The examination of one statement: its networks, random numbers, measurements and counterexamples."""

    subjects: list[Subject]
    rng: np.random.Generator
    tallies: list[Tally] = field(default_factory=list)
    tried: dict[str, None] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    counterexamples: list[Counterexample] = field(default_factory=list)
    no_counterexample: str = ""

    def tally(self, what: str, tolerance: float, reason: str) -> Tally:
        """A new quantity to measure, with what it may be at most and why."""
        self.tallies.append(Tally(what, tolerance, reason))
        return self.tallies[-1]

    def networks(self, refuse: Callable[[Subject], str] = lambda _: "") -> Iterable[Subject]:
        """The networks to measure, less those of extreme costs, and those that `refuse` gives a reason to skip."""
        for subject in self.subjects:
            reason = subject.extreme_costs or refuse(subject)
            if reason:
                self.skip(subject, reason)
            else:
                self.tried[subject.name] = None
                yield subject

    def skip(self, subject: Subject, reason: str) -> None:
        """Note why a network, or a part of it, is left out."""
        known = self.skipped.get(subject.name, "")
        if reason not in known:
            self.skipped[subject.name] = f"{known}; {reason}" if known else reason

    def counterexample(self, description: str, measured: float, margin: float) -> None:
        """Record an example with a hypothesis broken: the statement must be off there by at least the margin."""
        measured = float(measured)
        self.counterexamples.append(Counterexample(description, 0.0 if math.isnan(measured) else measured, margin))

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was measured."""
        return tuple(Check(**vars(tally)) for tally in self.tallies if tally.count)


@dataclass(frozen=True)
class Statement:
    """A statement of the theory: call it with networks to examine it.

    Attributes
    ----------
    number : int
    text : str
        The statement in words.
    source : str
    examine : callable
        Takes a `Trial` and measures.
    own_networks : bool
        Whether it is about particular networks of its own, and not about any network given.
    """

    number: int
    text: str
    source: str
    examine: Callable[[Trial], None] = field(repr=False)
    own_networks: bool = False

    @property
    def name(self) -> str:
        """Name of the function that examines it."""
        return self.examine.__name__

    def __call__(self, networks: Networks, regularizer: float | Regularizer = 2.0, rng: Rng = 0) -> Finding:
        """Examine the statement on a network, a dict of networks by name, or subjects that bring their own cost."""
        trial = Trial(subjects_of(networks, regularizer), generator_of(rng))
        started = time.perf_counter()
        # What overflows on the way is measured as infinite, not warned about.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self.examine(trial)
        return Finding(
            number=self.number,
            name=self.name,
            statement=self.text,
            source=self.source,
            checks=trial.checks,
            networks=tuple(name for name in trial.tried if trial.checks),
            skipped=trial.skipped,
            counterexamples=tuple(trial.counterexamples),
            no_counterexample=trial.no_counterexample,
            seconds=time.perf_counter() - started,
        )

    def not_applicable(self, reason: str) -> Finding:
        """The finding where nothing was measured, and why."""
        return Finding(self.number, self.name, self.text, self.source, (), (), {"your network": reason})


def statement(
    number: int, text: str, source: str, *, own_networks: bool = False
) -> Callable[[Callable[[Trial], None]], Statement]:
    """Make a statement of a function that examines it."""

    def decorate(examine: Callable[[Trial], None]) -> Statement:
        return Statement(number, text, source, examine, own_networks)

    return decorate


def subjects_of(networks: Networks, regularizer: float | Regularizer) -> list[Subject]:
    """Networks with their cost; a subject brings its own."""
    cost = as_regularizer(regularizer)
    if isinstance(networks, Mapping):
        named = dict(networks)
    else:
        if not isinstance(networks, nx.Graph) and isinstance(networks, Iterable):
            subjects = list(networks)
            if all(isinstance(one, Subject) for one in subjects):
                return subjects
        named = {"your network": networks}
    for graph in named.values():
        check_digraph(graph)
    return [Subject(name, graph, cost) for name, graph in named.items()]
