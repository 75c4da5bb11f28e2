"""The suites: what is measured, and the hypotheses that the measures hold or break."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from blocks import FAMILIES as BLOCKS
from families import FAMILIES
from hostile_networks import SUITE as HOSTILE
from hypotheses import Hypothesis, Measure, Suite, Verdicts, label
from many import CHANGES
from peers import CLARABEL, LAYERED_ONLY, NEWTON, PEERS

TOL = 1e-10  # asked of Newton on large networks; rounding of weights behind scales of 1e100 leaves about 1e-13
ORDERS = ("random", "shuffled", "cyclic", "greedy", "colored")
QUICK = ("20 layers", "random", "BiPU, layered")
DEPTHS = (10, 30, 100, 300, 1000, 3000, 10_000)
LOCAL = ("20 layers", "200 layers", "random", "heavy-tailed", "scale-free", "grid")
LARGE, LARGEST = 10**6, 10**8
MOST_BYTES = 60.0
MOST_PRODUCTS, BEST_PRODUCTS = 300, 100
MOST_PASSES, MOST_SHARE, MOST_FORWARD = 40, 1.2, 15


def _newton(name: str, edges: int, limit: int = 1800, **more: Any) -> Measure:
    return {"task": "newton", "family": name, "edges": edges, "size": edges, "tol": TOL, "limit_seconds": limit, **more}


def _named(quick: bool, names: Iterable[str] = tuple(FAMILIES)) -> list[str]:
    return [name for name in names if not quick or name in QUICK]


# Hypotheses that more than one suite has.


def _balanced(measures: list[Measure]) -> Verdicts:
    for one in measures:
        reached = one.get("relative_imbalance")
        yield label(one), one.get("status") == "converged" and reached is not None and reached <= TOL


_ALL_BALANCED = Hypothesis(
    f"Every network is balanced to a relative imbalance of {TOL:.0e}, recomputed from the weights.", _balanced
)


# Families.


def _family_specs(quick: bool) -> list[Measure]:
    edges = 5000 if quick else LARGE
    return [
        _newton(name, edges, rescaled=rescaled, certify=not rescaled)
        for name in _named(quick)
        for rescaled in (False, True)
    ]


def in_pairs(measures: list[Measure]) -> list[tuple[Measure, Measure]]:
    """Each family with its rescaled variant."""
    plain = {one["family"]: one for one in measures if not one.get("rescaled")}
    return [(plain[one["family"]], one) for one in measures if one.get("rescaled") and one["family"] in plain]


def _costed(one: Measure) -> bool:
    return one.get("log_cost") is not None


def cost_difference(plain: Measure, rescaled: Measure) -> float:
    """Relative difference of two costs, which may be beyond the range of floats."""
    return float(abs(np.expm1(min(rescaled["log_cost"] - plain["log_cost"], 700.0))))


def _same_cost(measures: list[Measure]) -> Verdicts:
    for one, two in in_pairs(measures):
        yield label(two), _costed(one) and _costed(two) and cost_difference(one, two) <= 1e-10


def _same_effort(measures: list[Measure]) -> Verdicts:
    for one, two in in_pairs(measures):
        yield label(two), two.get("products", np.inf) <= 3 * one.get("products", 0.0)


def _certified(measures: list[Measure]) -> Verdicts:
    for one in measures:
        if one.get("certify"):
            gap = one.get("relative_gap")
            yield label(one), gap is not None and gap <= 1e-10


def _affordable(measures: list[Measure]) -> Verdicts:
    """As drawn: what random scales cost is the matter of `_same_effort`."""
    plain = [one for one in measures if one["size"] >= LARGE and not one.get("rescaled")]
    return [(label(one), one.get("products", np.inf) <= MOST_PRODUCTS) for one in plain]


def _best(measures: list[Measure]) -> Verdicts:
    large = [one for one in measures if one["size"] >= LARGE]
    if large:
        best = min(large, key=lambda one: one.get("products", np.inf))
        yield label(best), best.get("products", np.inf) <= BEST_PRODUCTS


# Growth.


def _growth_specs(quick: bool) -> list[Measure]:
    sizes = (1000, 10_000) if quick else tuple(10**k for k in range(3, 8))
    specs = [_newton(name, m) for name in _named(quick) for m in sizes if m >= FAMILIES[name].least]
    return [*specs, _newton("20 layers", 10**5 if quick else LARGEST, limit=7200, dtype="float32")]


def slope(sizes: list[float], values: list[float]) -> float:
    """Exponent of the power of the size that fits the values best."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _linear(measures: list[Measure]) -> Verdicts:
    for name in dict.fromkeys(one["family"] for one in measures):
        done = [
            one
            for one in measures
            if one["family"] == name and one["size"] >= 10**5 and "products" in one and one.get("dtype") != "float32"
        ]
        if len(done) > 1:
            yield name, slope([one["edges"] for one in done], [one["products"] for one in done]) <= 0.15


def _frugal(measures: list[Measure]) -> Verdicts:
    for one in measures:
        known = one.get("peak_bytes_per_edge") is not None or "failed" in one  # not every system tells the peak
        if one["size"] >= LARGE and known:
            yield label(one), "failed" not in one and one["peak_bytes_per_edge"] <= MOST_BYTES


def _largest(measures: list[Measure]) -> Verdicts:
    largest = [one for one in measures if one["size"] == LARGEST]
    return [*_frugal(largest), *_balanced(largest)]


# Depth.


def _depth_specs(quick: bool) -> list[Measure]:
    depths, edges = ((10, 100), 5000) if quick else (DEPTHS, LARGE)
    return [_newton(f"{depth} layers", edges, depth=depth) for depth in depths]


def _even(measures: list[Measure]) -> Verdicts:
    done = [one for one in measures if "products" in one]
    if len(done) > 1:
        least = min(one["products"] for one in done)
        yield from ((label(one), one["products"] <= 3 * least) for one in done)


# Local balancing.


def _local_specs(quick: bool) -> list[Measure]:
    sizes, cap = ((2000,), 50) if quick else ((10**4, 10**5), 1000)
    specs = []
    for name in _named(quick, LOCAL)[: 1 if quick else None]:
        for m in sizes:
            common = {"family": name, "edges": m, "size": m, "tol": 1e-6, "limit_seconds": 900}
            specs.append(_newton(name, m))
            specs += [{"task": "local", **common, "order": order, "max_sweeps": cap} for order in ORDERS]
        if not quick:  # a few sweeps tell what one costs
            specs.append({"task": "local", **common, "edges": LARGE, "size": LARGE, "order": "cyclic", "max_sweeps": 6})
    return specs


def same_network(measures: list[Measure]) -> list[tuple[Measure, list[Measure]]]:
    """Newton's measure of each network, with those of everything else on it."""
    done = [one for one in measures if "products" in one]
    key = lambda one: (one["family"], one["size"])  # noqa: E731
    newton = [one for one in done if one["task"] == "newton" or one.get("peer") == NEWTON]
    return [(one, [two for two in done if key(two) == key(one) and two is not one]) for one in newton]


def _newton_first(measures: list[Measure]) -> Verdicts:
    """An order that was stopped early, and had cost less so far, decides nothing."""
    for newton, others in same_network(measures):
        for two in others:
            if two["status"] == "converged" or two["products"] >= newton["products"]:
                yield label(two), two["products"] >= newton["products"]


def _greedy_least(measures: list[Measure]) -> Verdicts:
    for newton, others in same_network(measures):
        done = {two["order"]: two["iterations"] for two in others if two["status"] == "converged"}
        if done:
            yield label(newton), done.get("greedy", np.inf) <= min(done.values())


def _cheap_sweeps(measures: list[Measure]) -> Verdicts:
    for one in measures:
        if one["size"] >= 10**6 and one.get("order") == "cyclic" and one.get("products_per_sweep") is not None:
            yield label(one), one["products_per_sweep"] <= (4 if "layers" in one["family"] else 15)


# Peers.


def _peer_specs(quick: bool) -> list[Measure]:
    return [
        {"task": "peer", "family": name, "edges": m, "size": m, "peer": peer, "limit_seconds": 60 if quick else 300}
        for name in (("20 layers",) if quick else ("20 layers", "grid"))
        for m in ((2000,) if quick else (10**4, 2 * 10**5))
        for peer in PEERS
        if name == "20 layers" or peer not in LAYERED_ONLY
    ]


def _far_ahead(measures: list[Measure]) -> Verdicts:
    """Newton against cvxpy with CLARABEL at the larger size; imbalances are compared down to rounding."""
    for newton, others in same_network(measures):
        for two in others:
            if two["peer"] in CLARABEL and two["size"] >= 2 * 10**5:
                faster = two["seconds"] >= 1000 * newton["seconds"]
                better = two["relative_imbalance"] >= 1e4 * newton["relative_imbalance"]
                yield label(two), faster and better


def _nobody_sooner(measures: list[Measure]) -> Verdicts:
    for newton, others in same_network(measures):
        for two in others:
            if two["size"] >= 10**4:
                yield label(two), two["relative_imbalance"] > 1e-6 or two["seconds"] >= newton["seconds"]


# Matrices.


def _matrix_specs(quick: bool) -> list[Measure]:
    dense, sparse = ((50, 100), (200,)) if quick else ((100, 200, 500, 1000, 1500), (1000, 3000, 10_000, 100_000))
    return [
        {"task": "matrix", "kind": kind, "n": n, "limit_seconds": 900}
        for kind, sizes in (("dense", dense), ("sparse", sparse))
        for n in sizes
    ]


def _exact(measures: list[Measure]) -> Verdicts:
    return [(label(one), one.get("relative_imbalance", 1.0) <= 1e-12) for one in measures]


def _no_slower(measures: list[Measure]) -> Verdicts:
    for one in measures:
        if one["kind"] == "dense" and one["n"] >= 1500:
            yield label(one), one.get("ratio_to_gebal", np.inf) <= 1.0


# Dense blocks.


def _block_specs(quick: bool) -> list[Measure]:
    sizes = (40_000,) if quick else (10**6, 10**7, LARGEST)
    return [
        {
            "task": "blocks",
            "family": name,
            "edges": size,
            "size": size,
            "tol": TOL,
            "rescaled": rescaled,
            "certify": True,
            "limit_seconds": 900,
        }
        for name in (list(BLOCKS)[:1] if quick else BLOCKS)
        for size in sizes
        for rescaled in (False, True)
        # Half precision has no room for random scales.
        if not (rescaled and "float16" in name)
    ]


def _few_passes(measures: list[Measure]) -> Verdicts:
    return [(label(one), one.get("passes", np.inf) <= MOST_PASSES) for one in measures]


def _small_beside_weights(measures: list[Measure]) -> Verdicts:
    for one in measures:
        if one["size"] >= LARGE and (one.get("peak_share") is not None or "failed" in one):
            yield label(one), one.get("peak_share", np.inf) <= MOST_SHARE


def _soon(measures: list[Measure]) -> Verdicts:
    for one in measures:
        if one["size"] == LARGEST and one["family"] == next(iter(BLOCKS)):
            yield label(one), one.get("forward_passes", np.inf) <= MOST_FORWARD


# Many of a kind.


def _many_specs(quick: bool) -> list[Measure]:
    edges = 5000 if quick else LARGE
    names = ("20 layers",) if quick else ("20 layers", "1000 layers", "random", "grid", "tied channels")
    return [
        {"task": task, "family": name, "edges": edges, "size": edges, "tol": TOL, "limit_seconds": 600, **more}
        for task, names_of_task, variants in (
            ("again", names, [{"change": change} for change in CHANGES]),
            ("side by side", ("5 layers",) if quick else ("5 layers", "random", "grid"), [{}]),
        )
        for name in names_of_task
        for more in variants
    ]


def _at_most(most: float, task: str, change: str | None = None) -> Callable[[list[Measure]], Verdicts]:
    """Whether the time is at most so many times that of what it is compared with, at full size."""

    def verdicts(measures: list[Measure]) -> Verdicts:
        for one in measures:
            if one["task"] == task and one["size"] >= LARGE and change in (None, one.get("change")):
                yield label(one), one.get("ratio", np.inf) <= most

    return verdicts


SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "families",
            "Families",
            _family_specs,
            (
                _ALL_BALANCED,
                Hypothesis(f"From 10^6 edges on, a solve costs at most {MOST_PRODUCTS} products.", _affordable),
                Hypothesis(f"From 10^6 edges on, the cheapest costs at most {BEST_PRODUCTS} products.", _best),
                Hypothesis("The certificate bounds the relative gap of the cost by 1e-10.", _certified),
                Hypothesis(
                    "Behind random scales from 1e-100 to 1e100, the balanced cost is the same to 1e-10.", _same_cost
                ),
                Hypothesis("Behind random scales, a solve costs at most three times as much.", _same_effort),
            ),
        ),
        Suite(
            "growth",
            "Growth with size",
            _growth_specs,
            (
                _ALL_BALANCED,
                Hypothesis(
                    "From 10^5 edges on, the cost in products grows no faster than edges^0.15: time is nearly linear.",
                    _linear,
                ),
                Hypothesis(
                    f"From 10^6 edges on, memory peaks at most {MOST_BYTES:.0f} bytes per edge above the matrix.",
                    _frugal,
                ),
                Hypothesis(
                    f"10^8 edges are balanced within {MOST_BYTES:.0f} bytes per edge above the matrix.", _largest
                ),
            ),
        ),
        Suite(
            "depth",
            "Depth",
            _depth_specs,
            (
                _ALL_BALANCED,
                Hypothesis(
                    "The cost in products differs by at most a factor of 3 between all depths.",
                    _even,
                ),
            ),
        ),
        Suite(
            "local",
            "Local balancing",
            _local_specs,
            (
                Hypothesis("Newton to 1e-10 costs less than any order of local balancing to 1e-6.", _newton_first),
                Hypothesis("Of the orders, greedy needs the fewest sweeps.", _greedy_least),
                Hypothesis(
                    "With 10^6 edges, a cyclic sweep costs at most 4 products on layers, and 15 elsewhere.",
                    _cheap_sweeps,
                ),
            ),
        ),
        Suite(
            "peers",
            "Other methods",
            _peer_specs,
            (
                Hypothesis(
                    "At 2*10^5 edges, Newton is 1000 times faster than cvxpy with CLARABEL, with an imbalance "
                    "10^4 times smaller.",
                    _far_ahead,
                ),
                Hypothesis(
                    "From 10^4 edges on, nothing else reaches a relative imbalance of 1e-6 sooner than Newton reaches "
                    "1e-10.",
                    _nobody_sooner,
                ),
            ),
        ),
        Suite(
            "matrices",
            "Matrices",
            _matrix_specs,
            (
                Hypothesis("`balance_matrix` leaves a relative imbalance of at most 1e-12.", _exact),
                Hypothesis("On a dense 1500 x 1500 matrix it takes no longer than LAPACK's gebal.", _no_slower),
            ),
        ),
        Suite(
            "blocks",
            "Dense blocks",
            _block_specs,
            (
                _ALL_BALANCED,
                Hypothesis(f"A solve reads every weight at most {MOST_PASSES} times.", _few_passes),
                Hypothesis(
                    f"From 10^6 weights on, memory peaks at most {MOST_SHARE} times that of the weights above it.",
                    _small_beside_weights,
                ),
                Hypothesis(
                    f"10^8 weights in dense layers are balanced in the time of {MOST_FORWARD} forward passes of 32 "
                    "inputs.",
                    _soon,
                ),
                Hypothesis("The certificate bounds the relative gap of the cost by 1e-10.", _certified),
            ),
        ),
        Suite(
            "many",
            "Many of a kind",
            _many_specs,
            (
                _ALL_BALANCED,
                Hypothesis(
                    "Other weights on a known architecture cost at most half of a cold solve.", _at_most(0.5, "again")
                ),
                Hypothesis(
                    "After weights have changed by 1 %, a solve costs at most a fifth of a cold one.",
                    _at_most(0.2, "again", "1 %"),
                ),
                Hypothesis(
                    "10^4 networks of 100 edges side by side cost at most three times one network of 10^6 edges.",
                    _at_most(3.0, "side by side"),
                ),
            ),
        ),
        HOSTILE,
    )
}
