"""Exact balancing of weighted networks: the unique balanced state, certified."""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from balance_graph import networks, plots
    from balance_graph.certificate.bound import Certificate
    from balance_graph.errors import (
        BalanceGraphError,
        InvalidNetworkError,
        InvalidParameterError,
        InvalidRegularizerError,
        MissingDependencyError,
        NetworkFileError,
        NotAttainedError,
        SolverError,
        TooManyPathsError,
        UnsupportedError,
    )
    from balance_graph.graph.activations import Activation, activation, bilu, bipu, register_activation
    from balance_graph.graph.balancing import balance, canonical_form
    from balance_graph.graph.compilation import compile_graph
    from balance_graph.graph.equivalence import equivalent
    from balance_graph.graph.evaluation import evaluate
    from balance_graph.graph.files import read_network, write_network
    from balance_graph.graph.matrix import balance_matrix
    from balance_graph.graph.operations import balance_node, scale
    from balance_graph.graph.questions import (
        attainment,
        certify,
        convex_problem,
        cost,
        imbalance,
        is_balanced,
        manifold,
        relative_imbalance,
    )
    from balance_graph.graph.result import BalanceResult
    from balance_graph.graph.warming import warmup
    from balance_graph.problem.attainment import Attainment
    from balance_graph.problem.balance_problem import BalanceProblem
    from balance_graph.problem.manifold import Manifold
    from balance_graph.problem.regularizers import ElasticNet, LogConvex, Lp, Posynomial, Regularizer
    from balance_graph.problem.solution import History, Solution, Status
    from balance_graph.solvers.conductor import solve
    from balance_graph.solvers.convex import ConvexProblem, CvxpySolver
    from balance_graph.solvers.gradient_flow import FlowSolver
    from balance_graph.solvers.local.stochastic import StochasticSolver
    from balance_graph.solvers.newton import NewtonSolver
    from balance_graph.theory import Finding, Report, verify

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Attainment",
    "BalanceGraphError",
    "BalanceProblem",
    "BalanceResult",
    "Certificate",
    "ConvexProblem",
    "CvxpySolver",
    "ElasticNet",
    "Finding",
    "FlowSolver",
    "History",
    "InvalidNetworkError",
    "InvalidParameterError",
    "InvalidRegularizerError",
    "LogConvex",
    "Lp",
    "Manifold",
    "MissingDependencyError",
    "NetworkFileError",
    "NewtonSolver",
    "NotAttainedError",
    "Posynomial",
    "Regularizer",
    "Report",
    "Solution",
    "SolverError",
    "Status",
    "StochasticSolver",
    "TooManyPathsError",
    "UnsupportedError",
    "activation",
    "attainment",
    "balance",
    "balance_matrix",
    "balance_node",
    "bilu",
    "bipu",
    "canonical_form",
    "certify",
    "compile_graph",
    "convex_problem",
    "cost",
    "equivalent",
    "evaluate",
    "imbalance",
    "is_balanced",
    "manifold",
    "networks",
    "plots",
    "read_network",
    "register_activation",
    "relative_imbalance",
    "scale",
    "solve",
    "verify",
    "warmup",
    "write_network",
]


# Names are imported when first asked for: `balance-graph --help` need not wait for numpy and networkx.
_HOME = {
    "_balance": (
        "balance",
        "canonical_form",
    ),
    "activations": (
        "Activation",
        "activation",
        "bilu",
        "bipu",
        "register_activation",
    ),
    "attainment": ("Attainment",),
    "certificate": ("Certificate",),
    "equivalence": ("equivalent",),
    "errors": (
        "BalanceGraphError",
        "InvalidNetworkError",
        "InvalidParameterError",
        "InvalidRegularizerError",
        "MissingDependencyError",
        "NetworkFileError",
        "NotAttainedError",
        "SolverError",
        "TooManyPathsError",
        "UnsupportedError",
    ),
    "evaluate": ("evaluate",),
    "graph": ("compile_graph",),
    "manifold": ("Manifold",),
    "matrix": ("balance_matrix",),
    "operations": (
        "balance_node",
        "scale",
    ),
    "problem": ("BalanceProblem",),
    "questions": (
        "attainment",
        "certify",
        "convex_problem",
        "cost",
        "imbalance",
        "is_balanced",
        "manifold",
        "relative_imbalance",
    ),
    "readwrite": (
        "read_network",
        "write_network",
    ),
    "regularizers": (
        "ElasticNet",
        "LogConvex",
        "Lp",
        "Posynomial",
        "Regularizer",
    ),
    "result": ("BalanceResult",),
    "solution": (
        "History",
        "Solution",
        "Status",
    ),
    "solve": ("solve",),
    "solvers.convex": (
        "ConvexProblem",
        "CvxpySolver",
    ),
    "solvers.flow": ("FlowSolver",),
    "solvers.newton": ("NewtonSolver",),
    "solvers.stochastic": ("StochasticSolver",),
    "theory": ("Finding", "Report", "verify"),
    "warming": ("warmup",),
}
_HOME_OF = {name: module for module, names in _HOME.items() for name in names}


class _Package(ModuleType):
    """The package, in which a public function hides the module of the same name."""

    def __getattr__(self, name: str) -> object:
        if name in _HOME_OF:
            value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
            setattr(self, name, value)
            return value
        if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}"):
            return importlib.import_module(f"{__name__}.{name}")
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)

    def __setattr__(self, name: str, value: object) -> None:
        # Python binds a module to its package when it has been imported.
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
