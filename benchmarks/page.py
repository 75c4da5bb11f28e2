"""The page of results in Markdown: hypotheses with their outcome, pictures and tables, all from the JSON files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from peers import NEWTON
from suites import ORDERS, SUITES, cost_difference, in_pairs

Measure = dict[str, Any]
Record = dict[str, Any]
NONE = "–"

_HEAD = """# Benchmarks

<!-- Written by benchmarks/draw.py from the files in benchmarks/results; edits by hand are lost. -->

Each section states hypotheses, and whether the measurements agree. All numbers and pictures are drawn from the result
files in `benchmarks/results`, which also name the versions of all packages; [the last section](#how-it-is-measured)
says how they come about.

Costs are given in *products*: {product}. It is timed in the same process. So a cost of 1000 means the time in which
SciPy multiplies the matrix by a vector a thousand times.
"""

_QUICK = """
:::{{note}}
{names}: from a run at small sizes (`--quick`), which shows that the programs work and little else. At such sizes the
fixed costs of Python decide most times.
:::
"""

_TAIL = """
## How it is measured

- Every measurement runs in a process of its own, after smaller networks of the same kind have compiled all loops.
  Short ones are repeated; times are medians of at most five runs.
- The time of a solve is that from the SciPy matrix to the log-scales: building the problem, the test for existence, and
  the solve. Newton is asked for a relative imbalance of 1e-10, under *Other methods* for its default of 1e-12.
- The unit is the median of products before and after; SciPy runs them in one thread. BLAS has one thread, too.
- The relative imbalance and the cost are recomputed from the weights by NumPy code that shares nothing with the
  library. Where the minimum is not attained, dead edges are pruned first.
- Peak memory is the highest resident memory during the first solve, above that with the matrix in place
  ({method}). Below 10^5 edges Python itself decides it, and it is left out.
- *Rescaled* means that the weights are multiplied by `s_v / s_u**c`, with scales from 1e-100 to 1e100 (1e-66 to 1e66
  where a degree of 2 squares them). The balanced network is the same.
- Other methods start from the weights as given, and are asked for as much accuracy as they can give.

Run all of it with `python benchmarks/run.py`, draw it with `python benchmarks/draw.py`.
"""

_ABOUT = {
    "families": """Networks of many kinds, solved by Newton. The number of *layers* includes the pinned first and last;
*width* is that of each layer; *few inputs* has ten pinned nodes only; *residual* adds connections that skip a layer;
*BiPU* gives a fifth of the nodes degree 2; *tied channels* ties units by eights.""",
    "growth": """The same families from small to large. The star is a network of dense layers with weights in single
precision.""",
    "depth": "Dense layers with the same number of edges, from few wide layers to many narrow ones.",
    "local": """Local balancing in every order, to a relative imbalance of 1e-6 or to a limit on sweeps; Newton beside
it.""",
    "peers": """Other ways to the same answer. *CvxpySolver* is this library's, without polishing; *plain cvxpy* is the
problem as one writes it in cvxpy. SciPy's minimizers get the logarithm of the cost with its gradient and Hessian
products, in vectorized NumPy. The *layer loop* balances dense layers one after the other, as training scripts do.""",
    "matrices": """Matrices behind random scales, without diagonal, balanced by `balance_matrix` and by LAPACK's `gebal`
through `scipy.linalg.matrix_balance`, which gets sparse matrices as dense copies up to a reasonable size.""",
    "blocks": """Four square layers of dense weights, given as blocks and never turned into edges. Costs are in
*passes*, each of which reads every weight once; and in the time of a forward pass of a batch of 32 inputs, by NumPy's
products in single precision, in one thread. Memory is the peak above the weights, as a share of theirs.""",
    "many": """The same architecture with other weights, as after each step of training: what depends on the
architecture is kept, and the solve starts from the last log-scales; a *cold* solve begins with the matrix. And small
networks that have nothing to do with each other, given as one problem, beside one large network of as many edges. All
in turn; the ratio is the median of the pairs. A warm solve still computes the costs of all edges, twice, and measures
the result from the weights; that alone is a quarter of a cold solve on layers, and a start that is off by 1 % leaves
seven of ten digits to conjugate gradients.""",
    "hostile": """Networks of unusual kinds with weights `10**U(-s, s)`, each of a size of its own: stars, hubs and fans
of thousands of neighbors, long chains, cycles and nested rings, trees with few edges back, thousands of parts that
nothing joins, ties and degrees mixed; other exponents; every type and format of a matrix. A *tame* network is a random
digraph with normal weights and as many edges, solved in the same process.""",
}


def page(records: list[Record]) -> str:
    """The whole page."""
    head = _HEAD.format(product=records[0]["product"] if records else NONE)
    quick = [record["title"] for record in records if record["quick"]]
    note = _QUICK.format(names=", ".join(quick)) if quick else ""
    methods = {one["peak_method"] for record in records for one in record["measures"] if "peak_method" in one}
    tail = _TAIL.format(method="; ".join(sorted(methods)) or NONE)
    return head + note + "".join(section(record) for record in records) + tail


def section(record: Record) -> str:
    """Heading, hypotheses, picture, table, machine."""
    name = record["suite"]
    lines = ["", f"## {record['title']}", "", _ABOUT[name], ""]
    if not record["complete"]:
        lines += ["The run was interrupted; this is what it had measured.", ""]
    lines += [outcome(found) for found in record["hypotheses"]]
    lines += ["", f"![{record['title']}: {_ALT[name]}](_static/benchmarks/{name}.png)", ""]
    lines += _TABLES[name](record["measures"])
    lines += failures(record["measures"])
    return "\n".join([*lines, "", f"Measured on {machine(record)}.", ""])


def outcome(found: dict[str, Any]) -> str:
    """A hypothesis and what became of it."""
    cases = f"{found['cases']} case{'s' if found['cases'] != 1 else ''}"
    if found["holds"] is None:
        return f"- {found['text']} **Not tested** at these sizes."
    if found["holds"]:
        return f"- {found['text']} **Holds** ({cases})."
    shown = found["exceptions"][:8]
    more = f", and {len(found['exceptions']) - 8} more" if len(found["exceptions"]) > 8 else ""
    broken = f"in {len(found['exceptions'])} of {cases}"
    return f"- {found['text']} **Does not hold** {broken}: {'; '.join(shown)}{more}."


def machine(record: Record) -> str:
    packages = record["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("numpy", "scipy", "numba") if name in packages)
    return f"{record['machine']}, Python {record['python']}, {versions}"


def failures(measures: list[Measure]) -> list[str]:
    """What did not come to an end, in its own words."""
    failed = [one for one in measures if "failed" in one]
    if not failed:
        return []
    from hypotheses import label

    return ["", "Not done:", "", *(f"- {label(one)}: {plain_text(one['failed'])}" for one in failed)]


def plain_text(words: str) -> str:
    """Foreign words without anything that Markdown would take for its own."""
    kept = "".join(" " if character in "|`*_<>[]{}$\\" else character for character in words)
    return kept if len(kept) <= 160 else kept[:157] + "..."


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table whose first column is words, and the others numbers."""
    head = list(head)
    line = "|---|" + "---:|" * (len(head) - 1)
    return [_row(head), line, *(_row(row) for row in rows)]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def count(value: float | None) -> str:
    """An integer to three digits that count, in groups."""
    if value is None:
        return NONE
    digits = float(f"{value:.3g}")
    return f"{digits:,.0f}".replace(",", " ") if digits >= 10 else f"{digits:g}"


def whole(value: float | None) -> str:
    """An integer in full, in groups."""
    return NONE if value is None else f"{value:,.0f}".replace(",", " ")


def number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"


def tiny(value: float | None) -> str:
    if value is None or value == 0:
        return NONE if value is None else "0"
    return f"{value:.0e}"


def _families(measures: list[Measure]) -> list[str]:
    rescaled = {one["family"]: (one, two) for one, two in in_pairs(measures)}
    rows = []
    for one in (one for one in measures if not one.get("rescaled")):
        pair = rescaled.get(one["family"], (one, {}))[1]
        difference = cost_difference(one, pair) if "log_cost" in one and "log_cost" in pair else None
        rows.append(
            [
                one["family"],
                whole(one.get("edges")),
                count(one.get("products")),
                number(one.get("seconds")),
                count(one.get("iterations")),
                tiny(one.get("relative_imbalance")),
                tiny(one.get("relative_gap")),
                count(pair.get("products")),
                tiny(pair.get("relative_imbalance")),
                tiny(difference),
            ]
        )
    head = ["family", "edges", "products", "seconds", "iterations", "imbalance", "certified gap"]
    return table([*head, "products, rescaled", "imbalance, rescaled", "cost differs by"], rows)


def _growth(measures: list[Measure]) -> list[str]:
    return [
        "Cost in products, by number of edges:",
        "",
        *_by_size(measures, "products"),
        "",
        "Peak memory above the matrix, in bytes per edge:",
        "",
        *_by_size(measures, "peak_bytes_per_edge"),
    ]


def _by_size(measures: list[Measure], key: str) -> list[str]:
    sizes = sorted({one["size"] for one in measures if one.get(key) is not None})
    names = dict.fromkeys((one["family"], one.get("dtype")) for one in measures)
    rows = []
    for name in names:
        found = {one["size"]: one.get(key) for one in measures if (one["family"], one.get("dtype")) == name}
        words = ", ".join(word for word in name if word)
        rows.append([words, *(count(found.get(size)) for size in sizes)])
    return table(["family", *map(power, sizes)], rows) if sizes else ["Not measured at these sizes."]


def power(size: float) -> str:
    """A number of edges, as a power of ten where it is one."""
    mantissa, exponent = f"{size:.0e}".split("e")
    return f"10^{int(exponent)}" if mantissa == "1" else f"{mantissa}·10^{int(exponent)}"


def _depth(measures: list[Measure]) -> list[str]:
    keys: tuple[tuple[str, Callable[[Any], str]], ...] = (
        ("depth", whole),
        ("edges", whole),
        ("products", count),
        ("seconds", number),
        ("iterations", count),
        ("relative_imbalance", tiny),
    )
    rows = [[write(one.get(key)) for key, write in keys] for one in measures]
    return table(["layers", "edges", "products", "seconds", "iterations", "imbalance"], rows)


def _local(measures: list[Measure]) -> list[str]:
    rows = []
    for key in dict.fromkeys((one["family"], one["size"]) for one in measures):
        found = {one.get("order", NEWTON): one for one in measures if (one["family"], one["size"]) == key}
        cells = [sweeps(found.get(order, {})) for order in ORDERS]
        rows.append([f"{key[0]}, {power(key[1])}", *cells, count(found.get(NEWTON, {}).get("products"))])
    about = """Sweeps, and in brackets products per sweep; where the limit came first, the imbalance left.
For Newton, products in all."""
    return [about, "", *table(["network", *ORDERS, "Newton"], rows)]


def sweeps(one: Measure) -> str:
    """Sweeps that an order needed, or how far it got."""
    if "iterations" not in one:
        return NONE
    if one["status"] == "converged":
        return f"{one['iterations']} ({count(one.get('products_per_sweep'))})"
    return f"{tiny(one['relative_imbalance'])} after {one['iterations']} ({count(one.get('products_per_sweep'))})"


def _peers(measures: list[Measure]) -> list[str]:
    newton = {(one["family"], one["size"]): one.get("seconds") for one in measures if one["peer"] == NEWTON}
    rows = []
    for one in measures:
        base, seconds = newton.get((one["family"], one["size"])), one.get("seconds")
        rows.append(
            [
                f"{one['family']}, {power(one['size'])}: {one['peer']}",
                number(seconds),
                count(one.get("products")),
                tiny(one.get("relative_imbalance")),
                number(seconds / base if seconds and base else None),
                plain_text(one.get("ended", NONE)),
            ]
        )
    return table(["network and method", "seconds", "products", "imbalance", "time / Newton", "ended"], rows)


def _matrices(measures: list[Measure]) -> list[str]:
    rows = [
        [
            f"{one['kind']}, {whole(one['n'])} rows",
            whole(one.get("entries")),
            number(one.get("seconds")),
            number(one.get("seconds_gebal")),
            number(one.get("ratio_to_gebal")),
            tiny(one.get("relative_imbalance")),
            tiny(one.get("relative_imbalance_gebal")),
        ]
        for one in measures
    ]
    return table(["matrix", "entries", "seconds", "gebal", "ratio", "imbalance", "imbalance, gebal"], rows)


def _blocks(measures: list[Measure]) -> list[str]:
    rows = [
        [
            one["family"] + (", rescaled" if one["rescaled"] else ""),
            power(one["size"]),
            number(one.get("passes")),
            number(one.get("forward_passes")),
            number(one.get("seconds")),
            number(one.get("pass_seconds")),
            number(one.get("peak_share")),
            tiny(one.get("relative_imbalance")),
            tiny(one.get("relative_gap")),
            number(one.get("passes_certificate")),
        ]
        for one in measures
    ]
    head = ["weights", "number", "passes", "forward passes", "seconds", "seconds a pass", "memory", "imbalance"]
    return table([*head, "certified gap", "passes, certificate"], rows)


def _many(measures: list[Measure]) -> list[str]:
    rows = [
        [
            f"{one['family']}: {one.get('change', 'side by side')}",
            number(one.get("seconds")),
            number(one.get("seconds_compared")),
            number(one.get("ratio")),
            count(one.get("iterations")),
            tiny(one.get("relative_imbalance")),
        ]
        for one in measures
    ]
    return table(["networks", "seconds", "cold, or one network", "ratio", "iterations", "imbalance"], rows)


def _hostile(measures: list[Measure]) -> list[str]:
    rows = [
        [
            f"{one['family']}, {one['change']}",
            whole(one["size"]),
            number(one.get("seconds")),
            number(one.get("over_tame")),
            one.get("status", NONE),
            count(one.get("iterations")),
            tiny(one.get("relative_imbalance")),
            tiny(one.get("relative_gap")),
            number(one.get("seconds_certificate")),
        ]
        for one in measures
    ]
    head = ["network", "edges", "seconds", "time / tame", "status", "iterations", "imbalance", "certified gap"]
    return table([*head, "seconds, certificate"], rows)


_ALT = {
    "families": "cost per family",
    "growth": "time, cost and memory over the number of edges",
    "depth": "cost over the number of layers",
    "local": "cost of each order of local balancing",
    "peers": "imbalance over time for each method",
    "matrices": "time and imbalance over size",
    "blocks": "passes over the weights, and time in forward passes, over their number",
    "many": "time beside that of a cold solve, or of one network",
    "hostile": "time beside that of a tame network",
}
_TABLES: dict[str, Callable[[list[Measure]], list[str]]] = {
    "families": _families,
    "growth": _growth,
    "depth": _depth,
    "local": _local,
    "peers": _peers,
    "matrices": _matrices,
    "blocks": _blocks,
    "many": _many,
    "hostile": _hostile,
}
assert set(_TABLES) == set(_ALT) == set(_ABOUT) == set(SUITES)
