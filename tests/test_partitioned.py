"""Networks in partitions: the same answers as in memory, whatever the partitions, and what is refused.

Rooms: partitioned, problem.
"""

from __future__ import annotations

import re
import subprocess
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import balance_graph as bg

pytest.importorskip("dask")
pytest.importorskip("pyarrow")

import dask
import pandas as pd
from dask import delayed

from balance_graph.partitioned import BalanceProblem, frames
from balance_graph.partitioned.network import PartitionedNetwork

NEWTON = bg.NewtonSolver(tol=1e-11)


def random_network(n, m, rng, spread=1.0):
    """Edges drawn uniformly, each pair once, and a ring; a few nodes pinned."""
    tail = np.concatenate([rng.integers(0, n, m), np.arange(n)])
    head = np.concatenate([(tail[:m] + rng.integers(1, n, m)) % n, np.roll(np.arange(n), 1)])
    pairs = np.unique(tail * n + head)
    tail, head = pairs // n, pairs % n
    weight = np.exp(spread * rng.normal(size=pairs.size)) * rng.choice([-1.0, 1.0], pairs.size)
    return pd.DataFrame({"source": tail, "target": head, "weight": weight})


def parts_of(table, count):
    return [delayed(table.iloc[k::count]) for k in range(count)]


def in_memory(table, pinned, degree=1.0, regularizer=2.0):
    n = int(table[["source", "target"]].to_numpy().max()) + 1
    W = sparse.csr_array((table["weight"], (table["source"], table["target"])), shape=(n, n))
    is_pinned = np.isin(np.arange(n), pinned)
    return bg.BalanceProblem.from_sparse(W, pinned=is_pinned, degree=degree, regularizer=regularizer)


@pytest.mark.parametrize("count", [1, 3, 30])
@pytest.mark.parametrize("p", [1.0, 2.0, 2.5])
def test_the_answer_is_that_in_memory(count, p):
    table = random_network(60, 300, np.random.default_rng(0))
    problem = BalanceProblem.from_dask(parts_of(table, count), pinned=range(5), regularizer=p)
    plain = in_memory(table, range(5), regularizer=p)
    ours, theirs = bg.solve(problem, NEWTON), bg.solve(plain, NEWTON)
    assert ours.converged
    np.testing.assert_allclose(ours.log_scales, theirs.log_scales, rtol=0, atol=1e-10)
    assert ours.log_cost == pytest.approx(theirs.log_cost, abs=1e-12)
    assert ours.relative_imbalance == pytest.approx(plain.relative_imbalance(ours.log_scales), abs=1e-13)
    anywhere = np.where(plain.manifold.pinned, 0.0, np.random.default_rng(1).normal(size=60))
    assert problem.log_cost(anywhere) == pytest.approx(plain.log_cost(anywhere), abs=1e-12)
    for one, other in zip(problem.log_sides(anywhere), plain.log_sides(anywhere), strict=True):
        np.testing.assert_allclose(one[5:], other, rtol=0, atol=1e-12)
    assert bg.certify(problem, ours.log_scales).relative_gap < 1e-10
    assert bg.certify(problem, np.zeros(60)).relative_gap > 1e-3


def test_degrees_are_those_of_the_nodes():
    table, rng = random_network(50, 200, np.random.default_rng(1)), np.random.default_rng(2)
    degree = rng.choice([0.5, 1.0, 2.0], 50)
    problem = BalanceProblem.from_dask(
        parts_of(table, 4), pinned=[0, 1], degree=dict(enumerate(degree.tolist())), regularizer=2.0
    )
    plain = bg.solve(in_memory(table, [0, 1], degree=degree), NEWTON)
    np.testing.assert_allclose(bg.solve(problem, NEWTON).log_scales, plain.log_scales, rtol=0, atol=1e-9)


def test_scales_that_the_weights_come_with_do_not_matter():
    rng = np.random.default_rng(3)
    table = random_network(80, 500, rng)
    log_scales = np.where(np.arange(80) < 4, 0.0, rng.uniform(-60, 60, 80))
    gains = log_scales[table["target"]] - log_scales[table["source"]]
    far = table.assign(weight=table["weight"] * np.exp(gains))
    ones, others = (
        bg.solve(BalanceProblem.from_dask(parts_of(one, 3), pinned=range(4)), NEWTON) for one in (table, far)
    )
    np.testing.assert_allclose(others.log_scales + log_scales, ones.log_scales, rtol=0, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(0, 40), st.integers(1, 5))
def test_small_networks_of_any_kind(seed, n, m, count):
    """Dead ends, parts that nothing joins, self-loops, zero weights, edges that come twice: all as in memory."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "source": rng.integers(0, n, m + 1),
            "target": rng.integers(0, n, m + 1),
            "weight": rng.normal(size=m + 1) * rng.choice([0.0, 1.0], m + 1, p=[0.2, 0.8]),
        }
    )
    pinned = [int(rng.choice(np.unique(table[["source", "target"]])))]
    # Edges that come twice are one of the same cost in memory.
    total = table.groupby(["source", "target"], as_index=False)["weight"].agg(lambda w: np.sqrt(np.sum(w**2)))
    problem, plain = BalanceProblem.from_dask(parts_of(table, count), pinned=pinned), in_memory(total, pinned)
    whole = bg.solve(plain, NEWTON, on_unattained="prune")
    if whole.pruned_edges:
        with pytest.raises(bg.NotAttainedError):
            bg.solve(problem, NEWTON)
    solution = bg.solve(problem, NEWTON, on_unattained="prune" if whole.pruned_edges else "raise")
    assert solution.converged
    assert solution.cost == pytest.approx(whole.cost, rel=1e-9)
    assert bg.certify(problem, solution).relative_gap < 1e-9
    balanced = pd.concat([one.compute() for one in problem.scaled(solution)]).sort_index()
    moved = balanced[balanced["source"] != balanced["target"]]
    flows = [np.bincount(moved[end], moved["weight"] ** 2, minlength=n) for end in ("target", "source")]
    free = np.setdiff1d(np.arange(n), pinned)
    np.testing.assert_allclose(flows[0][free], flows[1][free], rtol=1e-9, atol=1e-300)
    # Weights are unique, whatever is held: scales of parts that nothing joins are not.
    known = plain.scaled(whole).toarray()[table["source"], table["target"]]
    shares = table["weight"].abs() / np.where(known == 0.0, 1.0, total_of(table, n))
    np.testing.assert_allclose(balanced["weight"].abs(), np.abs(known) * shares, rtol=1e-9, atol=1e-300)


def total_of(table, n):
    """For each edge, the weight that all with the same ends have together."""
    squares = sparse.csr_array((table["weight"] ** 2, (table["source"], table["target"])), shape=(n, n))
    return np.sqrt(squares.toarray()[table["source"], table["target"]])


def test_parts_apart_are_balanced_and_one_node_of_each_is_held():
    cycle = pd.DataFrame({"source": [5, 6, 6, 7], "target": [6, 5, 7, 6], "weight": [2.0, 8.0, 3.0, 1.0]})
    bridge = pd.DataFrame({"source": [6], "target": [1], "weight": [1.0]})
    table = pd.concat([CYCLE, cycle, bridge], ignore_index=True)
    problem = BalanceProblem.from_dask(parts_of(table, 3), pinned=[0])
    with pytest.raises(bg.NotAttainedError, match=r"weights of 1 of 8 edges .* dead nodes: none"):
        bg.solve(problem)
    solution = bg.solve(problem, NEWTON, on_unattained="prune")
    assert solution.converged
    assert solution.gauge_nodes == (6,)
    assert solution.pruned_nodes == ()
    assert bg.solve(problem.without_dead, NEWTON).converged  # nothing is left to prune
    assert bg.certify(problem, solution).relative_gap < 1e-11
    balanced = pd.concat([one.compute() for one in problem.scaled(solution)]).sort_index()
    np.testing.assert_allclose(balanced["weight"][:3], np.cbrt(6.0))
    np.testing.assert_allclose(balanced["weight"][3:], [4.0, 4.0, np.sqrt(3.0), np.sqrt(3.0), 0.0])
    # A start that differs by what is arbitrary is the same start.
    start = solution.log_scales + np.where(np.isin(problem.nodes, [5, 6, 7]), 3.0, 0.0)
    assert bg.solve(problem, NEWTON, on_unattained="prune", start=start).iterations == 0


def test_parts_apart_are_balanced_in_memory_whatever_their_weights():
    """A two-way ring of weights of very different size is beyond passes that know no more than a diagonal."""
    rng, n = np.random.default_rng(0), 60
    node = np.arange(n)
    ring = pd.DataFrame({"source": np.r_[node, np.roll(node, 1)] + 3, "target": np.r_[np.roll(node, 1), node] + 3})
    ring["weight"] = np.exp(4.0 * rng.normal(size=2 * n))
    table = pd.concat([CYCLE, ring, ring[:5]], ignore_index=True)  # some come twice
    problem = BalanceProblem.from_dask(parts_of(table, 4), pinned=[0])
    solution = bg.solve(problem)
    assert solution.converged
    assert problem.relative_imbalance(solution.log_scales) < 1e-12
    certificate = bg.certify(problem, solution)
    assert certificate.relative_gap < 1e-10
    # The bound holds of another point, too: it is below the least cost.
    assert bg.certify(problem).log_lower_bound <= solution.log_cost


def test_cycles_apart_of_other_degrees_are_refused():
    apart = pd.DataFrame({"source": [5, 6], "target": [6, 5], "weight": [1.0, 3.0]})
    problem = BalanceProblem.from_dask([delayed(CYCLE), delayed(apart)], pinned=[0], degree={2: 2.0, 6: 2.0})
    with pytest.raises(bg.UnsupportedError, match="node 6 of degree 2 lies on a cycle that no path joins"):
        bg.solve(problem)


def test_what_is_apart_counts_where_it_is_out_of_balance(monkeypatch):
    monkeypatch.setattr(PartitionedNetwork, "balanced_apart", property(lambda network: 0.0 * network.degree))
    apart = pd.DataFrame({"source": [5, 6], "target": [6, 5], "weight": [1.0, 3.0]})
    solution = bg.solve(BalanceProblem.from_dask([delayed(CYCLE), delayed(apart)], pinned=[0]))
    assert solution.status == "stalled"
    assert solution.relative_imbalance == pytest.approx(0.8)  # (9 - 1) / (9 + 1)


def test_one_pinned_node_is_as_good_as_many():
    """What moves all nodes together is found at once; without that, it takes 150 passes and more."""
    table = random_network(3000, 20_000, np.random.default_rng(0))
    solution = bg.solve(BalanceProblem.from_dask(parts_of(table, 2), pinned=[0]))
    assert solution.converged
    assert int(re.search(r"(\d+) passes", solution.notes[0])[1]) <= 80


def test_files_in_and_out(tmp_path):
    table = random_network(40, 150, np.random.default_rng(5)).assign(kind="synapse")
    table["weight"] = table["weight"].astype(np.float32)
    names = np.array([f"neuron {k}" for k in range(40)])
    table["source"], table["target"] = names[table["source"]], names[table["target"]]
    (tmp_path / "in").mkdir()
    table[:70].to_parquet(tmp_path / "in" / "a.parquet", row_group_size=20)
    table[70:].to_parquet(tmp_path / "in" / "b.parquet")
    problem = BalanceProblem.from_parquet(tmp_path / "in", pinned=["neuron 0", "neuron 7"])
    assert repr(problem) == f"BalanceProblem(40 nodes, 38 free, {len(table)} edges in 5 partitions, Lp(p=2.0))"
    solution = bg.solve(problem, NEWTON)
    problem.write_parquet(solution, tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in", "out"]
    after = pd.read_parquet(tmp_path / "out")
    pd.testing.assert_frame_equal(after.drop(columns="weight"), table.drop(columns="weight"))
    assert after["weight"].dtype == np.float32
    scales = dict(zip(problem.nodes, np.exp(solution.log_scales), strict=True))
    factors = after["target"].map(scales) / after["source"].map(scales)
    np.testing.assert_allclose(after["weight"], table["weight"] * factors, rtol=1e-6)
    again = BalanceProblem.from_parquet(list((tmp_path / "out").iterdir()), pinned=["neuron 0", "neuron 7"])
    assert again.relative_imbalance(again.unscaled) < 1e-6


def test_columns_that_pandas_made_an_index_of_are_columns(tmp_path):
    (tmp_path / "in").mkdir()
    CYCLE.assign(time=[3, 4, 5]).set_index(["source", "time"]).to_parquet(tmp_path / "in" / "edges.parquet")
    problem = BalanceProblem.from_parquet(tmp_path / "in", pinned=[0])
    problem.write_parquet(bg.solve(problem, NEWTON), tmp_path / "out")
    after = pd.read_parquet(tmp_path / "out")
    assert (after["source"].tolist(), after["time"].tolist()) == ([0, 1, 2], [3, 4, 5])
    np.testing.assert_allclose(after["weight"], np.cbrt(6.0))
    named = CYCLE.set_axis(pd.Index(["x", "y", "z"], name="label"))
    problem = BalanceProblem.from_dask([delayed(named)], pinned=[0])
    problem.write_parquet(np.zeros(3), tmp_path / "named")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "named"), named)


def test_inputs_and_outputs_are_pinned_where_nothing_is_said():
    table = pd.DataFrame({"source": [5, 7, 9], "target": [7, 9, 11], "weight": [1.0, 4.0, 16.0]})
    problem = BalanceProblem.from_dask([delayed(table)])
    assert problem.nodes.tolist() == [5, 7, 9, 11]
    assert problem.pinned.tolist() == [True, False, False, True]
    np.testing.assert_allclose(np.exp(bg.solve(problem).log_scales), [1.0, 4.0, 4.0, 1.0])


def test_nodes_are_not_rounded():
    large = 2**63
    table = pd.DataFrame({"source": np.array([1, 2], dtype=np.int64), "target": np.array([2, 3], dtype=np.int64)})
    other = pd.DataFrame({"source": np.array([3, large], dtype=np.uint64), "target": np.array([large, large + 1])})
    tables = (table.assign(weight=1.0), other.astype(np.uint64).assign(weight=4.0))
    problem = BalanceProblem.from_dask([delayed(one) for one in tables])
    assert problem.nodes.tolist() == [1, 2, 3, large, large + 1]
    assert bg.solve(problem).converged


def test_self_loops_cost_what_they_cost_and_move_nothing():
    table = pd.DataFrame({"source": [0, 1, 1, 1], "target": [1, 2, 1, 1], "weight": [2.0, 8.0, 3.0, 1e160]})
    problem = BalanceProblem.from_dask([delayed(table[:3])], pinned=[0, 2])
    solution = bg.solve(problem)
    assert solution.cost == pytest.approx(2 * 16.0 + 9.0)
    far = bg.solve(BalanceProblem.from_dask([delayed(table)], pinned=[0, 2]))
    assert far.log_cost == pytest.approx(320 * np.log(10))
    np.testing.assert_allclose(far.log_scales, solution.log_scales)


def test_dead_nodes_are_named_and_pruned():
    table = pd.DataFrame({"source": ["i", "a", "a"], "target": ["a", "o", "end"], "weight": [2.0, 3.0, 5.0]})
    problem = BalanceProblem.from_dask([delayed(table)], pinned=["i", "o"])
    with pytest.raises(bg.NotAttainedError, match=r"weights of 1 of 3 edges .* dead nodes: 'end'"):
        bg.solve(problem)
    solution = bg.solve(problem, on_unattained="prune")
    assert solution.pruned_nodes == ("end",)
    (after,) = (one.compute() for one in problem.scaled(solution))
    np.testing.assert_allclose(after["weight"], [np.sqrt(6.0), np.sqrt(6.0), 0.0])


CYCLE = pd.DataFrame({"source": [0, 1, 2], "target": [1, 2, 0], "weight": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize(
    ("table", "options", "error", "message"),
    [
        (CYCLE, {}, bg.InvalidParameterError, "no node is pinned"),
        (CYCLE, {"pinned": [5]}, bg.InvalidParameterError, "pinned names 5"),
        (CYCLE, {"pinned": "01"}, bg.InvalidParameterError, "iterable of nodes"),
        (CYCLE, {"pinned": [0], "degree": {9: 2.0}}, bg.InvalidParameterError, "degree names 9"),
        (CYCLE, {"pinned": [0], "degree": {1: -2.0}}, bg.InvalidParameterError, "degree of node 1"),
        (CYCLE, {"pinned": [0], "degree": 0.0}, bg.InvalidParameterError, "degree"),
        (CYCLE, {"pinned": [0], "regularizer": bg.Cauchy()}, bg.UnsupportedError, "Cauchy"),
        (CYCLE, {"pinned": [0], "weight": "source"}, bg.InvalidParameterError, "must be three columns"),
        (CYCLE, {"pinned": [0], "weight": "w"}, bg.InvalidNetworkError, "no column 'w'"),
        (CYCLE.assign(weight=[1.0, np.nan, 2.0]), {"pinned": [0]}, bg.InvalidNetworkError, r"edge \(1, 2\), row 1"),
        (CYCLE.assign(weight=[1.0, 2.0, np.inf]), {"pinned": [0]}, bg.InvalidNetworkError, "is inf"),
        (CYCLE.assign(weight=["a", "b", "c"]), {"pinned": [0]}, bg.InvalidNetworkError, "must hold real numbers"),
        (CYCLE.assign(weight=[1j, 2.0, 3.0]), {"pinned": [0]}, bg.InvalidNetworkError, "real numbers: complex128"),
        (CYCLE.assign(source=[0, None, 2]), {"pinned": [0]}, bg.InvalidNetworkError, "row 1 of partition 0 has no 'so"),
        (CYCLE.assign(source=[0, "x", 2]), {"pinned": [0]}, bg.InvalidNetworkError, "all numbers, or all text"),
        (CYCLE.assign(target=[1, 1, 0]), {"pinned": [0], "degree": 2.0}, bg.UnsupportedError, "node 1 .* self-loop"),
        (CYCLE.assign(weight=[1e-200, 1.0, 1e200]), {"pinned": [0]}, bg.UnsupportedError, "costs of the edges reach"),
        (CYCLE[:0], {"pinned": []}, bg.InvalidParameterError, "no node is pinned"),
    ],
)
def test_what_is_refused(table, options, error, message):
    with pytest.raises(error, match=message):
        BalanceProblem.from_dask([delayed(table)], **options)


def test_what_is_no_set_of_partitions_is_refused(tmp_path):
    with pytest.raises(bg.InvalidParameterError, match="got DataFrame"):
        BalanceProblem.from_dask(CYCLE)
    with pytest.raises(bg.InvalidNetworkError, match="not one partition"):
        BalanceProblem.from_dask([])
    with pytest.raises(bg.InvalidParameterError, match="partition 0 must be a pandas DataFrame, got int"):
        BalanceProblem.from_dask([delayed(3)])
    with pytest.raises(bg.InvalidParameterError, match="takes a path, or an iterable of paths; got None"):
        BalanceProblem.from_parquet(None)
    with pytest.raises(bg.InvalidParameterError, match="no file"):
        BalanceProblem.from_parquet(tmp_path / "missing.parquet")
    with pytest.raises(bg.InvalidParameterError, match=r"no file \*.parquet"):
        BalanceProblem.from_parquet(tmp_path)
    (tmp_path / "text.parquet").write_text("source,target,weight\n")
    with pytest.raises(bg.InvalidNetworkError, match="is no Parquet file"):
        BalanceProblem.from_parquet(tmp_path / "text.parquet")


def test_other_solvers_are_refused():
    problem = BalanceProblem.from_dask([delayed(CYCLE)], pinned=[0])
    with pytest.raises(bg.UnsupportedError, match="in passes over them"):
        bg.solve(problem, "cvxpy")


def test_nodes_are_numbered_by_many_threads_at_once():
    """Older versions of pandas fail where two threads begin to search one index."""
    ends = 7 * np.random.default_rng(0).integers(0, 3000, (2, 3000))
    table = pd.DataFrame({"source": ends[0], "target": ends[1], "weight": 1.0})
    for _ in range(20):
        problem = BalanceProblem.from_dask(parts_of(table, 16), pinned=[int(ends[0, 0])])
        assert problem.n_nodes == np.unique(ends).size


def test_edges_that_change_meanwhile_are_noticed():
    tables = iter([CYCLE, CYCLE.assign(source=[0, 1, 8])])
    with pytest.raises(bg.InvalidNetworkError, match="node 8, which was not there before"):
        BalanceProblem.from_dask([delayed(lambda: next(tables))()], pinned=[0])


def test_writing_all_or_nothing(tmp_path):
    problem = BalanceProblem.from_dask(parts_of(CYCLE.astype({"weight": "float32"}), 2), pinned=[0])
    with pytest.raises(bg.UnsupportedError, match="leaves the range of float32"):
        problem.write_parquet(np.array([0.0, 0.0, 200.0]), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(bg.InvalidParameterError, match="pinned node 0"):
        problem.write_parquet(np.ones(3), tmp_path / "out")
    problem.write_parquet(np.zeros(3), tmp_path / "out")
    with pytest.raises(bg.InvalidParameterError, match="is there already"):
        problem.write_parquet(np.zeros(3), tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_no_more_partitions_are_open_than_workers(tmp_path, monkeypatch):
    """Each is read, added and dropped by one task."""
    table = random_network(30, 200, np.random.default_rng(0))
    table.to_parquet(tmp_path / "edges.parquet", row_group_size=5)
    read, open_now = frames._read_group, [0, 0]

    def counted(*arguments):
        frame = read(*arguments)
        open_now[0] += 1
        open_now[1] = max(open_now)
        weakref.finalize(frame, lambda: open_now.__setitem__(0, open_now[0] - 1))
        return frame

    monkeypatch.setattr(frames, "_read_group", counted)
    with dask.config.set(num_workers=3):
        problem = BalanceProblem.from_parquet(tmp_path, pinned=[0])
        assert bg.solve(problem, NEWTON).converged
    assert "in 4" in repr(problem)
    assert open_now[1] <= 3


def test_without_dask_the_extra_is_named():
    code = "import sys; sys.modules['dask'] = None\nimport balance_graph.partitioned"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "balance-graph[dask]"' in done.stderr
