"""Exact balancing of weighted networks: the unique balanced state, certified."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from balance_graph import networks, plots
    from balance_graph.certificate.bound import Certificate
    from balance_graph.errors import (
        BalanceGraphError,
        FunctionChangedError,
        InvalidNetworkError,
        InvalidParameterError,
        InvalidRegularizerError,
        MissingDependencyError,
        NetworkFileError,
        NetworkFileWarning,
        NotAttainedError,
        SolverError,
        TooManyPathsError,
        UnsupportedError,
    )
    from balance_graph.graph.activations import Activation, activation, bilu, bipu, register_activation
    from balance_graph.graph.balancing import balance, canonical_form
    from balance_graph.graph.compilation import compile_graph
    from balance_graph.graph.constraints import Constraint
    from balance_graph.graph.equivalence import difference, equivalent
    from balance_graph.graph.evaluation import evaluate
    from balance_graph.graph.files import read_network, write_network
    from balance_graph.graph.matrix import MatrixBalance, balance_matrix
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
    from balance_graph.problem.block_problem import BlockProblem
    from balance_graph.problem.blocks import Block, DenseBlock
    from balance_graph.problem.log_weight_cost import LogConvex
    from balance_graph.problem.manifold import Manifold
    from balance_graph.problem.regularizers import ElasticNet, Lp, Posynomial, Regularizer
    from balance_graph.problem.robust import Cauchy, Huber, LogSum, PseudoHuber
    from balance_graph.problem.solution import History, Solution, Status
    from balance_graph.solvers.conductor import solve
    from balance_graph.solvers.convex import CvxpySolver
    from balance_graph.solvers.convex_problem import ConvexProblem
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
    "Block",
    "BlockProblem",
    "Cauchy",
    "Certificate",
    "Constraint",
    "ConvexProblem",
    "CvxpySolver",
    "DenseBlock",
    "ElasticNet",
    "Finding",
    "FlowSolver",
    "FunctionChangedError",
    "History",
    "Huber",
    "InvalidNetworkError",
    "InvalidParameterError",
    "InvalidRegularizerError",
    "LogConvex",
    "LogSum",
    "Lp",
    "Manifold",
    "MatrixBalance",
    "MissingDependencyError",
    "NetworkFileError",
    "NetworkFileWarning",
    "NewtonSolver",
    "NotAttainedError",
    "Posynomial",
    "PseudoHuber",
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
    "difference",
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
    "certificate.bound": ("Certificate",),
    "errors": (
        "BalanceGraphError",
        "FunctionChangedError",
        "InvalidNetworkError",
        "InvalidParameterError",
        "InvalidRegularizerError",
        "MissingDependencyError",
        "NetworkFileError",
        "NetworkFileWarning",
        "NotAttainedError",
        "SolverError",
        "TooManyPathsError",
        "UnsupportedError",
    ),
    "graph.activations": (
        "Activation",
        "activation",
        "bilu",
        "bipu",
        "register_activation",
    ),
    "graph.balancing": (
        "balance",
        "canonical_form",
    ),
    "graph.compilation": ("compile_graph",),
    "graph.constraints": ("Constraint",),
    "graph.equivalence": ("difference", "equivalent"),
    "graph.evaluation": ("evaluate",),
    "graph.files": (
        "read_network",
        "write_network",
    ),
    "graph.matrix": (
        "MatrixBalance",
        "balance_matrix",
    ),
    "graph.operations": (
        "balance_node",
        "scale",
    ),
    "graph.questions": (
        "attainment",
        "certify",
        "convex_problem",
        "cost",
        "imbalance",
        "is_balanced",
        "manifold",
        "relative_imbalance",
    ),
    "graph.result": ("BalanceResult",),
    "graph.warming": ("warmup",),
    "problem.attainment": ("Attainment",),
    "problem.balance_problem": ("BalanceProblem",),
    "problem.block_problem": ("BlockProblem",),
    "problem.blocks": ("Block", "DenseBlock"),
    "problem.manifold": ("Manifold",),
    "problem.log_weight_cost": ("LogConvex",),
    "problem.regularizers": (
        "ElasticNet",
        "Lp",
        "Posynomial",
        "Regularizer",
    ),
    "problem.robust": (
        "Cauchy",
        "Huber",
        "LogSum",
        "PseudoHuber",
    ),
    "problem.solution": (
        "History",
        "Solution",
        "Status",
    ),
    "solvers.conductor": ("solve",),
    "solvers.convex": ("CvxpySolver",),
    "solvers.convex_problem": ("ConvexProblem",),
    "solvers.gradient_flow": ("FlowSolver",),
    "solvers.local.stochastic": ("StochasticSolver",),
    "solvers.newton": ("NewtonSolver",),
    "theory": (
        "Finding",
        "Report",
        "verify",
    ),
}
_HOME_OF = {name: module for module, names in _HOME.items() for name in names}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in {"networks", "plots", "theory"}:
        return importlib.import_module(f"{__name__}.{name}")
    from balance_graph._choices import did_you_mean

    message = f"module {__name__!r} has no attribute {name!r}{did_you_mean(name, __all__)}"
    raise AttributeError(message)
