"""The keys of the document that each command prints with ``--json``: declared here, for help, documentation and tests.

A path tells where a key is: ``rows[].p`` in each object of the list ``rows``, ``roles.*`` stands for any name.
"""

from __future__ import annotations

import shutil
import textwrap
from itertools import chain

Keys = dict[str, str]

# In every document.
HEAD: Keys = {"command": "name of the command", "version": "of the package"}

_FILE: Keys = {"file": "as given"}
_P: Keys = {"p": "exponent of the cost"}
_CONSTRAINTS: Keys = {
    "constraints[].attribute": "attribute of nodes or edges that constrains scales",
    "constraints[].count": "how many carry it",
    "constraints[].effect": "what it does, in words",
    "ignored": "attributes that --ignore leaves out",
}
_ATTAINMENT: Keys = {
    "attained": "whether a network of least cost exists",
    "dead_nodes[].node": "node whose weights can shrink for ever",
    "dead_nodes[].reason": "why",
    "dead_edges": "edges that can, each as [tail, head]",
}
_COSTS: Keys = {"initial_cost": "cost before", "cost": "cost after"}
_IMBALANCE: Keys = {"relative_imbalance": "largest |in - out| / (in + out)"}
_CERTIFICATE: Keys = {
    "certificate.lower_bound": "no scaling costs less",
    "certificate.gap": "cost less that bound",
    "certificate.relative_gap": "of the cost",
}

KEYS: dict[str, Keys] = {
    "demo": {
        "network.nodes": "how many",
        "network.edges": "how many",
        "network.free_nodes": "how many have scales",
        "images": "how many are classified",
        "accuracy_before": "share that is recognized by the network as given",
        "agree": "whether all routes do",
        "figure": "path of the picture, or null",
        "note": "why there is none, or null",
        "sentences": "what the table means",
        "rows[].p": "exponent of the cost",
        "rows[].route": "solver",
        **{f"rows[].{key}": text for key, text in (_COSTS | _IMBALANCE).items()},
        "rows[].relative_gap": "certified, of the cost",
        "rows[].weights_difference": "largest relative difference of a weight from Newton's",
        "rows[].outputs_change": "largest, relative to the largest output",
        "rows[].accuracy": "share that is recognized",
        "rows[].seconds": "of balancing alone",
        "rows[].iterations": "or sweeps",
        "rows[].converged": "whether the tolerance was reached",
    },
    "balance": {
        **_FILE,
        **_P,
        **_CONSTRAINTS,
        **_ATTAINMENT,
        "status": "how it ended; this and all below only where the minimum is attained, or with --on-unattained prune",
        "converged": "whether the tolerance was reached",
        "solver": "which",
        "iterations": "or sweeps",
        "seconds": "of the solve",
        "setup_seconds": "of imports and compilation, which come once",
        **_COSTS,
        "log_cost": "logarithm of the cost, also beyond the range of floats",
        **_IMBALANCE,
        **_CERTIFICATE,
        "scales[].node": "node",
        "scales[].scale": "its factor",
        "scales[].log_scale": "the logarithm of that",
        "pruned_edges": "edges that were set to 0, each as [tail, head]",
        "gauge_nodes": "nodes held at scale 1 because only ratios matter",
        "notes": "what the solver chose",
        "output": "path of the network, or null",
        "plot": "path of the picture, or null",
    },
    "inspect": {
        **_FILE,
        **_P,
        "nodes": "how many",
        "edges": "how many",
        "zero_edges": "how many have weight 0",
        "roles.*": "how many nodes of each role",
        "activations.*": "how many hidden and output nodes of each activation",
        "free_nodes": "how many have scales",
        "tied_groups": "how many groups of nodes share a scale",
        "fixed_edges": "how many keep their weight",
        "shared_parameters": "how many parameters several edges share",
        **_CONSTRAINTS,
        "unscalable[].node": "node whose scale is held at 1",
        "unscalable[].reason": "why",
        "dimension": "of the linear manifold of log-scales",
        "gauge_nodes": "a node of each group that can be scaled without changing a weight",
        "cost": "of the network as it is",
        "log_cost": "logarithm of the cost, also beyond the range of floats",
        **_IMBALANCE,
        "worst_node": "where that is",
        "balanced": "whether it is at most 1e-9",
        **_CERTIFICATE,
        **_ATTAINMENT,
        "unique": "whether the log-scales of least cost are",
    },
    "compare": {
        "files": "as given",
        "equivalent": "whether the networks are the same up to scaling",
        "tol": "in the logarithm of a weight",
        "difference": "where they differ, in words; null where equivalent",
    },
    "verify": {
        "file": "as given, null for the gallery",
        **_P,
        "rng": "seed of networks, scalings and data",
        "holds": "whether all statements do",
        "networks": "names of those examined",
        "seconds": "of all",
        "findings[].number": "of the statement",
        "findings[].name": "short",
        "findings[].statement": "in words",
        "findings[].source": "where it is from",
        "findings[].applies": "whether a network has what it is about",
        "findings[].holds": "whether all checks do, null where it does not apply",
        "findings[].residual": "of the worst check",
        "findings[].tolerance": "of that",
        "findings[].reason": "for the tolerance",
        "findings[].witness": "where the worst is, null where the statement does not apply",
        "findings[].checks[].what": "what is measured",
        "findings[].checks[].residual": "largest found",
        "findings[].checks[].tolerance": "largest allowed",
        "findings[].checks[].reason": "for the tolerance",
        "findings[].checks[].witness": "where the largest is",
        "findings[].checks[].count": "how often measured",
        "findings[].checks[].holds": "whether it does",
        "findings[].networks": "names of those examined",
        "findings[].skipped.*": "why a network was not",
        "findings[].counterexamples[].description": "case without a condition of the statement",
        "findings[].counterexamples[].measured": "what comes out",
        "findings[].counterexamples[].margin": "from where it is no counterexample",
        "findings[].counterexamples[].fails": "whether the statement fails there",
        "findings[].no_counterexample": "why there is none",
        "findings[].seconds": "of the statement",
        "html": "path of the report, or null",
    },
    "model": {
        **_FILE,
        **_P,
        "function_kept": "whether outputs stayed the same; if not, there are no keys below units_suspected",
        "output_change": "largest on example inputs, relative to the largest output",
        "tolerance": "what is allowed",
        "units_suspected": "names of units that may have changed it",
        "converged": "whether the tolerance of the solver was reached",
        **_COSTS,
        "initial_relative_imbalance": "before",
        **_IMBALANCE,
        **_CERTIFICATE,
        "free_scales": "how many",
        "runtime": "what ran the model",
        "unknown.*": "nodes of each operation without a rule",
        "units[].name": "unit",
        "units[].status": "scaled, tied, pinned or refused",
        "units[].reason": "why it is not scaled",
        "units[].scale": "its factor",
        "units[].parameters": "names of those that it changes",
        "output": "path of the model, or null",
    },
    "warmup": {"seconds": "of importing and compiling"},
}


def key_lines(command: str) -> str:
    """The keys of a command's document, with their meaning, for its help."""
    keys = KEYS[command]
    column = min(max(map(len, keys)), 40) + 4
    width = max(shutil.get_terminal_size().columns - 2 - column, 20)
    rows = [(key, textwrap.wrap(text, width, break_on_hyphens=False)) for key, text in keys.items()]
    lines = chain.from_iterable(
        zip([f"  {key}", *([""] * (len(parts) - 1))], parts, strict=True) for key, parts in rows
    )
    table = [f"{key:<{column}}{part}" if len(key) < column else f"{key}  {part}" for key, part in lines]
    return "\n".join(["keys of --json (null: a number that is not finite):", *table])
