"""Files as others write them: read with a word on what was taken for what, or refused with the remedy in one line.

Room: graph.
"""

from __future__ import annotations

import io
import json
import random
import warnings

import networkx as nx
import pytest

import balance_graph as bg
from balance_graph.cli import main
from balance_graph.errors import InvalidParameterError, NetworkFileError, NetworkFileWarning
from balance_graph.graph.files import read_network, write_network

ENDS_AND_WEIGHT = "'Source', 'Target', 'Weight' taken for source, target, weight"
NO_HEADER = r"no header, columns 1, 2, 3 are taken for source, target, weight"
ROW_NUMBERS = r"the first column has no name and is left out, as numbers of rows"
ALL_ONE = r"no column of weights, all are 1"
AB = {("a", "b"): 0.5, ("b", "c"): 2.0}
TEXT = {("1", "2"): 0.5, ("2", "3"): 2.0}
INTS = {(1, 2): 0.5, (2, 3): 2.0}
ONES = {(0, 1): 1.0, (1, 2): 1.0}


def read(tmp_path, text, suffix=".csv", **options):
    """The network, and what was said of it."""
    path = tmp_path / f"network{suffix}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network = read_network(path, **options)
    assert all(one.category is NetworkFileWarning and one.filename == __file__ for one in caught)
    assert len(caught) <= 1
    said = "".join(str(one.message) for one in caught)
    assert "\n" not in said
    return network, said.removeprefix(f"{path}: ")


def weights(network, name="weight"):
    return {(tail, head): value for tail, head, value in network.edges(data=name)}


# ---- edge lists that are read --------------------------------------------------------------------------------------

DIALECTS = {
    "our own": ("source,target,weight\na,b,0.5\nb,c,2\n", AB, ""),
    "Gephi": (
        "Source,Target,Type,Id,Label,timeset,Weight\na,b,Directed,0,,,0.5\nb,c,Directed,1,,,2.0\n",
        AB,
        ENDS_AND_WEIGHT,
    ),
    "Gephi, capitals": ("SOURCE,TARGET,WEIGHT\na,b,0.5\nb,c,2\n", AB, "'SOURCE', 'TARGET', 'WEIGHT' taken for source"),
    "Gephi without weights": (
        "Source,Target,Type,Id,Label\n0,1,Directed,0,x\n1,2,Directed,1,y\n",
        ONES,
        f"'Source', 'Target' taken for source, target; {ALL_ONE}",
    ),
    "pandas with an index": (",source,target,weight\n0,a,b,0.5\n1,b,c,2.0\n", AB, ROW_NUMBERS),
    "pandas, saved twice": ("Unnamed: 0,source,target,weight\n0,a,b,0.5\n1,b,c,2.0\n", AB, ROW_NUMBERS),
    "pandas without a header": ("a,b,0.5\nb,c,2.0\n", AB, NO_HEADER),
    "pandas, tabs": ("source\ttarget\tweight\na\tb\t0.5\nb\tc\t2.0\n", AB, "fields are separated by tabs"),
    "pandas, nan": ("source,target,weight,age\na,b,0.5,nan\nb,c,2.0,\n", AB, "missing values (nan) are left out: 1"),
    "R write.csv": (
        '"","from","to","weight"\n"1","a","b",0.5\n"2","b","c",2\n',
        AB,
        f"{ROW_NUMBERS}; columns 'from', 'to' taken for source, target",
    ),
    "R write.csv without row names": ('"from","to","weight"\n"a","b",0.5\n"b","c",2\n', AB, "'from', 'to' taken for"),
    "R write.csv, text": ('"from","to","weight"\n"1","2",0.5\n"2","3",2\n', TEXT, "'from', 'to' taken for"),
    "R write.csv, integers": ('"from","to","weight"\n1,2,0.5\n2,3,2\n', INTS, "'from', 'to' taken for"),
    "R write.csv2": (
        '"";"from";"to";"weight"\n"1";"a";"b";0,5\n"2";"b";"c";2\n',
        AB,
        f"separated by semicolons; {ROW_NUMBERS}; columns 'from', 'to' taken for source, target; commas in weights are "
        "decimal points",
    ),
    "R write.table": (
        '"from" "to" "weight"\n"1" "a" "b" 0.5\n"2" "b" "c" 2\n',
        AB,
        f"separated by blanks; {ROW_NUMBERS}; columns 'from', 'to' taken",
    ),
    "all in quotes": ('"source","target","weight"\n"1","2","0.5"\n"2","3","2"\n', INTS, ""),
    "Excel": ("\ufeffsep=;\r\nSource;Target;Weight\r\na;b;0,5\r\nb;c;2\r\n", AB, ENDS_AND_WEIGHT),
    "Excel, empty rows": ("source,target,weight\r\na,b,0.5\r\nb,c,2\r\n,,\r\n,,\r\n", AB, ""),
    "Excel, empty columns": ("source,target,weight,,\r\na,b,0.5,,\r\nb,c,2,,\r\n", AB, ""),
    "delimiters at the ends": ("source,target,weight\na,b,0.5,\nb,c,2,\n", AB, ""),
    "old Macs": ("source,target,weight\ra,b,0.5\rb,c,2\r", AB, ""),
    "bars": ("source|target|weight\na|b|0.5\nb|c|2\n", AB, "separated by bars"),
    "blanks about": (" source , target , weight \n a , b , 0.5 \n b , c , 2 \n", AB, ""),
    "igraph edgelist": ("0 1\n1 2\n", ONES, f"columns 1 and 2 are taken for source and target; {ALL_ONE}"),
    "igraph ncol": ("a b 0.5\nb c 2\n", AB, f"separated by blanks; {NO_HEADER}"),
    "SNAP": (
        "# Directed graph (each pair once)\n# Nodes: 3 Edges: 2\n# FromNodeId\tToNodeId\n0\t1\n1\t2\n",
        ONES,
        "separated by tabs; comments are skipped (line 1 and 2 more); no header",
    ),
    "KONECT": ("% asym posweighted\n% 2 3 3\n1 2 0.5 \n2 3 2 \n", INTS, "comments are skipped (line 1 and 1 more)"),
    "comments among rows": ("source,target,weight\na,b,0.5\n# so, far\nb,c,2\n", AB, "comments are skipped (line 3)"),
    "tail and head": ("tail,head,weight\na,b,0.5\nb,c,2\n", AB, "columns 'tail', 'head' taken for source, target"),
    "names with blanks": (
        "New York,San Diego,3\nSan Diego,Los Angeles,4\n",
        {("New York", "San Diego"): 3, ("San Diego", "Los Angeles"): 4},
        NO_HEADER,
    ),
    "two columns of text": (
        "alice,bob\nbob,carol\ncarol,alice\n",
        {("alice", "bob"): 1.0, ("bob", "carol"): 1.0, ("carol", "alice"): 1.0},
        ALL_ONE,
    ),
    "decimal commas between semicolons": (
        "a;b;0,5\nb;c;2,0\n",
        AB,
        f"semicolons; {NO_HEADER}; commas in weights are decimal points",
    ),
    "decimal commas between blanks": ("a b 0,5\nb c 2,0\n", AB, f"blanks; {NO_HEADER}; commas in weights"),
    "names in quotes": (
        'source,target,weight\n"#1, or ""one""",b,0.5\nb,"two\nlines",2\n',
        {('#1, or "one"', "b"): 0.5, ("b", "two\nlines"): 2},
        "",
    ),
}


class TestEdgeLists:
    @pytest.mark.parametrize("name", DIALECTS)
    def test_read(self, name, tmp_path):
        text, expected, said = DIALECTS[name]
        network, found = read(tmp_path, text)
        assert weights(network) == expected
        assert {type(node) for node in network} == {type(node) for edge in expected for node in edge}
        assert said in found
        assert bool(said) == bool(found)

    @pytest.mark.parametrize("name", DIALECTS)
    def test_what_was_read_survives_in_every_format(self, name, tmp_path):
        network, _ = read(tmp_path, DIALECTS[name][0])
        for suffix in (".csv", ".tsv", ".json", ".graphml"):
            write_network(network, tmp_path / f"again{suffix}")
            again, said = read(tmp_path, (tmp_path / f"again{suffix}").read_bytes(), suffix)
            assert (dict(again.edges), said) == (dict(network.edges), "")

    def test_tabs_are_the_delimiter_of_tsv(self, tmp_path):
        assert read(tmp_path, "source\ttarget\tweight\na\tb\t0.5\n", ".tsv")[1] == ""
        assert "separated by commas" in read(tmp_path, "source,target,weight\na,b,0.5\n", ".tsv")[1]

    def test_further_columns_are_attributes(self, tmp_path):
        text = "Source;Target;Weight;color;on;n\na;b;1;red;true;7\nb;c;2;;FALSE;\n"
        assert dict(read(tmp_path, text)[0].edges) == {
            ("a", "b"): {"weight": 1, "color": "red", "on": True, "n": 7},
            ("b", "c"): {"weight": 2, "on": False},
        }
        assert dict(read(tmp_path, "1 2 0.5 99\n")[0].edges) == {(1, 2): {"weight": 0.5, "column4": 99}}

    def test_exact_names_come_before_others(self, tmp_path):
        text = "Source,source,target,weight,Weight,to\nx,a,b,0.5,7,y\n"
        network, said = read(tmp_path, text)
        assert (weights(network), said) == ({("a", "b"): 0.5}, "")
        assert network.edges["a", "b"] == {"weight": 0.5, "Source": "x", "Weight": 7, "to": "y"}


class TestOptions:
    def test_names_leave_nothing_to_say(self, tmp_path):
        text = "Person1;Person2;Strength;weight\na;b;0.5;7\n"
        options = {"source": "Person1", "target": "Person2", "weight": "Strength", "delimiter": ";"}
        network, said = read(tmp_path, text, **options)
        assert said == ""
        assert network.edges["a", "b"] == {"Strength": 0.5, "weight": 7}

    def test_numbers_leave_nothing_to_say(self, tmp_path):
        network, said = read(tmp_path, "x,0.5,b,a\ny,2,c,b\n", source=4, target=3, weight=2)
        assert (weights(network), said) == (AB, "")
        assert network.edges["a", "b"] == {"weight": 0.5, "column1": "x"}

    def test_numbers_without_that_of_the_weight(self, tmp_path):
        assert NO_HEADER.replace("1, 2, 3", "2, 1, 3") in read(tmp_path, "b,a,0.5\n", source=2, target=1)[1]
        assert read(tmp_path, "b,a\n", source=2, target=1)[1] == ALL_ONE

    def test_names_in_another_case(self, tmp_path):
        network, said = read(tmp_path, "FROM,TO,W\na,b,0.5\n", source="from", target="to", weight="w")
        assert network.edges["a", "b"] == {"w": 0.5}
        assert "columns 'FROM', 'TO', 'W' taken for from, to, w" in said

    @pytest.mark.parametrize("delimiter", ["\t", "tab", "\\t"])
    def test_spellings_of_the_tab(self, delimiter, tmp_path):
        assert read(tmp_path, "source\ttarget\tweight\na, b\tc\t1\n", delimiter=delimiter)[0].has_edge("a, b", "c")

    def test_any_character(self, tmp_path):
        network, said = read(tmp_path, "source:target:weight\na:b:0.5\nb:c:2\n", delimiter=":")
        assert (weights(network), said) == (AB, "")

    def test_keys_of_json(self, tmp_path):
        text = '{"directed": true, "nodes": [{"id": 1}, {"id": 2}], "edges": [{"from": 1, "to": 2, "value": 0.5}]}'
        network, said = read(tmp_path, text, ".json", source="from", target="to", weight="value")
        assert (weights(network, "value"), said) == ({(1, 2): 0.5}, "")

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"source": 1}, r"numbers of columns are for files without a header: give source and target as numbers"),
            ({"weight": 3}, r"give source and target as numbers too"),
            ({"source": 0, "target": 1}, r"source must be the name of a column or key, or the number .* got 0"),
            ({"source": True, "target": 2}, r"source must be the name .* got True"),
            ({"target": 2.0}, r"target must be the name .* got 2.0"),
            ({"weight": None}, r"weight must be the name .* got None"),
            ({"source": "a", "target": "a"}, r"source, target and weight must differ"),
            ({"source": "weight"}, r"source, target and weight must differ"),
            *[({"delimiter": one}, r"delimiter must be one character") for one in ("", "ab", "x", '"', "\n", ".", 3)],
        ],
    )
    def test_what_is_no_option(self, options, reason, tmp_path):
        with pytest.raises(InvalidParameterError, match=reason):
            read_network(tmp_path / "network.csv", **options)

    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            (".json", {"delimiter": ","}),
            (".json", {"source": 1, "target": 2}),
            (".graphml", {"delimiter": ","}),
            (".graphml", {"source": "a"}),
            (".graphml", {"target": "a"}),
        ],
    )
    def test_options_that_say_nothing_about_a_format(self, suffix, options, tmp_path):
        with pytest.raises(InvalidParameterError, match=rf"is about columns, of which a {suffix} file has none"):
            read_network(tmp_path / f"network{suffix}", **options)


# ---- edge lists that are refused -----------------------------------------------------------------------------------


def written(writer, *arguments, **options):
    stream = io.BytesIO()
    network = nx.DiGraph()
    network.add_weighted_edges_from([("a", "b", 0.5), ("b", "c", 2.0), ("a", "c", 1.0)])
    writer(network, stream, *arguments, **options)
    return stream.getvalue().decode()


UNCLEAR = {
    "undirected": ("Source,Target,Type,Weight\na,b,Undirected,1\n", r"line 2: .*'Undirected'; .*list both directions"),
    "unknown header": ("Person1,Person2,Strength\na,b,1\n", r"no column 'source'; .* or name the columns with source="),
    "header or edge": (
        "Person1,Person2\na,b\nb,c\n",
        r"the names of columns, or an edge\? Say source='Person1', target",
    ),
    "weights by another name": ("from,to,value\na,b,1\n", r"no column 'weight'; .*like weight='value'"),
    "two weights": (
        "source,target,Weight,WEIGHT\na,b,1,2\n",
        r"columns \['Weight', 'WEIGHT'\] may hold the weight; say",
    ),
    "no names in pandas": ("0,1,2\na,b,0.5\n", r"0,1,2: names of columns, or an edge\?"),
    "an index without a header": (
        "0,5,7,0.5\n1,7,9,0.5\n2,9,1,0.5\n",
        r"counts the rows: is it the source\? Say source",
    ),
    "row names without a header": (
        '"1" "a" "b" 0.5\n"2" "b" "c" 2\n',
        r"field 3 is 'b', no weight; .*source=, target=",
    ),
    "two delimiters": ("a;1,b;2,3\nb;1,c;2,5\n", r"separated by commas or semicolons; say it: delimiter="),
    "thousands or decimals": ("source;target;weight\na;b;1,234\n", r"'1,234': is the comma a decimal point\?"),
    "points and commas": ("source;target;weight\na;b;1.5\nb;c;0,5\n", r"line 3: '0,5': is the comma a decimal point\?"),
    "hashtags": (
        "source,target,weight\n#cats,#dogs,1\n",
        r"line 2: begins with '#': a comment, or the name of a node\?",
    ),
    "a commented edge": ("a,b,1\n#b,c,2\n", r"line 2: begins with '#'"),
    "only comments": ("# a\n# b\n", r"no rows: every line begins with"),
    "parallel edges": ("source,target,weight\na,b,1\na,b,2\n", r"line 3: .*appears twice; .*add up their weights"),
    "named matrix": (",a,b\na,0,1\nb,2,0\n", r"a matrix; networkx\.from_pandas_adjacency"),
    "matrix": ("0 1 0 2\n0 0 1 0\n3 0 0 1\n0 1 0 0\n", r"4 rows of 4 numbers: a matrix\? networkx\.from_numpy_array"),
    "Matrix Market": ("%%MatrixMarket matrix coordinate real general\n3 3 1\n1 2 0.5\n", r"scipy\.io\.mmread reads it"),
    "networkx edgelist": (
        written(nx.write_edgelist),
        r"networkx\.read_edgelist\(path, create_using=networkx\.DiGraph\)",
    ),
    "networkx edgelist, commas": (written(nx.write_edgelist, delimiter=","), r"networkx\.read_edgelist\(path"),
    "networkx adjacency": (written(nx.write_adjlist), r"networkx\.read_adjlist reads adjacency lists"),
    "networkx multiline": (written(nx.write_multiline_adjlist), r"networkx\.read_adjlist reads adjacency lists"),
    "Cytoscape SIF": ("a pp b\nb pp c\n", r"no column 'source'; the first line must be source,target,weight"),
    "missing weights in R": ('"from","to","weight"\n"a","b",NA\n', r"edge 'a' -> 'b' has weight 'NA'"),
    "infinite": ("source,target,weight,x\na,b,1,inf\n", r"attribute 'x': 'inf' is not a finite number"),
    "UTF-16": ("a,b,1".encode("utf-16"), r"byte 0xff is not UTF-8 text; save the file as UTF-8"),
    "Latin-1": ("source,target,weight\n\xe9,b,1\n".encode("latin-1"), r"line 2: byte 0xe9 is not UTF-8 text"),
}


class TestUnclearEdgeLists:
    @pytest.mark.parametrize("name", UNCLEAR)
    def test_refused_in_one_line_with_a_remedy(self, name, tmp_path):
        text, reason = UNCLEAR[name]
        with pytest.raises(NetworkFileError, match=reason) as caught:
            read(tmp_path, text)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "options", "expected"),
        [
            ("header or edge", {"source": "Person1", "target": "Person2"}, {("a", "b"): 1.0, ("b", "c"): 1.0}),
            ("weights by another name", {"weight": "value"}, {("a", "b"): 1}),
            ("two weights", {"weight": "WEIGHT"}, {("a", "b"): 2}),
            (
                "an index without a header",
                {"source": 2, "target": 3, "weight": 4},
                {(5, 7): 0.5, (7, 9): 0.5, (9, 1): 0.5},
            ),
            ("row names without a header", {"source": 2, "target": 3, "weight": 4}, AB),
            ("two delimiters", {"delimiter": ","}, {("a;1", "b;2"): 3, ("b;1", "c;2"): 5}),
        ],
    )
    def test_the_remedy_works(self, name, options, expected, tmp_path):
        network, _ = read(tmp_path, UNCLEAR[name][0], **options)
        column = options["weight"] if isinstance(options.get("weight"), str) else "weight"
        assert weights(network, column) == expected

    @pytest.mark.parametrize(
        ("suffix", "remedy"),
        [
            (".gexf", r"networkx\.read_gexf reads it: balance what it returns, or write that to \.json first"),
            (".gml", r"networkx\.read_gml reads it"),
            (".net", r"networkx\.read_pajek reads it"),
            (".mtx", r"scipy\.io\.mmread reads it"),
            (".cyjs", r"networkx\.cytoscape_graph"),
            (".edgelist", r"an edge list is read as \.csv, whatever separates its fields"),
            (".xlsx", r"save the sheet as \.csv"),
            (".gz", r"unpack the file"),
            (".xml", r"if it is GraphML, rename it"),
        ],
    )
    def test_suffixes_of_others(self, suffix, remedy, tmp_path):
        with pytest.raises(NetworkFileError, match=rf"names no format; use .*; {remedy}"):
            read_network(tmp_path / f"network{suffix}")


# ---- networkx, JSON ------------------------------------------------------------------------------------------------


class TestNetworkx:
    def test_weighted_edge_lists(self, tmp_path):
        for options in ({}, {"delimiter": ","}, {"delimiter": "\t"}):
            network, said = read(tmp_path, written(nx.write_weighted_edgelist, **options))
            assert weights(network) == {**AB, ("a", "c"): 1.0}
            assert NO_HEADER in said

    @pytest.mark.parametrize("suffix", [".json", ".graphml", ".csv", ".tsv"])
    def test_names_that_spell_numbers(self, suffix, tmp_path):
        lines = ["1 2 0.5", "2 -3 2.0", "-3 007 1.0", "007 0 1.0"]
        network = nx.parse_edgelist(lines, data=[("weight", float)], create_using=nx.DiGraph)
        write_network(network, tmp_path / f"n{suffix}")
        again, said = read(tmp_path, (tmp_path / f"n{suffix}").read_bytes(), suffix)
        assert dict(again.edges) == dict(network.edges)
        assert (list(map(repr, again)), said) == (["'1'", "'2'", "'-3'", "'007'", "'0'"], "")

    @pytest.mark.parametrize("suffix", [".json", ".csv", ".tsv"])
    def test_text_and_ints_of_one_spelling(self, suffix, tmp_path):
        network = nx.DiGraph([("1", 1, {"weight": 0.5}), (1, "2", {"weight": 1.0})])
        write_network(network, tmp_path / f"n{suffix}")
        assert dict(read_network(tmp_path / f"n{suffix}").edges) == dict(network.edges)

    def test_networkx_sees_the_same_names_in_graphml(self, tmp_path):
        network = nx.DiGraph([("1", "2", {"weight": 0.5})])
        write_network(network, tmp_path / "n.graphml")
        assert dict(nx.read_graphml(tmp_path / "n.graphml").edges) == dict(network.edges)

    def test_gexf_and_gml_of_networkx_can_be_written(self, tmp_path):
        network = nx.DiGraph([("1", "2", {"weight": 0.5})])
        nx.write_gexf(network, tmp_path / "n.gexf")
        again = nx.read_gexf(tmp_path / "n.gexf")
        write_network(again, tmp_path / "n.json")
        assert weights(read_network(tmp_path / "n.json")) == {("1", "2"): 0.5}

    @pytest.mark.parametrize(
        ("data", "reader"),
        [
            (nx.cytoscape_data(nx.DiGraph([("a", "b")])), "cytoscape_graph"),
            (nx.adjacency_data(nx.DiGraph([("a", "b")])), "adjacency_graph"),
            (nx.tree_data(nx.DiGraph([("a", "b")]), "a"), "tree_graph"),
        ],
    )
    def test_other_json(self, data, reader, tmp_path):
        with pytest.raises(NetworkFileError, match=rf"networkx\.{reader}\(json\.load\(file\)\) reads it"):
            read(tmp_path, json.dumps(data), ".json")

    @pytest.mark.parametrize("edges", ["edges", "links"])
    def test_json_without_directions(self, edges, tmp_path):
        graph = nx.DiGraph([("a", "b", {"weight": 1.0})])
        data = nx.node_link_data(graph, edges=edges)
        del data["directed"]
        with pytest.raises(
            NetworkFileError, match=r'does not say "directed": true, and networkx reads it as undirected'
        ):
            read(tmp_path, json.dumps(data), ".json")
        assert not nx.node_link_graph(data, edges=edges).is_directed()
        network, said = read(tmp_path, json.dumps({**data, "directed": True}), ".json")
        assert (dict(network.edges), said) == (dict(graph.edges), "")

    def test_without_edges_there_are_no_directions(self, tmp_path):
        assert list(read(tmp_path, '{"nodes": [{"id": 1}], "edges": []}', ".json")[0]) == [1]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (
                '{"nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": "a", "target": "b", "value": 1}]}',
                r"has no weight; .*did you mean 'value'\? Then say weight='value'",
            ),
            ('{"nodes": [{"name": "a"}], "links": []}', r'nodes\[0\] has None as "id"'),
            (
                '{"directed": true, "nodes": [{"id": 1}], "edges": [{"from": 1, "to": 1, "weight": 1}]}',
                r'edges\[0\] has None as "source"; .*name the keys of both ends with source=, target=',
            ),
        ],
        ids=["D3", "D3 version 3", "vis.js"],
    )
    def test_other_node_links(self, text, reason, tmp_path):
        with pytest.raises(NetworkFileError, match=reason):
            read(tmp_path, text, ".json")


# ---- GraphML -------------------------------------------------------------------------------------------------------

NAMESPACE = 'xmlns="http://graphml.graphdrawing.org/xmlns"'
YED = f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<graphml {NAMESPACE} xmlns:y="http://www.yworks.com/xml/graphml">
  <key attr.name="Description" attr.type="string" for="graph" id="d0"/>
  <key for="port" id="d1" yfiles.type="portgraphics"/>
  <key for="node" id="d2" yfiles.type="nodegraphics"/>
  <key for="graphml" id="d3" yfiles.type="resources"/>
  <key attr.name="weight" attr.type="double" for="edge" id="d4"/>
  <key for="edge" id="d5" yfiles.type="edgegraphics"/>
  <graph edgedefault="directed" id="G">
    <data key="d0" xml:space="preserve"/>
    <node id="n0"><data key="d2"><y:ShapeNode><y:NodeLabel>x</y:NodeLabel></y:ShapeNode></data><port name="p"/></node>
    <node id="n1"><port name="q"><data key="d1"><y:Port/></data></port></node>
    <edge id="e0" source="n0" target="n1" sourceport="p"><data key="d4">2.5</data><data key="d5"><y:Arc/></data></edge>
  </graph>
  <data key="d3"><y:Resources/></data>
</graphml>"""


def graphml(keys, node="", edge="", weight="0.5"):
    return (
        f'<graphml {NAMESPACE}>{keys}<key id="w" for="edge" attr.name="weight" attr.type="double"/>'
        f'<graph edgedefault="directed"><node id="a">{node}</node><node id="b"/>'
        f'<edge source="a" target="b"><data key="w">{weight}</data>{edge}</edge></graph></graphml>'
    )


def key(name, kind, scope="node"):
    return f'<key id="k" for="{scope}" attr.name="{name}" attr.type="{kind}"/>'


class TestGraphml:
    def test_yed(self, tmp_path):
        network, said = read(tmp_path, YED, ".graphml")
        assert dict(network.edges) == {("n0", "n1"): {"weight": 2.5}}
        assert all(not data for _, data in network.nodes(data=True))
        for skipped in ("(nodegraphics)", "<port>", "(edgegraphics)", "data of <graphml> itself"):
            assert said.count(skipped) == 1

    def test_groups_of_yed_are_refused(self, tmp_path):
        text = YED.replace('<port name="p"/>', '<graph edgedefault="directed"><node id="n0::n0"/></graph>')
        with pytest.raises(NetworkFileError, match=r"node 'n0': <graph> in <node> .*out of the group in the editor"):
            read(tmp_path, text, ".graphml")

    @pytest.mark.parametrize("kind", ["vector_float", "vector_string", "python_object"])
    def test_attributes_of_other_types_are_skipped_by_name(self, kind, tmp_path):
        network, said = read(tmp_path, graphml(key("place", kind), '<data key="k">1, 2</data>'), ".graphml")
        assert (weights(network), dict(network.nodes["a"])) == ({("a", "b"): 0.5}, {})
        assert said == f"skipped: attribute 'place' of type {kind}"

    @pytest.mark.parametrize(
        ("name", "scope"), [("group", "node"), ("role", "node"), ("weight", "edge"), ("fixed", "edge")]
    )
    def test_unless_they_mean_something(self, name, scope, tmp_path):
        data = '<data key="k">1</data>'
        text = graphml(key(name, "vector_int", scope), *(["", data] if scope == "edge" else [data]))
        if name == "weight":
            text = text.replace('<data key="w">0.5</data>', "")
        with pytest.raises(NetworkFileError, match=rf"attribute '{name}': '1' is not of type vector_int"):
            read(tmp_path, text, ".graphml")

    def test_unused_declarations_are_nobodys_business(self, tmp_path):
        assert read(tmp_path, graphml(key("place", "vector_float")), ".graphml")[1] == ""

    @pytest.mark.parametrize("text", ["NaN", "nan", ""])
    def test_missing_values_of_igraph(self, text, tmp_path):
        network, said = read(tmp_path, graphml(key("age", "double"), f'<data key="k">{text}</data>'), ".graphml")
        assert (dict(network.nodes["a"]), said) == ({}, "skipped: missing values of attribute 'age'")
        with pytest.raises(NetworkFileError, match=r"attribute 'weight': .* is not a finite number"):
            read(tmp_path, graphml("", weight=text), ".graphml")

    @pytest.mark.parametrize("kind", ["int", "long", "integer", "short"])
    def test_integers_by_any_name(self, kind, tmp_path):
        network, said = read(tmp_path, graphml(key("r", kind), '<data key="k">192</data>'), ".graphml")
        assert (dict(network.nodes["a"]), said) == ({"r": 192}, "")

    def test_one_identity_twice(self, tmp_path):
        text = f'<graphml {NAMESPACE} xmlns:b="urn:balance_graph"><graph edgedefault="directed"><node id="1"/>'
        text += '<node id="1" b:name="text"/></graph></graphml>'
        with pytest.raises(NetworkFileError, match=r"node '1' appears twice"):
            read(tmp_path, text, ".graphml")


# ---- any dialect ---------------------------------------------------------------------------------------------------

HEADERS = [
    None,
    ("source", "target", "weight"),
    ("Source", "Target", "Weight"),
    ("FROM", "to", "weight"),
    ("tail", "head", "WEIGHT"),
    ("a", "b", "c"),
]
NAMES = [["h0", "h1", "h2"], [1, 2, 3], ["New York", "Paris", "a b"], ["a,b", "c;d", 'q"r'], ["1", "2", "x\ty"]]


class Dialect:
    """A way to write an edge list, drawn by a seed; every field is written as that way has it."""

    def __init__(self, seed):
        draw = random.Random(seed)
        self.draw = draw
        self.delimiter = draw.choice([",", ",", ";", "\t", "|", " "])
        self.header = draw.choice(HEADERS)
        self.index = draw.choice([None, None, "", "Unnamed: 0"]) if self.header else None
        self.quoting = draw.choice(["needed", "text", "all"])
        self.decimal = draw.choice([".", ","]) if self.delimiter != "," else "."
        self.end = draw.choice(["\n", "\r\n", "\r"])
        self.comment = draw.random() < 0.2
        names = draw.choice(NAMES)
        pairs = {(draw.choice(names), draw.choice(names)) for _ in range(draw.randint(1, 6))}
        self.weights = {pair: round(draw.uniform(-9, 9), 4) for pair in sorted(pairs, key=repr)}

    def field(self, value):
        text = str(value).replace(".", self.decimal) if isinstance(value, float) else str(value)
        marks = ' \t"' if self.delimiter == " " else f'{self.delimiter}"'
        needed = text == "" or any(mark in text for mark in marks)
        quoted = self.quoting == "all" or (self.quoting == "text" and isinstance(value, str)) or needed
        return '"' + text.replace('"', '""') + '"' if quoted else text

    def text(self):
        rows = [[*pair, weight] for pair, weight in self.weights.items()]
        if self.index is not None:
            rows = [[k, *row] for k, row in enumerate(rows)]
        if self.header:
            rows.insert(0, [*([] if self.index is None else [self.index]), *self.header])
        lines = [self.delimiter.join(map(self.field, row)) for row in rows]
        return self.end.join([*(["# by hand, with; all\tmarks"] if self.comment else []), *lines, ""])


@pytest.mark.parametrize("block", range(5))
def test_any_dialect_is_read_right_or_refused(block, tmp_path):
    refused = 0
    for seed in range(100 * block, 100 * (block + 1)):
        dialect = Dialect(seed)
        if dialect.header and dialect.header[0] == "a":
            with pytest.raises(NetworkFileError, match=r"no column 'source'; .*source=, target=, weight="):
                read(tmp_path, dialect.text())
            continue
        try:
            network, _ = read(tmp_path, dialect.text())
        except NetworkFileError:
            refused += 1
            continue
        found = {tuple(map(str, edge)): value for edge, value in weights(network).items()}
        assert found == {tuple(map(str, edge)): value for edge, value in dialect.weights.items()}, seed
    assert refused <= 3  # delimiters and decimal points that cannot be told


# ---- command line --------------------------------------------------------------------------------------------------


class TestCommandLine:
    def file(self, tmp_path, text, name="network.csv"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    @pytest.mark.parametrize("command", ["inspect", "balance", "verify", "compare"])
    def test_notes_are_one_line_on_the_standard_error(self, command, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(bg, "verify", lambda *_, **__: bg.theory.Report((), (), 0.0))
        file = self.file(tmp_path, "Source;Target;Weight\nx;h;0,5\nh;y;2\n")
        main([command, *[file] * (1 + (command == "compare")), "--json"])
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 + (command == "compare")
        assert said[0].startswith(f"balance-graph: note: {file}: fields are separated by semicolons; columns 'Source',")
        main([command, *[file] * (1 + (command == "compare")), "--quiet"])
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("text", "options"),
        [
            ("u;v;s\nx;h;8\nh;y;2\n", ["--source", "u", "--target", "v", "--weight", "s"]),
            ("h;x;8\ny;h;2\n", ["--source", "2", "--target", "1", "--weight", "3"]),
        ],
    )
    def test_options(self, text, options, tmp_path, capsys):
        file, output = self.file(tmp_path, text), str(tmp_path / "balanced.tsv")
        assert main(["balance", file, *options, "--delimiter", ";", "--output", output, "--json"]) == 0
        printed, said = capsys.readouterr()
        assert json.loads(printed)["cost"] == pytest.approx(32.0)
        assert said == ""
        weight = "s" if "s" in options else "weight"
        assert weights(read_network(output, weight=weight), weight) == pytest.approx({("x", "h"): 4, ("h", "y"): 4})
        assert main(["inspect", file, *options, "--delimiter", ";", "--quiet"]) == 0
        assert main(["compare", file, file, *options, "--delimiter", ";", "--quiet"]) == 0

    @pytest.mark.parametrize(
        ("text", "options", "part"),
        [
            ("u,v,s\nx,h,8\n", [], "or name the columns with --source, --target, --weight"),
            ("from,to,s\nx,h,8\n", [], "like --weight 's'"),
            ("x,h,8\n", ["--source", "2"], "give source and target as numbers too, got --source 2"),
            ("a;1,b;2,3\nb;1,c;2,5\n", [], "say it: --delimiter"),
            ("x,h,8\n", ["--delimiter", "ab"], "delimiter must be one character"),
        ],
    )
    def test_refusals_name_the_options(self, text, options, part, tmp_path, capsys):
        assert main(["inspect", self.file(tmp_path, text), *options]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith("balance-graph: error: ")
        assert part in said
