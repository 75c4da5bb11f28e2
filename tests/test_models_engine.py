"""The engine by itself, without any framework: equations, forms, gains, rules.

Room: models.
"""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from balance_graph import InvalidParameterError
from balance_graph.models import Tensor, Trace, find_rule, known_operations, rule, structure_of
from balance_graph.models.elimination import eliminate
from balance_graph.models.equations import Equations
from balance_graph.models.labels import PINNED, ZERO, compact, constant, constant_like
from balance_graph.models.tensors import pinned
from balance_graph.models.terms import cost_terms


def run(trace, name, *operands, shape, owner="", **options):
    with trace.at(owner, name, [shape]):
        return find_rule(name)(trace, *operands, **options)


def network(trace, widths, *, between="relu", batch=2, bias=False):
    """Linear layers, a function after each but the last."""
    x = pinned((batch, widths[0]))
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        weight = trace.parameter(f"w{k}", f"w{k}", (outputs, inputs))
        parameters = (weight, trace.parameter(f"b{k}", f"b{k}", (outputs,))) if bias else (weight,)
        x = run(trace, "linear", x, *parameters, shape=(batch, outputs), owner=f"layer {k}")
        if k < len(widths) - 2:
            x = run(trace, between, x, shape=x.shape)
    trace.pin(x, "output")
    return structure_of(trace)


def test_a_network_has_a_scale_for_each_hidden_unit():
    structure = network(Trace(), [3, 4, 5, 2])
    assert structure.scales == tuple([f"layer 0 unit {k}" for k in range(4)] + [f"layer 1 unit {k}" for k in range(5)])
    gains = structure.log_gains(scales := np.arange(1.0, 10.0))
    np.testing.assert_array_equal(gains["w0"], np.broadcast_to(scales[:4, None], (4, 3)))
    np.testing.assert_array_equal(gains["w1"], scales[4:, None] - scales[None, :4])
    np.testing.assert_array_equal(gains["w2"], np.broadcast_to(-scales[4:], (2, 5)))


def test_degrees_multiply_what_is_read():
    structure = network(Trace(), [3, 4, 2], between="square")
    gains = structure.log_gains(np.arange(1.0, 5.0))
    np.testing.assert_array_equal(gains["w1"], np.broadcast_to(-2 * np.arange(1.0, 5.0), (2, 4)))


def test_fractions_become_integers():
    # The square root of a unit: with the unit's scale doubled, all coefficients are integers.
    structure = network(Trace(), [3, 2, 2], between="sqrt")
    assert set(structure.forms.data.tolist()) <= {2, -1}
    gains = structure.log_gains([1.0, 3.0])
    np.testing.assert_array_equal(gains["w0"] / 2, -gains["w1"].T[:, :1] * np.ones(3))


def test_what_saturates_is_pinned_with_its_reason():
    structure = network(Trace(), [3, 4, 2], between="tanh", bias=True)
    assert structure.size == 0
    unit = next(unit for unit in structure.units if unit.name == "layer 0 unit 1")
    assert (unit.status, unit.reason) == ("pinned", "input of tanh")
    assert structure.log_gains(np.zeros(0)) == {}


def test_an_unknown_operation_pins_what_it_reads_and_is_named():
    trace = Trace()
    weight = trace.parameter("w", "first.weight", (4, 3))
    x = run(trace, "linear", pinned((2, 3)), weight, shape=(2, 4), owner="first")
    with trace.at("strange", "mylib::twist", [(2, 4)]):
        x = trace.refuse("unknown operation mylib::twist", [x])
    structure = structure_of(trace)
    assert structure.size == 0
    assert structure.unknown == {"mylib::twist": ("strange",)}
    assert structure.units[0].status == "refused"
    assert "mylib::twist" in structure.summary()


def test_users_add_rules():
    @rule("test::cube")
    def cube(trace, x):
        return Tensor(trace.multiple(trace.labels(x), 3))

    assert "test::cube" in known_operations()
    structure = network(Trace(), [2, 3, 2], between="test::cube")
    np.testing.assert_array_equal(structure.log_gains([1.0, 0, 0])["w1"][:, 0], [-3, -3])
    with pytest.raises(InvalidParameterError, match="names of operations"):
        rule()


def test_log_scales_are_checked():
    structure = network(Trace(), [2, 3, 2])
    for wrong in ([1.0], [np.nan, 0, 0], np.zeros((3, 1))):
        with pytest.raises(InvalidParameterError, match="3 finite numbers"):
            structure.values(wrong)


def test_elimination_is_exact_and_keeps_integers():
    # x2 = x0 + x1, 2 x3 = 3 x0, x4 = x2 - x1: the last is x0.
    rows = [{0: 1, 1: 1, 2: -1}, {3: 2, 0: -3}, {2: 1, 1: -1, 4: -1}]
    pivots = eliminate(rows, [0, 1, 2, 3, 4])
    forms = {k: pivots.get(k, {k: 1}) for k in range(5)}

    def value(k, free):
        return sum(factor * free[column] for column, factor in forms[k].items())

    free = {column: Fraction(1 + column, 7) for form in forms.values() for column in form}
    x = [value(k, free) for k in range(5)]
    assert x[2] == x[0] + x[1]
    assert 2 * x[3] == 3 * x[0]
    assert x[4] == x[2] - x[1] == x[0]
    assert len(free) == 2


@pytest.mark.parametrize("seed", range(5))
def test_elimination_finds_the_null_space(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-2, 3, (6, 9))
    pivots = eliminate([{k: int(v) for k, v in enumerate(row) if v} for row in matrix], list(range(9)))
    free = [k for k in range(9) if k not in pivots]
    assert len(free) == 9 - np.linalg.matrix_rank(matrix)
    for column in free:
        x = [pivots.get(k, {k: 1}).get(column, 0) for k in range(9)]
        assert not any(sum(int(a) * b for a, b in zip(row, x, strict=True)) for row in matrix)


def test_sums_of_log_scales_are_simplified():
    equations = Equations()
    a, b = equations.fresh((2,), "m", "unit")
    assert equations.sum_of([(1, np.array([a])), (-1, np.array([a]))])[0] == PINNED
    assert equations.sum_of([(1, np.array([a])), (1, np.array([PINNED]))])[0] == a
    assert equations.sum_of([(1, np.array([a])), (1, np.array([ZERO]))])[0] == ZERO
    one, two = equations.sum_of([(1, np.array([a, b])), (1, np.array([b, a]))])
    assert one == two > b


def test_labels_take_no_more_memory_than_what_differs():
    labels = np.broadcast_to(np.arange(3)[:, None], (3, 10**6))
    assert compact(labels).shape == (3, 1)
    assert compact(np.ascontiguousarray(labels[:, :50])).shape == (3, 1)
    assert constant(PINNED, (10**9,)).strides == (0,)
    np.testing.assert_array_equal(constant_like(np.array([0.0, 1.0, -np.inf])), [ZERO, PINNED, ZERO])


def test_a_matrix_used_twice_is_one_parameter():
    # relu(W relu(W x)) with W between units of the same scales: W's gains are differences, so all uses agree on one
    # scale for each unit only if the first layer and the last make up for it.
    trace = Trace()
    first, square, last = (trace.parameter(k, k, shape) for k, shape in (("f", (4, 3)), ("s", (4, 4)), ("l", (2, 4))))
    x = run(trace, "linear", pinned((2, 3)), first, shape=(2, 4), owner="first")
    for _ in range(2):
        x = run(trace, "linear", x, square, shape=(2, 4), owner="square")
    trace.pin(run(trace, "linear", x, last, shape=(2, 2)), "output")
    structure = structure_of(trace)
    # u, then v, then w with w - v = v - u: u is free, and v - u one number, since it is the same for rows and columns.
    assert structure.size == 5
    assert structure.scales[0] == "first unit 0"


def test_a_partly_used_parameter_is_pinned():
    trace = Trace()
    table = trace.parameter("t", "positions", (9, 4))
    first, last = trace.parameter("f", "f", (4, 3)), trace.parameter("l", "l", (2, 4))
    x = run(trace, "linear", pinned((5, 3)), first, shape=(5, 4))
    some = trace.move(lambda array: array[:5], table)
    trace.pin(run(trace, "linear", run(trace, "add", x, some, shape=(5, 4)), last, shape=(5, 2)), "output")
    structure = structure_of(trace)
    assert structure.size == 0
    assert structure.pinned_parameters == {"positions": "only a part of it is used with these example inputs"}


def test_terms_are_the_cost_at_every_scale():
    rng = np.random.default_rng(3)
    trace = Trace()
    structure = network(trace, [3, 4, 4, 2], bias=True)
    weights = {key: rng.standard_normal(p.shape) for key, p in trace.parameters.items()}

    def powers(parameter, block):
        values = np.abs(weights[parameter.key]) ** 1.5
        return values.sum() if block is None else block.sums(values)

    terms = cost_terms(structure, powers, 1.5)
    scales = rng.standard_normal(structure.size)
    gains = structure.log_gains(scales)
    expected = sum((np.abs(w * np.exp(gains.get(key, 0.0))) ** 1.5).sum() for key, w in weights.items())
    found = np.exp(terms.log_coefficient + terms.exponent * (terms.A @ scales)).sum()
    assert found == pytest.approx(expected, rel=1e-13)
    # inputs and biases of 4 units, 4 x 4, biases of 4, 4 outputs, and the last biases
    assert terms.A.shape == (4 + 16 + 4 + 4 + 1, 8)
    weights_only = cost_terms(structure, powers, 1.5, ["weight"])
    assert weights_only.A.shape[0] == 4 + 16 + 4
    with pytest.raises(InvalidParameterError, match="roles"):
        cost_terms(structure, powers, 1.5, ["gain"])


def test_torch_may_be_absent():
    source = """
import sys
sys.modules["torch"] = None
import balance_graph as bg, balance_graph.models
try:
    import balance_graph.pytorch
except bg.MissingDependencyError as error:
    print(error)
"""
    command = [sys.executable, "-W", "error", "-c", source]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert 'pip install "balance-graph[torch]"' in printed
