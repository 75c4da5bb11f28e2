"""What results say of themselves: regularizer, weight, constraints, status, attempts; and what they refuse.

Room: graph.
"""

from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest
from helpers import log1p2, log1p2_for_cvxpy
from scipy import sparse

import balance_graph as bg
from balance_graph.cli import main
from balance_graph.problem.regularizers import same_cost
from balance_graph.solvers import newton_run


@pytest.fixture
def network():
    return bg.networks.layered([3, 5, 4, 2], rng=0)


def renamed(network, weight):
    """The network with its weights in another attribute."""
    other = nx.DiGraph()
    other.add_nodes_from(network.nodes(data=True))
    other.add_edges_from((u, v, {weight: data["weight"]}) for u, v, data in network.edges(data=True))
    return other


def chain_of_groups():
    """x -> a -> b -> y, with a color on each unit: as a file from elsewhere has it."""
    G = nx.DiGraph()
    nx.add_path(G, "xaby")
    for edge, value in zip(G.edges, (8.0, 1.0, 0.5), strict=True):
        G.edges[edge]["weight"] = value
    for node in "ab":
        G.nodes[node]["group"] = 1
    return G


def dead_ends():
    """h reaches nothing, nothing reaches a; all else is fine."""
    edges = [("x", "h"), ("x", "m"), ("m", "y"), ("a", "b"), ("b", "y")]
    G = nx.DiGraph([(u, v, {"weight": 1.0 + k}) for k, (u, v) in enumerate(edges)])
    G.nodes["h"]["role"] = G.nodes["a"]["role"] = "hidden"
    return G


def as_arrays(G, pinned, **options):
    return bg.BalanceProblem.from_sparse(
        nx.to_scipy_sparse_array(G, dtype=float), pinned=np.array([node in pinned for node in G]), **options
    )


# --- the regularizer ------------------------------------------------------------------------------------------------


QUESTIONS = (bg.cost, bg.imbalance, bg.relative_imbalance, bg.is_balanced)


@pytest.mark.parametrize("regularizer", [1.5, bg.ElasticNet(l1=0.3, l2=1.0), log1p2()])
def test_a_result_is_asked_with_what_it_was_balanced_for(network, regularizer):
    result = bg.balance(renamed(network, "strength"), regularizer, weight="strength", solver="newton")
    assert same_cost(result.regularizer, bg.Lp(1.5) if regularizer == 1.5 else regularizer)
    assert result.weight == "strength"
    assert bg.is_balanced(result)
    assert bg.certify(result).relative_gap < 1e-11
    assert not bg.is_balanced(result.graph, 3.0, weight="strength")
    for ask in QUESTIONS:
        assert ask(result) == ask(result.graph, regularizer, weight="strength")
    assert bg.attainment(result).attained
    assert bg.manifold(result).edges == list(network.edges)
    assert repr(result.regularizer) in result.summary()
    assert repr(result.regularizer) in repr(result)
    assert bg.certify(result).regularizer is result.regularizer


@pytest.mark.parametrize("ask", [*QUESTIONS, bg.certify, bg.attainment, bg.convex_problem])
def test_another_regularizer_or_weight_is_refused(network, ask):
    result = bg.balance(network, 1.5)
    ask(result, 1.5, weight="weight")
    with pytest.raises(bg.InvalidParameterError, match=r"balanced for Lp\(p=1.5\), not for 2"):
        ask(result, 2)
    with pytest.raises(bg.InvalidParameterError, match="edge attribute 'weight', not 'w'"):
        ask(result, weight="w")


def test_the_same_cost_in_other_words_is_the_same():
    words = [bg.Lp(2), bg.ElasticNet(l1=0.0, l2=1.0), bg.Posynomial([(1.0, 2.0)])]
    assert all(same_cost(one, two) for one in words for two in words)
    assert not same_cost(bg.Lp(2), bg.Posynomial([(0.5, 2.0)]))
    assert not same_cost(bg.Lp(2), log1p2())
    assert same_cost(bg.Posynomial([(1.0, 2.0), (0.5, 1.0)]), bg.ElasticNet(l1=0.5, l2=1.0))


def test_a_picture_of_a_result_is_of_its_regularizer(network):
    result = bg.balance(network, 1.5)
    before = bg.relative_imbalance(network, 1.5)
    figure = bg.plots.plot_result(network, result)[0, 0].figure
    assert any(ax.get_title(loc="left").startswith(f"relative imbalance {before:.2g} →") for ax in figure.axes)
    assert float(figure.axes[1].get_title(loc="left").split("→")[1]) < 1e-9
    for options in ({"regularizer": 2.0}, {"weight": "w"}):
        with pytest.raises(bg.InvalidParameterError):
            bg.plots.plot_result(network, result, **options)
    with pytest.raises(bg.InvalidParameterError, match="edges are not the same"):
        bg.plots.plot_result(bg.networks.layered([3, 5, 2], rng=0), result)


def test_a_picture_leaves_out_what_the_result_left_out():
    result = bg.balance(chain_of_groups(), ignore="group")
    figure = bg.plots.plot_result(chain_of_groups(), result)[0, 0].figure
    # Two units, each balanced by itself, where the tied ones would be one.
    assert [len(points.get_offsets()) for points in figure.axes[1].collections] == [2, 2]


def test_runs_for_different_regularizers_are_not_compared(network):
    one, two = bg.balance(network, 1.5), bg.balance(network, 2.0)
    with pytest.raises(bg.InvalidParameterError, match="cannot be compared"):
        bg.plots.plot_convergence([one, two])
    with pytest.raises(bg.InvalidParameterError, match="not for 2"):
        bg.plots.plot_demo(network, {2.0: {"cvxpy": one}})
    bg.plots.plot_convergence([two, bg.solve(bg.compile_graph(network), "newton")])


def test_a_compiled_convex_problem_keeps_what_weights_cost(network):
    model = bg.convex_problem(network, 2)
    for other in (1.0, log1p2_for_cvxpy()):
        with pytest.raises(bg.InvalidParameterError, match="changes weights, not what they cost"):
            model.set_weights(bg.compile_graph(network, other))
    with_exponent = network.copy()
    next(iter(with_exponent.edges(data=True)))[2]["exponent"] = 1.0
    with pytest.raises(bg.InvalidParameterError, match="changes weights, not what they cost"):
        model.set_weights(bg.compile_graph(with_exponent))
    # Coefficients are part of the parameter of powers: the optimum moves with them.
    weighted = network.copy()
    nx.set_edge_attributes(weighted, 3.0, "coefficient")
    model.set_weights(bg.compile_graph(weighted))
    assert model.problem.solve() == pytest.approx(3 * bg.balance(network).cost, rel=1e-6)


def test_a_compiled_convex_problem_keeps_the_coefficients_of_a_function(network):
    regularizer = log1p2_for_cvxpy()
    model = bg.convex_problem(network, regularizer)
    model.set_weights(bg.compile_graph(bg.scale(network, {"h1.0": 2.0}), regularizer))
    weighted = network.copy()
    nx.set_edge_attributes(weighted, 3.0, "coefficient")
    with pytest.raises(bg.InvalidParameterError, match="changes weights, not what they cost"):
        model.set_weights(bg.compile_graph(weighted, regularizer))


# --- pruned solutions -----------------------------------------------------------------------------------------------


def test_a_pruned_solution_is_certified():
    problem = as_arrays(dead_ends(), "xy")
    solution = bg.solve(problem, on_unattained="prune")
    assert set(solution.pruned_edges) == {(0, 1), (4, 5), (5, 3)}
    rest = problem.pruned(solution)
    # x -> m -> y with weights 2 and 3: the optimum is twice the product.
    assert rest.cost(solution.log_scales) == pytest.approx(12.0, rel=1e-12)
    assert solution.cost == pytest.approx(12.0, rel=1e-12)
    assert bg.certify(rest, solution.log_scales).relative_gap < 1e-12
    assert bg.certify(problem, solution) == bg.certify(rest, solution.log_scales)
    assert bg.certify(problem, solution.log_scales).relative_gap > 0.5
    assert rest.pruned(bg.solve(rest)) is rest


@pytest.mark.parametrize("solver", ["newton", "stochastic"])
def test_a_large_pruned_solution_is_certified(solver):
    G = bg.networks.layered([40, 60, 60, 10], rng=0)
    G.add_edge("x0", "dead", weight=5.0)
    problem = as_arrays(G, {node for node in G if node[0] != "h" and node != "dead"})
    assert problem.n_edges > 4000
    solution = bg.solve(problem, solver, on_unattained="prune")
    assert len(solution.pruned_edges) == 1
    assert problem.manifold.edges[solution.pruned_rows[0]] == solution.pruned_edges[0]
    certificate = bg.certify(problem.pruned(solution), solution.log_scales)
    assert certificate.cost == pytest.approx(solution.cost, rel=1e-12)
    assert certificate.relative_gap < 1e-9


def test_shared_weights_that_die_are_pruned_together():
    G = dead_ends()
    G.edges["x", "h"]["shared"] = G.edges["a", "b"]["shared"] = "s"
    nx.set_edge_attributes(G, {("x", "h"): 1.0, ("a", "b"): 1.0}, "weight")
    problem = bg.compile_graph(G)
    solution = bg.solve(problem, on_unattained="prune")
    assert bg.certify(problem.pruned(solution), solution.log_scales).relative_gap < 1e-12
    assert bg.balance(G, on_unattained="prune").certificate == bg.certify(problem, solution)


def test_solutions_of_other_problems_are_refused(network):
    problem = bg.compile_graph(network, 2)
    for ask in (problem.pruned, lambda solution: bg.certify(problem, solution)):
        with pytest.raises(bg.InvalidParameterError, match=r"balanced for Lp\(p=1.5\), the problem asks for Lp\(p=2.0"):
            ask(bg.solve(bg.compile_graph(network, 1.5)))
        with pytest.raises(bg.InvalidParameterError, match="another problem, of 3 nodes, not 15"):
            ask(bg.solve(bg.compile_graph(bg.networks.chain(weights=[1.0, 2.0]))))
    with pytest.raises(bg.InvalidParameterError, match="what solve"):
        problem.pruned(np.zeros(15))


# --- statuses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tol", "status"), [(1e-12, "inaccurate"), (1e-3, "converged")])
def test_an_unpolished_answer_is_held_to_the_tolerance(network, tol, status):
    result = bg.balance(network, solver=bg.CvxpySolver(polish=False, tol=tol))
    assert 1e-12 < result.relative_imbalance < 1e-3
    assert result.status == status
    assert result.converged == (status == "converged")
    assert bg.balance(network, solver=bg.CvxpySolver(tol=tol)).converged


def nothing_to_scale():
    fixed = nx.DiGraph([("x", "h", {"weight": 1.0, "fixed": True}), ("h", "y", {"weight": 2.0, "fixed": True})])
    return {
        "no free node": nx.DiGraph([("x", "y", {"weight": 2.0})]),
        "only tanh": bg.networks.layered([2, 3, 1], "tanh", rng=0),
        "held by fixed edges": fixed,
        "zero weights": nx.DiGraph([("x", "h", {"weight": 0.0}), ("h", "y", {"weight": 0.0})]),
        "no edges": nx.empty_graph(3, create_using=nx.DiGraph),
    }


@pytest.mark.parametrize("name", nothing_to_scale())
@pytest.mark.parametrize("solver", ["auto", "cvxpy", "newton", "stochastic", "flow"])
def test_nothing_to_scale_is_said_first(name, solver):
    G = nothing_to_scale()[name]
    result = bg.balance(G, solver=solver)
    assert result.status is bg.Status.NOTHING_TO_SCALE
    assert result.summary().startswith("nothing to scale")
    assert result.converged
    assert result.relative_imbalance == 0.0
    assert nx.utils.graphs_equal(result.graph, G)


def test_status_of_a_network_with_free_nodes_is_another(network):
    assert bg.balance(network).status is bg.Status.CONVERGED


# --- solvers --------------------------------------------------------------------------------------------------------


class _Counting(bg.NewtonSolver):
    """A user's own method."""

    calls = 0

    def run(self, reduction, *, start=None, report=lambda *_: None):
        type(self).calls += 1
        return super().run(reduction, start=start, report=report)


@pytest.mark.parametrize("widths", [[3, 4, 2], [40, 60, 60, 10]])
def test_a_solver_that_overrides_run_is_run_whatever_the_size(widths):
    problem = bg.compile_graph(bg.networks.layered(widths, rng=0))
    _Counting.calls = 0
    solution = bg.solve(problem, _Counting())
    assert _Counting.calls == 1
    assert solution.converged
    assert solution.log_cost == pytest.approx(bg.solve(problem).log_cost, abs=1e-12)


def test_an_own_limit_is_left_alone():
    seen = []

    class Limited(bg.NewtonSolver):
        def run(self, reduction, *, start=None, report=lambda *_: None):
            seen.append(self.max_iterations)
            return super().run(reduction, start=start, report=report)

    bg.balance(bg.networks.layered([3, 4, 2], rng=0), solver=Limited(max_iterations=777))
    assert seen == [777]


def test_auto_means_one_thing(network, monkeypatch):
    def fails(*_args, **_options):
        raise bg.SolverError("the backend is out of order")

    monkeypatch.setattr(bg.CvxpySolver, "run", fails)
    for solution in (bg.balance(network).solution, bg.solve(bg.compile_graph(network), "auto")):
        assert solution.solver == "newton"
        assert solution.converged
        assert "Newton took over: the backend is out of order" in solution.notes
    for solve in (lambda: bg.balance(network, solver="cvxpy"), lambda: bg.solve(bg.compile_graph(network), "cvxpy")):
        with pytest.raises(bg.SolverError, match="out of order"):
            solve()


def test_auto_is_newton_above_2000_edges():
    problem = bg.compile_graph(bg.networks.layered([30, 60, 10], rng=0))
    assert problem.n_edges > 2000
    assert bg.solve(problem, "auto").solver == "newton"


@pytest.fixture
def stalling(monkeypatch):
    """Inexact Newton that goes two iterations and then gives up."""
    monkeypatch.setitem(newton_run._PATIENCE, "edges", 2)


def test_iterations_of_nested_sets_add_up(stalling):
    solution = bg.solve(bg.compile_graph(bg.networks.layered([40, 60, 60, 10], rng=0)))
    assert "Newton made no headway; balancing of nested sets took over" in solution.notes
    assert solution.converged
    assert solution.iterations > 2
    assert len(solution.history) == solution.iterations + 1


@pytest.mark.usefixtures("without_sets")
def test_iterations_and_histories_of_attempts_add_up(stalling):
    problem = bg.compile_graph(bg.networks.layered([40, 60, 60, 10], rng=0))
    solution = bg.solve(problem)
    assert "inexact Newton stalled; exact Newton took over" in solution.notes
    assert solution.converged
    alone = bg.solve(problem, bg.NewtonSolver(engine="rows"))
    assert 2 < solution.iterations <= 2 + alone.iterations
    assert len(solution.history) == solution.iterations + 1
    assert solution.history.imbalance[-1] <= 1e-12
    assert all(
        later <= earlier + 1e-9
        for earlier, later in zip(solution.history.log_cost[3:], solution.history.log_cost[4:], strict=False)
    )


@pytest.mark.usefixtures("without_sets")
@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_attempts_together_keep_the_limit(stalling, limit):
    problem = bg.compile_graph(bg.networks.layered([40, 60, 60, 10], rng=0))
    solution = bg.solve(problem, bg.NewtonSolver(max_iterations=limit))
    assert solution.iterations <= limit
    assert solution.converged or (solution.status == "limit reached" and solution.iterations == limit)
    assert any("took over" in note for note in solution.notes) == (limit > 2)


@pytest.mark.usefixtures("without_sets")
def test_a_small_network_counts_both_methods(monkeypatch):
    """Exact Newton stops short; continuation in temperature goes on: the iterations of both count."""
    network = bg.networks.layered([3, 5, 4, 2], rng=0)
    monkeypatch.setitem(newton_run._PATIENCE, "rows", 2)
    solution = bg.solve(bg.compile_graph(bg.scale(network, {"h1.0": 1e6})))
    assert any("continuation in temperature took over" in note for note in solution.notes)
    assert solution.converged
    assert solution.iterations > 2
    assert len(solution.history) == solution.iterations + 1


# --- constraints that a file brought in -----------------------------------------------------------------------------


def test_a_foreign_group_is_named_with_the_switch():
    G = chain_of_groups()
    tied, free = bg.balance(G), bg.balance(G, ignore=["group"])
    # Free: three equal costs of a chain with product 4. Tied: the middle weight stays, the other two meet.
    assert free.cost == pytest.approx(3 * 4.0 ** (2 / 3), rel=1e-12)
    assert tied.cost == pytest.approx(2 * 4.0 + 1.0, rel=1e-12)
    assert "group               ties 2 nodes to 1 scale" in tied.summary()
    assert "ignore=['group']" in tied.summary()
    assert [(one.attribute, one.count) for one in tied.constraints] == [("group", 2)]
    assert free.constraints == ()
    assert "ignored             group" in free.summary()
    assert free.graph.nodes["a"]["group"] == 1
    assert bg.is_balanced(free)
    assert (bg.manifold(free).dimension, bg.manifold(tied).dimension) == (2, 1)
    assert bg.certify(free).relative_gap < 1e-12
    assert bg.balance(bg.networks.layered([2, 3, 1], rng=0)).constraints == ()


ATTRIBUTES = {
    "role": (lambda G: G.nodes["b"].update(role="output"), "pins 1 inner node: 'b'"),
    "activation": (lambda G: G.nodes["b"].update(activation="tanh"), "pins 1 node, not homogeneous: 'b'"),
    "group": (lambda G: [G.nodes[node].update(group=7) for node in "ab"], "ties 2 nodes to 1 scale"),
    "coefficient": (lambda G: G.edges["x", "a"].update(coefficient=2), "multiplies the cost of 1 edge"),
    "exponent": (lambda G: G.edges["x", "a"].update(exponent=1), "is that of 1 edge, in place of the regularizer's"),
    "fixed": (lambda G: G.edges["x", "a"].update(fixed=True), "holds 1 weight"),
    "shared": (
        lambda G: [G.edges[edge].update(shared="s", weight=2.0) for edge in (("x", "a"), ("a", "b"))],
        "makes 2 edges 1 parameter",
    ),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_is_named_and_can_be_left_out(name):
    plain = nx.DiGraph()
    nx.add_path(plain, "xaby")
    nx.set_edge_attributes(plain, dict(zip(plain.edges, (8.0, 1.0, 0.5), strict=True)), "weight")
    set_attribute, effect = ATTRIBUTES[name]
    G = plain.copy()
    set_attribute(G)
    result, ignored = bg.balance(G), bg.balance(G, ignore=(name,))
    assert [(one.attribute, one.effect) for one in result.constraints] == [(name, effect)]
    weights = nx.get_edge_attributes(G, "weight")
    nx.set_edge_attributes(plain, weights, "weight")
    assert ignored.cost == pytest.approx(bg.balance(plain).cost, rel=1e-12)
    assert ignored.cost != pytest.approx(result.cost, rel=1e-3)
    assert bg.compile_graph(G, ignore=name).n_edges == 3
    assert nx.get_edge_attributes(G, "weight") == weights


def test_what_is_left_out_is_not_named_as_the_cause():
    G = chain_of_groups()
    G.nodes["b"].update(role="output", activation="tanh", group=None)
    assert [one.attribute for one in bg.balance(G).constraints] == ["role"]
    assert [one.attribute for one in bg.balance(G, ignore="role").constraints] == ["activation"]


def test_ties_without_effect_are_not_named():
    G = chain_of_groups()
    G.nodes["a"]["group"], G.nodes["b"]["group"] = 1, 2
    G.nodes["x"]["group"] = G.nodes["y"]["group"] = 3
    G.edges["x", "a"]["coefficient"] = 1.0
    G.edges["x", "a"]["fixed"] = False
    G.nodes["y"]["role"] = "output"
    assert bg.balance(G).constraints == ()


def foreign(**attributes):
    G = chain_of_groups()
    for name, value in attributes.items():
        owner = G.edges["x", "a"] if name in {"fixed", "coefficient", "exponent", "shared"} else G.nodes["b"]
        owner[name] = value
    return G


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ({"role": "manager"}, ["role"]),
        ({"activation": "2021-04-05"}, ["activation"]),
        ({"fixed": "yes"}, ["fixed"]),
        ({"coefficient": -1}, ["coefficient"]),
        ({"role": "manager", "fixed": "yes"}, ["role", "fixed"]),
        ({"activation": "tanh"}, ["group"]),
    ],
)
def test_refusals_of_foreign_attributes_name_the_switch(attributes, names):
    G = foreign(**attributes)
    with pytest.raises(bg.InvalidNetworkError) as caught:
        bg.balance(G)
    assert str(caught.value).endswith(f"ignore={names!r} of balance")
    bg.balance(G, ignore=names)


def test_other_refusals_stay_as_they_are():
    G = chain_of_groups()
    G.edges["x", "a"]["weight"] = float("nan")
    with pytest.raises(bg.InvalidNetworkError) as caught:
        bg.balance(G)
    assert "ignore" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["groups", ["weight"], 3, [None]])
def test_ignoring_what_means_nothing_is_refused(wrong):
    with pytest.raises(bg.InvalidParameterError, match="role, activation, group, coefficient, exponent, fixed, shared"):
        bg.balance(chain_of_groups(), ignore=wrong)


class TestCommandLine:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "colors.json"
        bg.write_network(chain_of_groups(), path)
        return str(path)

    def test_balance_names_the_ties_and_the_switch(self, file, capsys):
        assert main(["balance", file]) == 0
        text = capsys.readouterr().out
        assert "ties 2 nodes to 1 scale" in text
        assert "to leave out: --ignore group\n" in text
        assert main(["balance", file, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        effect = {"attribute": "group", "count": 2, "effect": "ties 2 nodes to 1 scale"}
        assert (document["constraints"], document["ignored"]) == ([effect], [])
        assert document["cost"] == pytest.approx(9.0)

    def test_the_switch_leaves_them_out_and_keeps_the_attribute(self, file, tmp_path, capsys):
        output, plot = str(tmp_path / "out.json"), str(tmp_path / "out.png")
        assert main(["balance", file, "--ignore", "group,fixed", "--json", "--output", output, "--plot", plot]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["constraints"], document["ignored"]) == ([], ["group", "fixed"])
        assert document["cost"] == pytest.approx(3 * 4.0 ** (2 / 3))
        assert bg.read_network(output).nodes["a"]["group"] == 1
        assert main(["inspect", output, "--ignore", "group"]) == 0
        assert "balanced" in capsys.readouterr().out
        assert main(["compare", file, output, "--ignore", "group"]) == 0
        assert main(["compare", file, output]) == 1

    def test_inspect_names_them_too(self, file, capsys):
        assert main(["inspect", file]) == 0
        assert "--ignore group\n" in capsys.readouterr().out
        assert main(["inspect", file, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["constraints"][0]["attribute"] == "group"

    def test_verify_takes_the_switch(self, file, capsys):
        assert main(["verify", file, "--ignore", "groups"]) == 2
        assert "role, activation, group" in capsys.readouterr().err

    def test_a_refusal_names_the_switch(self, tmp_path, capsys):
        path = str(tmp_path / "roles.json")
        bg.write_network(foreign(role="manager"), path)
        assert main(["balance", path]) == 2
        assert capsys.readouterr().err.endswith("if 'role' means something else here: --ignore role\n")
        assert main(["balance", path, "--ignore", "role"]) == 0


# --- remedies -------------------------------------------------------------------------------------------------------

GRAPH_WORDS = ("role", "activation", "attribute", "shared", "fixed")
ARRAY_WORDS = ("pinned=", "groups", "`pinned`")


def test_remedies_for_dead_nodes_of_a_graph():
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.balance(dead_ends())
    message = str(caught.value)
    assert 'add an input that feeds these units: a node with role="input" and edges to them' in message
    assert "let these units reach an output" in message
    assert "on_unattained='prune'" in message
    assert not any(word in message for word in ARRAY_WORDS)


def test_remedies_fit_the_reasons():
    G = dead_ends()
    G.remove_node("h")
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.balance(G)
    assert "add an input that feeds these units" in str(caught.value)
    assert "reach an output" not in str(caught.value)
    G.add_edge("x", "a", weight=1.0)  # the remedy
    assert bg.balance(G).converged


def test_remedies_for_dead_nodes_of_arrays():
    problem = as_arrays(dead_ends(), "xy")
    with pytest.raises(bg.NotAttainedError) as caught:
        bg.solve(problem)
    message = str(caught.value)
    assert "feed these nodes: add a pinned node with edges to them" in message
    assert "pin them (pinned=)" in message
    assert not any(word in message for word in GRAPH_WORDS)


@pytest.mark.parametrize("options", [{"pinned": [True, False, False, False]}, {"degree": [1.0, 1.0, 2.0, 1.0]}])
def test_remedies_for_groups_of_arrays(options):
    options = {"pinned": [True, False, False, True], **options}
    with pytest.raises(bg.InvalidNetworkError) as caught:
        bg.BalanceProblem.from_sparse(
            sparse.csr_array(np.diag([1.0, 2.0, 3.0], 1)),
            groups=np.array([0, 1, 1, 0]),
            **{name: np.array(value) for name, value in options.items()},
        )
    assert "`groups`" in str(caught.value)
    assert not any(word in str(caught.value) for word in GRAPH_WORDS)


def test_log_scales_of_arrays_break_only_what_arrays_have():
    problem = as_arrays(dead_ends(), "xy")
    with pytest.raises(bg.InvalidParameterError, match="0 where pinned") as caught:
        bg.certify(problem, np.ones(6))
    assert not any(word in str(caught.value) for word in GRAPH_WORDS)


def test_what_cannot_prune_does_not_advise_it():
    from balance_graph.theory import bounds, rates

    G = dead_ends()
    problem = bg.compile_graph(G)
    for ask in (
        lambda: bg.balance_node(G, "h"),
        lambda: bounds.scale_bounds(problem),
        lambda: rates.predicted_rate(problem, order="cyclic"),
    ):
        with pytest.raises(bg.NotAttainedError) as caught:
            ask()
        assert "on_unattained" not in str(caught.value)


def test_the_limit_of_a_backend_is_named():
    solver = bg.CvxpySolver(polish=False, options={"max_iter": 1})
    result = bg.balance(bg.networks.layered([3, 4, 2], rng=0), solver=solver)
    assert not result.converged
    if result.status is bg.Status.LIMIT:
        assert "that of the backend" in result.summary()
