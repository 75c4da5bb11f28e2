"""Files: what is written is read back exactly, what cannot be is refused, and no file raises anything but our error.

Room: graph.
"""

from __future__ import annotations

import math
import os
import stat
import sys
import warnings
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balance_graph import networks
from balance_graph.errors import InvalidNetworkError, NetworkFileError, NetworkFileWarning
from balance_graph.graph import activations
from balance_graph.graph.activations import Activation, activation, bilu, register_activation
from balance_graph.graph.files import read_network, write_network

SUFFIXES = [".json", ".graphml", ".csv", ".tsv"]


# ---- equality, types included --------------------------------------------------------------------------------------


def typed(value):
    """Equal for two values exactly when they and all their parts agree in type and value (-0.0 is not 0.0)."""
    if isinstance(value, tuple):
        return ("tuple", [typed(item) for item in value])
    if isinstance(value, dict):
        return ("dict", {key: typed(item) for key, item in value.items()})
    return (type(value).__name__, repr(value))


def content(G, *, node_order=True):
    nodes = [(typed(node), typed(dict(data))) for node, data in G.nodes.items()]
    edges = [(typed(tail), typed(head), typed(dict(data))) for tail, head, data in G.edges(data=True)]
    if not node_order:
        nodes, edges = sorted(nodes, key=repr), sorted(edges, key=repr)
    return typed(dict(G.graph)), nodes, edges


def inputs_and_outputs(G):
    return [n for n in G if not G.in_degree(n)], [n for n in G if not G.out_degree(n)]


def assert_survives(G, path):
    write_network(G, path)
    H = read_network(path)
    assert type(H) is nx.DiGraph
    keeps_order = path.suffix not in {".csv", ".tsv"}
    assert content(H, node_order=keeps_order) == content(G, node_order=keeps_order)
    assert inputs_and_outputs(H) == inputs_and_outputs(G)


def one_edge(**attributes):
    G = nx.DiGraph()
    G.add_edges_from([("a", "b", {"weight": 1.0, **attributes})])
    return G


# ---- round trips ---------------------------------------------------------------------------------------------------


class TestRoundTrip:
    @pytest.mark.parametrize("suffix", [".json", ".graphml"])
    @pytest.mark.parametrize(
        "G",
        [
            networks.digits(),
            networks.layered([2, 3, 2], activation=["leaky_relu(0.1)"], rng=0),
            networks.random_recurrent(self_loops=True, rng=0),
            networks.residual(rng=0),
            nx.DiGraph(),
        ],
        ids=["digits", "layered", "recurrent", "residual", "empty"],
    )
    def test_gallery(self, G, suffix, tmp_path):
        assert_survives(G, tmp_path / f"network{suffix}")

    @pytest.mark.parametrize("sharing", ["shared", "group"])
    def test_tuples_as_labels_survive_in_json(self, sharing, tmp_path):
        assert_survives(networks.convolutional(size=(4, 3), kernel=2, sharing=sharing, rng=0), tmp_path / "c.json")

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_ints_and_texts_keep_their_types(self, suffix, tmp_path):
        G = nx.DiGraph()
        G.add_edge(0, -12, weight=1)
        G.add_edge(-12, "x1", weight=1.0)
        G.add_edge("x1", "007", weight=-0.0)
        G.add_edge("007", "1.0", weight=5e-324)
        G.add_edge("1.0", "-0", weight=sys.float_info.max)
        G.add_edge("-0", 'naïve, "quoted"\n<&>;\'', weight=0.1 + 0.2)
        assert_survives(G, tmp_path / f"names{suffix}")

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_edge_attributes(self, suffix, tmp_path):
        G = one_edge(fixed=True, coefficient=0.5, exponent=3, shared="kernel 1", comma="a,b", quote='"', two="a\nb\rc")
        G.add_edge("b", "c", weight=2.5, fixed=False)
        G.add_edges_from([("c", "c", {"weight": 0, "u_of_edge": "a parameter of add_edge", "key": "k"})])
        assert_survives(G, tmp_path / f"attributes{suffix}")

    @pytest.mark.parametrize("suffix", [".json", ".graphml"])
    def test_attributes_of_nodes_and_network(self, suffix, tmp_path):
        G = one_edge()
        G.graph.update(name="N", version=2, share=0.5, final=False)
        G.nodes["a"].update(role="input", text="  blanks, \ttabs\r\nand lines ", node_for_adding=1, empty="")
        G.nodes["b"].update(text=3, role=False)  # one name, several types
        G.add_node("isolated")
        assert_survives(G, tmp_path / f"attributes{suffix}")

    def test_everything_json_holds(self, tmp_path):
        G = nx.DiGraph()
        G.add_edge((1, ("a", None)), True, weight=1, shared=("k", (1, 2.0), None), extra={"a": {"b": ()}})
        G.add_edge(True, 2.5, weight=10**300, source_layer="s")
        G.add_node(())
        assert_survives(G, tmp_path / "all.json")

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_numpy_scalars_become_python_numbers(self, suffix, tmp_path):
        G = nx.DiGraph()
        G.add_edge(np.int64(3), np.str_("a"), weight=np.float64(0.1), single=np.float32(0.1), fixed=np.bool_(True))
        write_network(G, tmp_path / f"numpy{suffix}")
        H = read_network(tmp_path / f"numpy{suffix}")
        assert typed(next(iter(H))) == typed(3)
        expected = {"weight": 0.1, "single": float(np.float32(0.1)), "fixed": True}
        assert typed(H.edges[3, "a"]) == typed(expected)
        assert isinstance(G.edges[3, "a"]["weight"], np.float64)  # the network itself is not touched

    def test_csv_keeps_the_order_of_inputs_and_outputs(self, tmp_path):
        G = nx.DiGraph()
        G.add_nodes_from(["x0", "x1", "h0", "h1", "y0", "y1"])
        G.add_weighted_edges_from([("x0", "h0", 1), ("x0", "y0", 2), ("x1", "h1", 3), ("h0", "y1", 4), ("h1", "y0", 5)])
        assert_survives(G, tmp_path / "order.csv")
        rng = np.random.default_rng(0)
        for _ in range(20):
            assert_survives(plain(networks.random_dag(4, 5, 4, rng=rng)), tmp_path / "random.csv")

    def test_csv_refuses_when_no_order_of_rows_keeps_both(self, tmp_path):
        G = nx.DiGraph()
        G.add_nodes_from(["x0", "x1", "y0", "y1"])
        G.add_weighted_edges_from([("x0", "y1", 1), ("x1", "y0", 1)])
        with pytest.raises(NetworkFileError, match=r"order of inputs and outputs around edge .*write to \.json"):
            write_network(G, tmp_path / "crossed.csv")

    def test_networkx_reads_and_writes_the_same_json(self, tmp_path):
        import json

        G = networks.layered([2, 2, 1], rng=0)
        write_network(G, tmp_path / "ours.json")
        theirs = nx.node_link_graph(json.loads((tmp_path / "ours.json").read_text()), edges="edges")
        assert content(theirs) == content(G)
        for edges in ("edges", "links"):
            (tmp_path / "theirs.json").write_text(json.dumps(nx.node_link_data(G, edges=edges)))
            assert content(read_network(tmp_path / "theirs.json")) == content(G)

    def test_networkx_reads_and_writes_the_same_graphml(self, tmp_path):
        G = networks.residual(rng=0)
        write_network(G, tmp_path / "ours.graphml")
        theirs = nx.read_graphml(tmp_path / "ours.graphml")
        assert dict(theirs.edges) == dict(G.edges)
        assert dict(theirs.nodes(data=True)) == dict(G.nodes(data=True))
        nx.write_graphml(G, tmp_path / "theirs.graphml")
        assert content(read_network(tmp_path / "theirs.graphml")) == content(G)

    def test_defaults_and_graphics_of_editors_in_graphml(self, tmp_path):
        path = tmp_path / "editor.graphml"
        path.write_text(
            '<?xml version="1.0"?><graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="urn:y">'
            '<key id="g" for="node" yfiles.type="nodegraphics"/>'
            '<key id="w" for="edge" attr.name="weight" attr.type="double"><default>1.5</default></key>'
            '<graph edgedefault="directed"><node id="a"><data key="g"><y:Shape><y:node/></y:Shape></data></node>'
            '<node id="b"/><edge source="a" target="b"/>'
            '<edge id="e" source="b" target="b"><data key="w"> 2 </data></edge>'
            "</graph></graphml>"
        )
        with pytest.warns(
            NetworkFileWarning, match=r"editor.graphml: skipped: graphics of an editor \(nodegraphics\)$"
        ):
            G = read_network(path)
        assert list(G.edges(data=True)) == [("a", "b", {"weight": 1.5}), ("b", "b", {"weight": 2.0})]
        assert dict(G.nodes["a"]) == {}

    def test_hand_written_csv(self, tmp_path):
        path = tmp_path / "hand.CSV"
        path.write_bytes(b"\xef\xbb\xbfweight, source ,target,fixed\r\n+.5e1, a ,2,True\r\n\r\n007,2,b,\r\n")
        assert list(read_network(path).edges(data=True)) == [
            ("a", 2, {"weight": 5.0, "fixed": True}),
            (2, "b", {"weight": 7.0}),
        ]


class TestNameOfTheWeight:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_round_trip(self, suffix, tmp_path):
        G = nx.DiGraph([("a", "b", {"strength": 2.0, "weight": "light"}), ("b", "c", {"strength": 1})])
        path = tmp_path / f"network{suffix}"
        write_network(G, path, weight="strength")
        assert content(read_network(path, weight="strength")) == content(G)
        with pytest.raises(NetworkFileError, match=r"edge 'a' -> 'b' has weight 'light'"):
            read_network(path)

    def test_its_column_is_the_third_in_csv(self, tmp_path):
        path = tmp_path / "network.csv"
        write_network(nx.DiGraph([("a", "b", {"fixed": True, "strength": 2.0})]), path, weight="strength")
        assert path.read_text() == "source,target,strength,fixed\na,b,2.0,true\n"

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_missing(self, suffix, tmp_path):
        path = tmp_path / f"network{suffix}"
        with pytest.raises(NetworkFileError, match=r"edge 'a' -> 'b' has no weight; .* as attribute 'strength'"):
            write_network(one_edge(), path, weight="strength")
        assert not path.exists()
        write_network(one_edge(), path)
        with pytest.raises(
            NetworkFileError, match=r"no column 'strength'.*source,target,strength|attribute 'strength'"
        ):
            read_network(path, weight="strength")


def plain(G):
    """The weights only: what an edge list holds."""
    H = nx.DiGraph()
    H.add_nodes_from(n for n in G if G.degree(n))
    H.add_weighted_edges_from(G.edges(data="weight"))
    return H


# ---- round trips of anything ---------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(
    st.text(max_size=4),
    st.integers(),
    finite,
    st.booleans(),
    st.sampled_from(
        ["", "1", "-0", "true", "nan", "1e5", " a", "a\r", "id", "source", "\x00", "\ud800", "\ufeff", ","]
    ),
)
values = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner, max_size=2).map(tuple) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
node_names = st.recursive(scalars, lambda inner: st.lists(inner | st.none(), max_size=2).map(tuple), max_leaves=3)
attribute_names = st.text(max_size=3) | st.sampled_from(["weight2", "id", "source", "target", "key", " a", "group"])


def graphs(names, attributes, of_nodes):
    weights = finite | st.integers(-(2**62), 2**62)

    @st.composite
    def draw_graph(draw):
        G = nx.DiGraph()
        G.graph.update(draw(of_nodes))
        for node in draw(st.lists(names, min_size=1, max_size=5)):
            G.add_nodes_from([(node, draw(of_nodes))])
        picks = st.sampled_from(list(G))
        for tail, head in draw(st.lists(st.tuples(picks, picks), max_size=8)):
            G.add_edges_from([(tail, head, {**draw(attributes), "weight": draw(weights)})])
        return G

    return draw_graph()


anything = st.dictionaries(attribute_names, values, max_size=2)
calm_text = st.text(st.characters(codec="utf-8", categories=["L"]), min_size=1, max_size=5).filter(
    lambda text: text.lower() not in ("true", "false", "nan", "inf", "infinity")
)
calm_names = calm_text.filter(lambda text: text not in ("id", "source", "target", "weight"))
calm_values = calm_text | st.integers(-(2**63), 2**63 - 1) | finite | st.booleans()
calm = st.dictionaries(calm_names, calm_values, max_size=3)
relaxed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


class TestRoundTripOfAnything:
    @relaxed
    @given(G=graphs(node_names, anything, anything | st.just({})), suffix=st.sampled_from(SUFFIXES))
    def test_refused_or_read_back_exactly(self, folder, G, suffix):
        path = folder / f"any{suffix}"
        path.unlink(missing_ok=True)
        try:
            assert_survives(G, path)
        except NetworkFileError:
            assert not path.exists(), "refused, so nothing may be written"
        assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []

    @settings(relaxed, max_examples=300)
    @given(node=scalars, value=scalars, suffix=st.sampled_from(SUFFIXES))
    def test_one_node_and_one_value_refused_or_read_back_exactly(self, folder, node, value, suffix):
        G = nx.DiGraph()
        G.add_edge("tail", node, weight=1.0, attribute=value)
        try:
            write_network(G, folder / f"one{suffix}")
        except NetworkFileError:
            return
        assert content(read_network(folder / f"one{suffix}")) == content(G)

    @relaxed
    @given(G=graphs(st.integers() | calm_text, calm, calm), suffix=st.sampled_from([".json", ".graphml"]))
    def test_text_numbers_and_bools_are_never_refused(self, folder, G, suffix):
        assert_survives(G, folder / f"calm{suffix}")

    @relaxed
    @given(G=graphs(st.integers() | calm_text, calm, st.just({})))
    def test_csv_holds_edges_with_attributes(self, folder, G):
        G.remove_nodes_from(list(nx.isolates(G)))
        H = nx.DiGraph(G.edges(data=True))  # nodes in the order in which rows show them: always possible
        assert_survives(H, folder / "calm.csv")

    @relaxed
    @given(weight=finite, suffix=st.sampled_from(SUFFIXES))
    def test_floats_to_the_last_bit(self, folder, weight, suffix):
        write_network(one_edge(weight=weight), folder / f"float{suffix}")
        again = read_network(folder / f"float{suffix}").edges["a", "b"]["weight"]
        assert (again.hex(), type(again)) == (weight.hex(), float)


# ---- what is refused on writing ------------------------------------------------------------------------------------


def with_node(node, **attributes):
    G = one_edge()
    G.add_edge("b", node, weight=1.0)
    G.nodes[node].update(attributes)
    return G


def text_and_int():
    G = with_node("3")
    G.add_edge("3", 3, weight=1.0)
    return G


loop = {}
loop["itself"] = loop

REFUSED = [
    (".json", one_edge(weight=math.nan), r"edge 'a' -> 'b' has weight nan; a weight must be a finite number"),
    (".json", one_edge(weight=True), r"edge 'a' -> 'b' has weight True"),
    (".json", one_edge(weight="2"), r"edge 'a' -> 'b' has weight '2'"),
    (".json", one_edge(weight=10**400), r"edge 'a' -> 'b' has weight 1000"),
    (".json", one_edge(weight=None), r"edge 'a' -> 'b' has weight None"),
    (".json", one_edge(weight=1j), r"edge 'a' -> 'b' has weight 1j"),
    (".json", nx.DiGraph([("a", "b")]), r"edge 'a' -> 'b' has no weight; every edge needs"),
    (".json", nx.MultiDiGraph(), r"cannot write a MultiDiGraph; .*convert"),
    (".json", nx.Graph(), r"cannot write a Graph"),
    (".json", "network", r"cannot write a str"),
    (".json", one_edge(coefficient=math.inf), r"edge 'a' -> 'b', attribute 'coefficient': inf is not a finite number"),
    (".json", one_edge(shared=("k", math.nan)), r"attribute 'shared': nan is not"),
    (".json", one_edge(note=[1]), r"attribute 'note': \[1\] is of type list; .*make it a tuple"),
    (".json", one_edge(note=np.arange(2)), r"is of type ndarray; .*make it a tuple"),
    (".json", one_edge(note={1: 2}), r"attribute 'note': \{1: 2\} has keys that are not text"),
    (".json", one_edge(note=loop), r"nested too deeply, or contains itself"),
    (".json", one_edge(note=10**5000), r"attribute 'note': the int has more digits"),
    (".json", one_edge(note="\ud800"), r"half of a surrogate pair"),
    (".json", one_edge(source="s"), r"attribute 'source': node-link JSON uses this name itself; rename"),
    (".json", one_edge(note=object), r"of type type"),
    (".json", with_node("c", id=3), r"node 'c', attribute 'id'"),
    (".json", with_node("c", role=b"x"), r"node 'c', attribute 'role': b'x' is of type bytes"),
    (".json", with_node(frozenset([1])), r"node frozenset\(\{1\}\): .*of type frozenset"),
    (".json", with_node((1, math.inf)), r"node \(1, inf\): inf is not a finite number"),
    (".graphml", with_node(2.5), r"node 2\.5: is of type float; .*write to \.json"),
    (".graphml", with_node(True), r"node True: is of type bool"),
    (".graphml", with_node((1, 2)), r"node \(1, 2\): .*of type tuple; .*write to \.json"),
    (".graphml", with_node("a\x00"), r"node 'a\\x00': .*XML cannot hold"),
    (".graphml", with_node("c", group=None), r"attribute 'group': None is of type NoneType; .*write to \.json"),
    (".graphml", with_node("c", group=(1,)), r"attribute 'group': \(1,\) is of type tuple; .*write to \.json"),
    (".graphml", with_node("c", group=2**63), r"beyond the 64 bits"),
    (".graphml", with_node("c", group=-(2**63) - 1), r"beyond the 64 bits"),
    (".graphml", with_node("c", group="\x01"), r"XML cannot hold"),
    (
        ".csv",
        one_edge(Type="undirected"),
        r"attribute 'Type': 'undirected'; a network is directed: list both directions",
    ),
    (".graphml", text_and_int(), r"nodes '3' and 3 have the same spelling in GraphML; .*write to \.json"),
    (".csv", with_node(" c"), r"node ' c': .*blanks at its ends"),
    (".csv", with_node(""), r"node '': .*empty"),
    (
        ".csv",
        with_node("c", role="output"),
        r"node 'c', attribute 'role': 'output' has no place in CSV; write to \.json",
    ),
    (".csv", one_edge(shared=""), r"edge 'a' -> 'b', attribute 'shared': the text '' would not be read back"),
    (".csv", one_edge(shared="True"), r"the text 'True' would not be read back as text"),
    (".csv", one_edge(shared="1e5"), r"the text '1e5' would not"),
    (".csv", one_edge(shared="-Inf"), r"the text '-Inf' would not"),
    (".csv", one_edge(shared="a "), r"blanks at its ends"),
    (".csv", one_edge(target="t"), r"attribute 'target': CSV uses this name itself"),
    (".csv", one_edge(**{" t": 1}), r"attribute ' t': .*blanks at its ends"),
    (".csv", one_edge(shared="x" * 200_000), r"too long"),
]


class TestRefusals:
    @pytest.mark.parametrize(("suffix", "G", "reason"), REFUSED, ids=range(len(REFUSED)))
    def test_refused_with_a_reason_and_no_file(self, suffix, G, reason, tmp_path):
        path = tmp_path / f"network{suffix}"
        with pytest.raises(NetworkFileError, match=reason) as caught:
            write_network(G, path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_attribute_names_must_be_text(self, tmp_path):
        G = one_edge()
        G.nodes["a"][3] = 1
        with pytest.raises(
            NetworkFileError, match="node 'a', attribute 3: its name is of type int; names must be text"
        ):
            write_network(G, tmp_path / "n.json")

    def test_csv_has_no_place_for_isolated_nodes_and_the_network(self, tmp_path):
        G = one_edge()
        G.add_node("alone")
        with pytest.raises(NetworkFileError, match=r"node 'alone' has no edges.*write to \.json"):
            write_network(G, tmp_path / "n.csv")
        G = one_edge()
        G.graph["name"] = "N"
        with pytest.raises(NetworkFileError, match=r"the network, attribute 'name': 'N' has no place in CSV"):
            write_network(G, tmp_path / "n.csv")


class TestActivations:
    @pytest.mark.parametrize("a", [activation("relu"), bilu(0.5, 2.0), activation("tanh"), activation("bipu(3)")])
    @pytest.mark.parametrize("suffix", [".json", ".graphml"])
    def test_written_as_text_when_the_name_says_it_all(self, a, suffix, tmp_path):
        write_network(with_node("c", activation=a), tmp_path / f"n{suffix}")
        assert read_network(tmp_path / f"n{suffix}").nodes["c"]["activation"] == a.name

    def test_registered(self, tmp_path, monkeypatch):
        monkeypatch.setattr(activations, "_REGISTERED", dict(activations._REGISTERED))
        cube = Activation("cube", lambda z: z**3, 3)
        register_activation(cube)
        write_network(with_node("c", activation=cube), tmp_path / "n.json")
        assert read_network(tmp_path / "n.json").nodes["c"]["activation"] == "cube"

    @pytest.mark.parametrize(
        ("a", "reason"),
        [
            (Activation("mine", np.tanh), r"means nothing to a reader; register it"),
            (Activation("relu", lambda z: z, 1.0), r"would be read back as the different Activation\('relu'"),
            (Activation("relu", lambda z: np.maximum(z, 0)), r"would be read back as the different"),
            (Activation("bipu(2)", lambda z: z * z, 2.0), r"would be read back as the different"),
        ],
    )
    def test_refused_when_a_reader_would_see_another_function(self, a, reason, tmp_path):
        with pytest.raises(NetworkFileError, match=f"node 'c', attribute 'activation': .*{reason}"):
            write_network(with_node("c", activation=a), tmp_path / "n.json")

    def test_only_as_the_activation_of_a_node(self, tmp_path):
        with pytest.raises(NetworkFileError, match=r"attribute 'other': .*of type Activation"):
            write_network(with_node("c", other=activation("relu")), tmp_path / "n.json")


# ---- the file appears whole or not at all --------------------------------------------------------------------------


class TestWholeFiles:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
    @pytest.mark.parametrize("moment", ["replace", "open"])
    def test_interrupted_writing_leaves_the_old_file_and_no_litter(self, error, moment, tmp_path, monkeypatch):
        path = tmp_path / "n.json"
        write_network(one_edge(), path)
        before = path.read_bytes()

        def interrupt(*_, **__):
            raise error

        monkeypatch.setattr(Path, moment, interrupt)
        expected = KeyboardInterrupt if error is KeyboardInterrupt else NetworkFileError
        with pytest.raises(expected):
            write_network(one_edge(weight=2.0), path)
        monkeypatch.undo()
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_interrupted_between_the_bytes(self, tmp_path, monkeypatch):
        def interrupt(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_network(one_edge(), tmp_path / "n.json")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")
    def test_modes_and_links_stay(self, tmp_path):
        path, link = tmp_path / "n.json", tmp_path / "link.json"
        write_network(one_edge(), path)
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
        path.chmod(0o640)
        link.symlink_to(path)
        write_network(one_edge(weight=2.0), link)
        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert read_network(path).edges["a", "b"]["weight"] == 2.0

    def test_places_that_cannot_be_written(self, tmp_path):
        with pytest.raises(NetworkFileError, match=r"folder does not exist; create it first"):
            write_network(one_edge(), tmp_path / "none" / "n.json")
        (tmp_path / "folder.json").mkdir()
        with pytest.raises(NetworkFileError, match=r"cannot be written: .*directory"):
            write_network(one_edge(), tmp_path / "folder.json")
        assert [p.name for p in tmp_path.iterdir()] == ["folder.json"]

    @pytest.mark.parametrize("name", ["n.txt", "n", "n.json.gz", ".json"])
    def test_unknown_suffix(self, name, tmp_path):
        for call in (lambda: write_network(one_edge(), tmp_path / name), lambda: read_network(tmp_path / name)):
            with pytest.raises(NetworkFileError, match=r"names no format; use \.json, \.graphml, \.csv"):
                call()

    @pytest.mark.parametrize("path", [3, None, b"n.json", "a\0.json", "\ud800.json"])
    def test_paths_that_are_none(self, path):
        for call in (lambda: write_network(one_edge(), path), lambda: read_network(path)):
            with pytest.raises(NetworkFileError, match=r"path"):
                call()


# ---- hostile and damaged files -------------------------------------------------------------------------------------

HEAD = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
KEY = '<key id="w" for="edge" attr.name="weight" attr.type="double"/>'
NODES = '<node id="a"/><node id="b"/>'


def graphml(body, key=KEY, kind="directed"):
    return f'{HEAD}\n{key}\n<graph edgedefault="{kind}">\n{body}\n</graph></graphml>'


def edge(weight="1", extra=""):
    return f'{NODES}<edge source="a" target="b" {extra}><data key="w">{weight}</data></edge>'


def node_link(nodes='[{"id": "a"}, {"id": "b"}]', edges='[{"source": "a", "target": "b", "weight": 1}]', more=""):
    return f'{{"nodes": {nodes},\n "edges": {edges}{more}}}'


BAD = [
    # JSON
    (".json", "", r"the file is empty"),
    (".json", " \n ", r"the file is empty"),
    (".json", "[]", r"a network is a JSON object .* got \[\]"),
    (".json", "null", r"got None"),
    (".json", "3", r"got 3"),
    (".json", "{}", r'"edges" must be a list|"nodes" must be a list, got None'),
    (".json", '{"nodes": [], "links": 3}', r'"edges" must be a list, got 3'),
    (".json", '{"nodes": []}', r'"edges" must be a list, got None'),
    (".json", node_link()[:-1], r"line 2: not valid JSON"),
    (".json", node_link() + "x", r"line 2: not valid JSON: Extra data"),
    (".json", "\0\0\0", r"not valid JSON"),
    (".json", "[" * 200_000, r"nested too deeply"),
    (".json", '{"a":' * 200_000, r"nested too deeply"),
    (".json", node_link(more=', "directed": false'), r"undirected graphs and multigraphs are not networks"),
    (".json", node_link(more=', "multigraph": true'), r"undirected graphs and multigraphs are not networks"),
    (".json", node_link(more=', "graph": []'), r'"graph" must be an object'),
    (".json", node_link(more=', "nodes": []'), r"the key 'nodes' twice"),
    (".json", node_link(nodes='["a", "b"]'), r"nodes\[0\] must be an object, got 'a'"),
    (".json", node_link(nodes='[{"name": "a"}]'), r'nodes\[0\] has None as "id"; it must be text'),
    (".json", node_link(nodes='[{"id": null}]'), r'nodes\[0\] has None as "id"'),
    (".json", node_link(nodes='[{"id": [{}]}]'), r'nodes\[0\] has \[\{\}\] as "id"'),
    (".json", node_link(nodes='[{"id": NaN}]'), r'nodes\[0\] has nan as "id"'),
    (
        ".json",
        node_link(nodes='[{"id": "a", "bias": [NaN]}]'),
        r"node 'a', attribute 'bias': nan is not a finite number",
    ),
    (".json", node_link(nodes='[{"id": "a"}, {"id": "a"}]'), r"node 'a' appears twice"),
    (".json", node_link(nodes='[{"id": 1}, {"id": true}]'), r"node True appears twice"),
    (".json", node_link(edges='[{"source": "a", "weight": 1}]'), r'edges\[0\] has None as "target"'),
    (".json", node_link(edges='[{"source": "a", "target": "c", "weight": 1}]'), r"there is no node 'c'"),
    (".json", node_link(edges='[{"source": "a", "target": "b"}]'), r"edge 'a' -> 'b' has no weight"),
    (".json", node_link(edges='[{"source": "a", "target": "b", "weight": "1"}]'), r"'a' -> 'b' has weight '1'"),
    (".json", node_link(edges='[{"source": "a", "target": "b", "weight": true}]'), r"has weight True"),
    (".json", node_link(edges='[{"source": "a", "target": "b", "weight": [1]}]'), r"has weight \(1,\)"),
    (
        ".json",
        node_link(edges='[{"source": "a", "target": "b", "weight": NaN}]'),
        r"'a' -> 'b', attribute 'weight': nan is not a finite",
    ),
    (
        ".json",
        node_link(edges='[{"source": "a", "target": "b", "weight": -Infinity}]'),
        r"'weight': -inf is not a finite",
    ),
    (
        ".json",
        node_link(edges='[{"source": "a", "target": "b", "weight": 1e999}]'),
        r"'weight': inf is not a finite number",
    ),
    (".json", node_link(edges=f'[{{"source": "a", "target": "b", "weight": 1{"0" * 400}}}]'), r"has weight 1000"),
    (".json", node_link(edges=f'[{{"source": "a", "target": "b", "weight": {"9" * 5000}}}]'), r"more digits"),
    (
        ".json",
        node_link(edges='[{"source":"a","target":"b","weight":1},{"source":"a","target":"b","weight":1}]'),
        "twice",
    ),
    # CSV
    (".csv", "", r"the file is empty"),
    (".csv", "a,b,c\n", r"line 1: no column 'source'; the first line must be source,target,weight"),
    (".csv", "source,target,year\na,b,1999\n", r"line 1: no column 'weight'.*weight='year'"),
    (".csv", "source,target,weight,weight\na,b,1,2\n", r"line 1: columns need distinct names"),
    (".csv", "source,target,weight,\na,b,1,2\n", r"line 1: columns need distinct names"),
    (".csv", "source,target,weight\na,b,1\nb,c\n", r"line 3: 2 fields where the header has 3"),
    (".csv", "source,target,weight\na,b,1,2\n", r"line 2: 4 fields where the header has 3"),
    (".csv", "source,target,weight\na,,1\n", r"line 2: an edge needs a source and a target"),
    (".csv", "source,target,weight\na,b,\n", r"line 2: edge 'a' -> 'b' has no weight"),
    (".csv", "source,target,weight\na,b,heavy\n", r"line 2: edge 'a' -> 'b' has weight 'heavy'"),
    (".csv", "source,target,weight\na,b,true\n", r"line 2: edge 'a' -> 'b' has weight True"),
    (".csv", "source,target,weight\na,b,1_0\n", r"line 2: edge 'a' -> 'b' has weight '1_0'"),
    (
        ".csv",
        "source,target,weight\na,b,NaN\n",
        r"line 2: edge 'a' -> 'b', attribute 'weight': 'NaN' is not a finite number",
    ),
    (
        ".csv",
        "source,target,weight,coefficient\na,b,1,-inf\n",
        r"line 2: edge 'a' -> 'b', attribute 'coefficient': '-inf' is not a finite number",
    ),
    (".csv", "source,target,weight\na,b,1e999\n", r"line 2: .*'1e999' overflows"),
    (".csv", f"source,target,weight\na,b,{'9' * 5000}\n", r"line 2: .*the integer has 5000 digits"),
    (".csv", f"source,target,weight\n{'9' * 5000},b,1\n", r"line 2: the integer has 5000 digits"),
    (".csv", "source,target,weight\na,b,1\n\na,b,2\n", r"line 4: edge 'a' -> 'b' appears twice"),
    (".csv", 'source,target,weight\na,b,1\n"a,b,1\n', r"line 3: not valid CSV"),
    (".csv", 'source,target,weight\n"a"x,b,1\n', r"line 2: not valid CSV"),
    (".csv", f"source,target,weight\n{'9' * 130_000}x,b,one\n", r"line 2: edge '999"),
    (".csv", f"source,target,weight\n{'x' * 140_000},b,1\n", r"line 2: not valid CSV: field larger"),
    (".csv", "\0\1\2", r"line 1: no column"),
    # GraphML
    (".graphml", "", r"the file is empty"),
    (".graphml", "hello", r"line 1: not valid XML"),
    (".graphml", graphml(edge())[:-9], r"line 5: not valid XML"),
    (".graphml", graphml(edge()).replace("<node id", "<node idx", 1), r"line 4: <node> has no id"),
    (".graphml", "<svg/>", r"line 1: a network is one <graph> in <graphml>, got 0 in <svg>"),
    (".graphml", HEAD + "</graphml>", r"got 0 in <graphml>"),
    (".graphml", HEAD + '<graph edgedefault="directed"/>' * 2 + "</graphml>", r"got 2 in <graphml>"),
    (".graphml", graphml(edge(), kind="undirected"), r"line 3: the graph is undirected"),
    (".graphml", graphml(edge(extra='directed="false"')), r"line 4: an undirected edge"),
    (
        ".graphml",
        graphml(edge(weight="heavy")),
        r"line 4: edge 'a' -> 'b': attribute 'weight': 'heavy' is not a finite number",
    ),
    (".graphml", graphml(edge(weight="INF")), r"line 4: .*attribute 'weight': 'INF' is not a finite number"),
    (".graphml", graphml(edge(weight="9" * 400)), r"line 4: .*attribute 'weight': '999.* overflows to infinity"),
    (".graphml", graphml(edge(weight="")), r"line 4: .*attribute 'weight': '' is not a finite number"),
    (".graphml", graphml(edge(), KEY.replace("double", "long")).replace(">1<", ">1.5<"), r"'1.5' is not of type long"),
    (".graphml", graphml(edge(), KEY.replace("double", "string")), r"line 4: edge 'a' -> 'b' has weight '1'"),
    (".graphml", graphml(edge(), KEY.replace("double", "boolean")), r"line 4: edge 'a' -> 'b' has weight True"),
    (".graphml", graphml(edge(), KEY.replace("double", "vector")), r"'1' is not of type vector"),
    (".graphml", graphml(edge(), KEY.replace("/>", "><default>x</default></key>")), r"line 2: attribute 'weight': 'x'"),
    (".graphml", graphml(edge(), ""), r"line 4: edge 'a' -> 'b': data with key 'w', which no <key> declares"),
    (".graphml", graphml(edge("1</data><data key='w'>2")), r"line 4: .*attribute 'weight' is given twice"),
    (".graphml", graphml(NODES + '<edge source="a" target="b"/>'), r"line 4: edge 'a' -> 'b' has no weight"),
    (".graphml", graphml(NODES + '<edge source="a"/>'), r"line 4: <edge> has no target"),
    (".graphml", graphml('<edge source="a" target="b"/>'), r"line 4: edge 'a' -> 'b': there is no node 'a'"),
    (".graphml", graphml(NODES + NODES), r"line 4: node 'a' appears twice"),
    (".graphml", graphml(edge() + edge()[len(NODES) :]), r"line 4: edge 'a' -> 'b' appears twice"),
    (".graphml", graphml("<hyperedge/>"), r"line 4: <hyperedge> in <graph> is not part of a network"),
    (
        ".graphml",
        graphml('<node id="a"><graph/></node>'),
        r"line 4: node 'a': <graph> in <node> is not part of a network",
    ),
    (".graphml", graphml(f'<node id="{"9" * 5000}"/>'), r"line 4: the integer has 5000 digits"),
    (".graphml", "<a>" * 200_000, r"nested too deeply"),
    (
        ".graphml",
        '<?xml version="1.0"?>\n<!DOCTYPE g [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n<graphml>&b;</graphml>',
        r"line 2: a DOCTYPE is not accepted",
    ),
    (
        ".graphml",
        '<!DOCTYPE graphml [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + graphml('<node id="&x;"/>'),
        r"line 1: a DOCTYPE is not accepted",
    ),
    (".graphml", graphml('<node id="&x;"/>'), r"line 4: not valid XML: undefined entity"),
]


class TestBadFiles:
    @pytest.mark.parametrize(("suffix", "text", "reason"), BAD, ids=range(len(BAD)))
    def test_one_clear_line(self, suffix, text, reason, tmp_path):
        path = tmp_path / f"network{suffix}"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(NetworkFileError, match=reason) as caught:
            read_network(path)
        message = str(caught.value)
        assert message.startswith(str(path))
        assert "\n" not in message
        assert len(message) < len(str(path)) + 300

    @pytest.mark.parametrize("suffix", SUFFIXES)
    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    def test_not_utf8(self, suffix, mark, tmp_path):
        path = tmp_path / f"network{suffix}"
        path.write_bytes(mark + b"line one\nline \xff two\n")
        with pytest.raises(NetworkFileError, match=r"line 2: byte 0xff is not UTF-8 text; save the file as UTF-8"):
            read_network(path)

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_missing_files_and_folders(self, suffix, tmp_path):
        with pytest.raises(NetworkFileError, match=r"missing.* cannot be read: No such file") as caught:
            read_network(tmp_path / f"missing{suffix}")
        assert isinstance(caught.value, InvalidNetworkError)
        (tmp_path / f"folder{suffix}").mkdir()
        with pytest.raises(NetworkFileError, match=r"folder.* cannot be read: .*directory"):
            read_network(tmp_path / f"folder{suffix}")

    @pytest.mark.parametrize("suffix", [".json", ".graphml"])
    def test_every_truncation_is_seen(self, suffix, tmp_path):
        path = tmp_path / f"network{suffix}"
        write_network(networks.layered([1, 1, 1], rng=0), path)
        data = path.read_bytes().rstrip()
        for length in range(len(data)):
            path.write_bytes(data[:length])
            with pytest.raises(NetworkFileError):
                read_network(path)

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(suffix=st.sampled_from(SUFFIXES), cuts=st.data())
    def test_damage_raises_our_error_or_nothing(self, folder, suffix, cuts):
        path = folder / f"damaged{suffix}"
        G = one_edge(coefficient=2.0, shared="s", fixed=True)
        G.add_edge("b", 3, weight=1)
        write_network(G, path)
        data = path.read_bytes()
        start = cuts.draw(st.integers(0, len(data)))
        stop = cuts.draw(st.integers(start, min(start + 10, len(data))))
        path.write_bytes(data[:start] + cuts.draw(st.binary(max_size=5)) + data[stop:])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NetworkFileWarning)
                H = read_network(path)
        except NetworkFileError:
            pass
        else:
            assert all(math.isfinite(w) and not isinstance(w, bool) for *_, w in H.edges(data="weight"))
