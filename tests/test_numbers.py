"""Weights and other numbers of any numeric type: taken as the nearest float, or refused; never silently zero.

Rooms: graph, problem.
"""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

import balance_graph as bg
from balance_graph.errors import InvalidNetworkError, InvalidParameterError, NetworkFileError
from balance_graph.graph.files import read_network, write_network

TAKEN = [
    Decimal("0.5"),
    Fraction(1, 2),
    np.float16(0.5),
    np.float32(0.5),
    np.float64(0.5),
    np.longdouble(0.5),
]
INTEGERS = [3, np.int8(3), np.uint8(3), np.int64(3), np.uint64(3), Decimal(3), Fraction(3), np.longlong(3)]
has_extended_floats = np.longdouble("1e-400") != 0
VANISHING = [Decimal("1e-400"), Fraction(1, 10**400), *([np.longdouble("1e-400")] if has_extended_floats else [])]
NO_WEIGHTS = [
    True,
    np.True_,
    1j,
    np.complex128(1),
    "2",
    None,
    np.timedelta64(3),
    np.datetime64("2020"),
    np.array(0.5),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Fraction(10**400),
    10**400,
    np.longdouble("inf"),
]


def chain(weight, **attributes):
    return nx.DiGraph([("x", "h", {"weight": weight, **attributes}), ("h", "y", {"weight": 2.0})])


class TestEdges:
    @pytest.mark.parametrize("weight", TAKEN, ids=repr)
    def test_one_half_of_any_type(self, weight):
        result = bg.balance(chain(weight), solver="newton")
        assert result.scales["h"] == pytest.approx(2.0, rel=1e-12)  # s^2 = 2 / (1 / 2)
        assert {type(value) for *_, value in result.graph.edges(data="weight")} == {float}
        assert bg.cost(chain(weight), 2.0) == 4.25
        assert bg.evaluate(chain(weight), [[2.0]]).item() == 2.0

    @pytest.mark.parametrize("weight", INTEGERS, ids=repr)
    def test_integers_of_any_type(self, weight):
        assert bg.balance(chain(weight), solver="newton").cost == pytest.approx(12.0, rel=1e-12)

    @pytest.mark.parametrize("weight", VANISHING, ids=lambda value: type(value).__name__)
    @pytest.mark.parametrize("sign", [1, -1])
    def test_what_is_not_zero_does_not_become_zero(self, weight, sign):
        with pytest.raises(InvalidNetworkError, match=r"edge \('x', 'h'\): weight is .*is not zero, but smaller than"):
            bg.balance(chain(sign * weight))

    @pytest.mark.parametrize("zero", [Decimal(0), Fraction(0), np.longdouble(0), np.float16(0), np.int8(0)], ids=repr)
    def test_zero_is_zero(self, zero):
        assert bg.cost(chain(zero), 2.0) == 4.0

    @pytest.mark.parametrize("weight", NO_WEIGHTS, ids=repr)
    def test_what_is_no_finite_number_is_refused(self, weight):
        with pytest.raises(InvalidNetworkError, match=r"edge \('x', 'h'\): weight is .*; it must be a finite number"):
            bg.cost(chain(weight), 2.0)

    def test_extended_floats_that_are_too_large(self):
        weight = np.longdouble("1e400") if has_extended_floats else np.longdouble("inf")
        with pytest.raises(InvalidNetworkError, match=r"weight is .*; it must be a finite number"):
            bg.cost(chain(weight), 2.0)

    def test_numbers_round_to_the_nearest_float(self):
        third, tenth = Fraction(1, 3), Decimal("0.1")
        problem = bg.compile_graph(nx.DiGraph([("x", "y", {"weight": third}), ("x", "z", {"weight": tenth})]))
        assert problem.weight.tolist() == [1 / 3, 0.1]

    def test_unchanged_weights_keep_their_type(self):
        G = nx.DiGraph([("x", "y", {"weight": Decimal("0.1")}), *chain(2.0).edges(data=True)])
        assert bg.balance(G, solver="newton").graph.edges["x", "y"]["weight"] is G.edges["x", "y"]["weight"]

    @pytest.mark.parametrize("name", ["coefficient", "exponent"])
    def test_other_numbers_of_edges(self, name):
        costs = {bg.cost(chain(4.0, **{name: value}), 2.0) for value in TAKEN}
        assert len(costs) == 1
        for value in VANISHING:
            with pytest.raises(InvalidNetworkError, match=rf"{name} is .* is not zero, but smaller"):
                bg.cost(chain(4.0, **{name: value}), 2.0)


class TestParameters:
    @pytest.mark.parametrize("p", [Decimal("1.5"), Fraction(3, 2), np.float16(1.5), np.longdouble(1.5)], ids=repr)
    def test_exponents_of_any_type(self, p):
        assert bg.Lp(p) == bg.Lp(1.5)

    @pytest.mark.parametrize("p", VANISHING, ids=lambda value: type(value).__name__)
    def test_exponents_that_vanish(self, p):
        with pytest.raises(InvalidParameterError, match=r"is not zero, but smaller than the smallest float"):
            bg.Lp(p)

    def test_layers_of_extended_floats(self):
        tiny, large = np.longdouble("1e-400"), np.longdouble("1e400")
        if has_extended_floats:
            with pytest.raises(InvalidParameterError, match=r"weights\[0\] .*is not zero, but smaller"):
                bg.networks.from_layers([np.array([[tiny]])])
            with pytest.raises(InvalidNetworkError, match=r"holds inf on edge"):
                bg.networks.from_layers([np.array([[large]])])
        assert bg.networks.from_layers([np.array([[0.5]], dtype=np.longdouble)]).edges["x0", "y0"]["weight"] == 0.5


class TestSparse:
    PINNED = np.array([True, False, True])

    def problem(self, values, kind=sparse.csr_array):
        return bg.BalanceProblem.from_sparse(
            kind(sparse.coo_array((values, ([0, 1], [1, 2])), shape=(3, 3))), pinned=self.PINNED
        )

    @pytest.mark.parametrize("kind", [sparse.csr_array, sparse.coo_array, sparse.csc_array, sparse.csr_matrix])
    @pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "u4", "i8", "u8", "f4", "f8", "g"])
    def test_any_dtype(self, dtype, kind):
        problem = self.problem(np.array([8, 2], dtype=dtype), kind)
        assert problem.weight.dtype == (np.float32 if dtype == "f4" else np.float64)
        assert bg.solve(problem, solver="newton").log_scales[1] == pytest.approx(-np.log(2.0), abs=1e-6)

    def test_a_matrix_of_bools_has_weights_1(self):
        assert self.problem(np.array([True, True])).weight.tolist() == [1.0, 1.0]

    @pytest.mark.parametrize("dtype", ["?", "i1", "u1"])
    def test_duplicates_are_summed_without_overflow(self, dtype):
        values = np.array([100, 100, 100]).astype(dtype)
        W = sparse.coo_array((values, ([0, 0, 1], [1, 1, 2])), shape=(3, 3))
        weight = bg.BalanceProblem.from_sparse(W, pinned=self.PINNED).weight
        assert weight.tolist() == [2.0 * float(values[0]), float(values[0])]

    @pytest.mark.skipif(not has_extended_floats, reason="long double is double here")
    def test_extended_floats_beyond_the_range(self):
        with pytest.raises(InvalidNetworkError, match=r"is not zero, but smaller than the smallest float; multiply W"):
            self.problem(np.array([np.longdouble("1e-400"), 1]))
        with pytest.raises(InvalidNetworkError, match=r"weight of edge \(0, 1\) is inf"):
            self.problem(np.array([np.longdouble("1e400"), 1]))

    def test_complex_numbers_are_told_what_to_do(self):
        with pytest.raises(InvalidParameterError, match=r"dtype complex128; balance abs\(W\)"):
            self.problem(np.array([1j, 1]))


@pytest.mark.parametrize("suffix", [".json", ".graphml", ".csv", ".tsv"])
class TestFiles:
    @pytest.mark.parametrize("weight", [*TAKEN, Decimal("0.1"), Decimal("1E-5"), Fraction(-3, 8)], ids=repr)
    def test_written_as_the_float_of_the_same_value(self, weight, suffix, tmp_path):
        write_network(chain(weight, coefficient=weight), tmp_path / f"n{suffix}")
        again = read_network(tmp_path / f"n{suffix}").edges["x", "h"]
        assert again == {"weight": float(weight), "coefficient": float(weight)}
        assert {type(value) for value in again.values()} == {float}

    @pytest.mark.parametrize("weight", [Fraction(1, 3), Decimal("0.12345678901234567890123"), *VANISHING])
    def test_refused_where_no_float_has_the_value(self, weight, suffix, tmp_path):
        with pytest.raises(NetworkFileError, match=r"edge 'x' -> 'h'.*(no float|smaller than the smallest float)"):
            write_network(chain(weight), tmp_path / f"n{suffix}")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("weight", NO_WEIGHTS, ids=repr)
    def test_what_is_no_finite_number_is_refused(self, weight, suffix, tmp_path):
        with pytest.raises(NetworkFileError, match=r"edge 'x' -> 'h' has weight .*; a weight must be a finite number"):
            write_network(chain(weight), tmp_path / f"n{suffix}")

    def test_text_that_is_not_zero_does_not_become_zero(self, suffix, tmp_path):
        path = tmp_path / f"n{suffix}"
        write_network(chain(0.015625), path)
        for text in ("1e-400", "-0.1E-323", "1e-99999999999"):
            path.write_text(path.read_text().replace("0.015625", text))
            with pytest.raises(NetworkFileError, match=rf"{text}.* is not zero, but smaller than the smallest float"):
                read_network(path)
            path.write_text(path.read_text().replace(text, "0.015625"))
        for text in ("0.0e-400", "-0.00", "0e999999"):
            path.write_text(path.read_text().replace("0.015625", text))
            assert read_network(path).edges["x", "h"]["weight"] == 0
            path.write_text(path.read_text().replace(text, "0.015625"))

    def test_denormal_numbers_are_exact(self, suffix, tmp_path):
        write_network(chain(5e-324), tmp_path / f"n{suffix}")
        assert read_network(tmp_path / f"n{suffix}").edges["x", "h"]["weight"] == 5e-324


def test_json_names_the_line_of_a_number_that_vanishes(tmp_path):
    path = tmp_path / "n.json"
    path.write_text(
        json.dumps({"directed": True, "nodes": [], "edges": [], "graph": {"tiny": 0.5}}, indent=1).replace(
            "0.5", "1e-999"
        )
    )
    with pytest.raises(NetworkFileError, match=r"line 6: 1e-999 is not zero"):
        read_network(path)
