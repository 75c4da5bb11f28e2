"""The benchmark suite works, at small sizes; no time is asserted."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import balance_graph as bg

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
if not FOLDER.exists():
    pytest.skip("the benchmarks are not part of this installation", allow_module_level=True)
sys.path.insert(0, str(FOLDER))
draw, families, measure, page, peers, quality, results, suites = (
    importlib.import_module(name)
    for name in ("draw", "families", "measure", "page", "peers", "quality", "results", "suites")
)
sys.path.remove(str(FOLDER))


def small(name, **options):
    family = families.FAMILIES[name]
    return family.network(max(2000, family.least), **options)


def strict(path):
    def refuse(word):
        pytest.fail(f"{path.name} holds {word}, which is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def run(script, *arguments):
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}  # the library beside the benchmarks, whichever is installed
    return subprocess.run(command, check=True, capture_output=True, text=True, env=here).stdout


@pytest.mark.parametrize("rescaled", [False, True])
@pytest.mark.parametrize("name", families.FAMILIES)
def test_families_are_compact_finite_and_repeatable(name, rescaled):
    network = small(name, rescaled=rescaled)
    W = network.W
    assert W.has_canonical_format
    assert W.indices.dtype == W.indptr.dtype == np.int32
    assert np.all(np.isfinite(W.data))
    assert np.all(np.abs(W.data) > 1e-300)
    assert not W.diagonal().any()
    assert 0 < network.pinned.sum() < network.pinned.size
    np.testing.assert_array_equal(W.data, small(name, rescaled=rescaled).W.data)
    assert network.problem().n_edges == W.nnz


@pytest.mark.parametrize("name", families.FAMILIES)
def test_families_have_about_the_edges_asked_for(name):
    edges = max(20_000, families.FAMILIES[name].least)
    assert 0.75 * edges < families.FAMILIES[name].network(edges).W.nnz < 1.3 * edges


@pytest.mark.parametrize("name", ["20 layers", "random", "BiPU, layered", "BiPU, random", "tied channels"])
def test_random_scales_leave_the_balanced_network_as_it_is(name):
    costs = []
    for rescaled in (False, True):
        network = small(name, rescaled=rescaled)
        solution = bg.solve(network.problem(), on_unattained="prune")
        found = quality.judge(network.without(solution.pruned_edges), solution.log_scales)
        assert found.relative_imbalance <= 1e-11
        costs.append(found.log_cost)
    assert costs[0] == pytest.approx(costs[1], abs=1e-11)


@pytest.mark.parametrize("name", ["20 layers", "scale-free", "BiPU, random", "tied channels"])
def test_judge_agrees_with_the_library(name, monkeypatch):
    monkeypatch.setattr(quality, "_SLICE", 1000)
    network = small(name)
    problem = network.problem()
    log_scales = np.where(network.pinned, 0.0, np.random.default_rng(0).normal(size=network.pinned.size))
    if network.groups is not None:
        log_scales = np.where(network.pinned, 0.0, log_scales[network.groups])
    found = quality.judge(network, log_scales)
    assert found.relative_imbalance == pytest.approx(problem.relative_imbalance(log_scales), rel=1e-12)
    assert found.log_cost == pytest.approx(problem.log_cost(log_scales), rel=1e-12)


def test_edges_are_taken_away():
    network = small("random")
    tail, head = (ends[[3, 70]] for ends in network.W.nonzero())
    less = network.without(list(zip(tail, head, strict=True)))
    assert np.count_nonzero(network.W.data) - np.count_nonzero(less.W.data) == 2
    assert not less.W[tail, head].any()


@pytest.mark.parametrize("name", [name for name in peers.PEERS if "cvxpy" not in name.lower()])
def test_peers_find_the_balanced_network(name):
    network = small("20 layers")
    log_scales, ended = peers.PEERS[name](network)
    assert quality.judge(network, log_scales).relative_imbalance <= 1e-5
    assert ended


def test_gradient_and_products_of_the_peers_are_derivatives():
    cost = peers.LogCost(small("BiPU, layered"))
    rng = np.random.default_rng(0)
    at, way = rng.normal(size=(2, cost.free.size))
    one, two = (cost.value_and_gradient(at + step * way) for step in (-1e-5, 1e-5))
    assert cost.value_and_gradient(at)[1] @ way == pytest.approx((two[0] - one[0]) / 2e-5, rel=1e-6)
    np.testing.assert_allclose(cost.hessian_product(at, way), (two[1] - one[1]) / 2e-5, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"), [({"tol": -1.0}, "tol must be positive"), ({"limit_seconds": 0.01}, "0.01 s")]
)
def test_failed_measurement_says_why(change, words):
    spec = {"task": "newton", "family": "20 layers", "edges": 1000, "tol": 1e-10, "limit_seconds": 100}
    assert words in measure.measured({**spec, **change})["failed"]


def test_failed_measurements_break_hypotheses():
    specs = [{**spec, "failed": "on purpose"} for spec in suites.SUITES["families"].specs(False)]
    found = [hypothesis.record(specs) for hypothesis in suites.SUITES["families"].hypotheses]
    assert all(one["holds"] is False and one["exceptions"] for one in found)


def test_hypotheses_about_large_networks_are_not_tested_by_small_ones():
    quick = [{**spec, "products": 1.0} for spec in suites.SUITES["growth"].specs(True)]
    found = suites.SUITES["growth"].hypotheses[-1].record(quick)
    assert found["holds"] is None


def test_files_are_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "a" / "results.json"
    results.write_json(file, {"one": np.float64(1.0), "nan": [float("nan")], "count": np.int64(3)})
    assert strict(file) == {"one": 1.0, "nan": [None], "count": 3}
    before = file.read_text()
    with pytest.raises(TypeError):
        results.write_json(file, {"set": {1}})
    with pytest.raises(TypeError):
        results.write_bytes(file, "text")
    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


def test_quick_run_is_recorded_and_drawn(tmp_path):
    printed = run("run.py", "--quick", "--only", "families", "--family", "20 layers", "--results", tmp_path)
    assert "[2/2]" in printed
    record = strict(tmp_path / "families.json")
    assert record["complete"]
    assert record["quick"]
    assert {"balance_graph", "python", "packages", "machine", "product", "hypotheses"} <= set(record)
    assert [one["rescaled"] for one in record["measures"]] == [False, True]
    for one in record["measures"]:
        assert one["status"] == "converged"
        assert one["relative_imbalance"] <= 1e-10
        assert {"seconds", "products", "unit_seconds", "runs", "edges", "log_cost", "notes"} <= set(one)
    assert record["measures"][0]["relative_gap"] <= 1e-10
    assert not list(tmp_path.glob("*.partial.json"))
    run("draw.py", "--results", tmp_path, "--docs", tmp_path / "docs")
    text = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert all(found["text"] in text for found in record["hypotheses"])
    assert "small sizes" in text
    assert (tmp_path / "docs" / "_static" / "benchmarks" / "families.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "families.json").rename(tmp_path / "families.partial.json")
    again = run("run.py", "--quick", "--only", "families", "--family", "20 layers", "--go-on", "--results", tmp_path)
    assert "/2]" not in again
    assert strict(tmp_path / "families.json")["measures"] == record["measures"]


def test_an_interrupted_search_for_faults_goes_on(tmp_path):
    log = tmp_path / "log.json"
    for count in (2, 3):
        printed = run("hostile_fuzz.py", count, "--largest", 4100, "--log", log)
    assert printed.split() == ["3", "right"]
    found = strict(log)
    assert (found["tried"], found["found"], found["cases"]) == (3, {"right": 3}, [])
    late = run("hostile_fuzz.py", 1, "--seed", 1, "--largest", 4100, "--time-limit", 1e-9)
    assert "unconverged: time" in late


@pytest.mark.parametrize("name", suites.SUITES)
def test_readme_states_every_hypothesis(name):
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    assert all(hypothesis.text in text for hypothesis in suites.SUITES[name].hypotheses)


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="the documentation is not part of this installation")
def test_page_is_drawn_from_the_results():
    records = draw.read_records(FOLDER / "results")
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == page.page(records)
