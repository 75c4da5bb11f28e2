"""Exact balancing of weighted networks: the unique balanced state, certified."""

import importlib
from typing import TYPE_CHECKING

from balance_graph import networks
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
from balance_graph.problem.attainment import Attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.block_problem import BlockProblem
from balance_graph.problem.blocks import Block, DenseBlock
from balance_graph.problem.manifold import Manifold
from balance_graph.problem.regularizers import ElasticNet, LogConvex, Lp, Posynomial, Regularizer
from balance_graph.problem.solution import History, Solution, Status
from balance_graph.solvers.conductor import solve
from balance_graph.solvers.convex import ConvexProblem, CvxpySolver
from balance_graph.solvers.gradient_flow import FlowSolver
from balance_graph.solvers.local.stochastic import StochasticSolver
from balance_graph.solvers.newton import NewtonSolver

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Attainment",
    "BalanceGraphError",
    "BalanceProblem",
    "BalanceResult",
    "Block",
    "BlockProblem",
    "Certificate",
    "ConvexProblem",
    "CvxpySolver",
    "DenseBlock",
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
    "write_network",
]


if TYPE_CHECKING:
    from balance_graph import plots
    from balance_graph.theory import Finding, Report, verify


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    # Plots bring matplotlib, and the theory is seldom needed: both are imported when first asked for.
    if name == "plots":
        return importlib.import_module("balance_graph.plots")
    if name in {"Finding", "Report", "verify"}:
        return getattr(importlib.import_module("balance_graph.theory"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
