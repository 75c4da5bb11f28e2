"""The error tree: one class per meaning, each also a built-in type where one fits."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


class BalanceGraphError(Exception):
    """Base class of every error that this package raises on purpose."""


class InvalidNetworkError(BalanceGraphError, ValueError):
    """The network breaks the contract: the message names the node or edge, the value and the remedy."""


class NetworkFileError(InvalidNetworkError):
    """A file cannot be read as a network, or a network cannot be written to it without loss."""


class NetworkFileWarning(UserWarning):
    """What was taken for what in a file that does not spell it out, and what of it was skipped."""


class InvalidParameterError(BalanceGraphError, ValueError):
    """An argument (exponent, tolerance, solver name, array shape, ...) is out of range."""


class InvalidRegularizerError(InvalidParameterError):
    """The regularizer is not convex and increasing in the log-weight, or returns non-finite values."""


class UnsupportedError(BalanceGraphError, ValueError):
    """The request is well formed, but this method does not apply to it; the message says which does."""


class TooManyPathsError(UnsupportedError):
    """The paths form of the linear manifold would need more directed paths than the stated limit."""


class SolverError(BalanceGraphError, RuntimeError):
    """A solver failed and has no partial result to return."""


class FunctionChangedError(BalanceGraphError, RuntimeError):
    """Scaling changed what a model computes by more than rounding explains; the model is as it was before.

    Attributes
    ----------
    change : float
        Largest change of an output, relative to the largest output.
    tolerance : float
        What was allowed.
    units : tuple of str
        Units that are suspected: scaled alone, they change the outputs.
    """

    def __init__(self, message: str, *, change: float, tolerance: float, units: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.change = change
        self.tolerance = tolerance
        self.units = tuple(units)


class MissingDependencyError(BalanceGraphError, ImportError):
    """An optional dependency is not installed; the message gives the command that installs it."""


class NotAttainedError(BalanceGraphError, ValueError):
    """The minimum of the cost is not attained: some weights can shrink to zero for ever.

    Attributes
    ----------
    nodes : tuple
        The dead nodes, as the user named them.
    edges : tuple of (node, node)
        The dead edges: those whose weights would be driven to zero.
    """

    def __init__(
        self,
        message: str,
        *,
        nodes: Sequence[Hashable] = (),
        edges: Sequence[tuple[Hashable, Hashable]] = (),
    ) -> None:
        super().__init__(message)
        self.nodes = tuple(nodes)
        self.edges = tuple(edges)
