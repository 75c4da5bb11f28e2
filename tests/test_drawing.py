"""The drawing on the landing page balances as the library does: run in headless Chromium, where there is one.

Room: graph.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import balance_graph as bg

PAGE = Path(__file__).parents[1] / "docs" / "_static" / "balancing.html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not part of this installation")


@pytest.fixture(scope="module")
def drawn():
    text = PAGE.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="network">(.*?)</script>', text, flags=re.DOTALL)[1])


@pytest.fixture(scope="module")
def network(drawn):
    G = nx.DiGraph()
    G.add_weighted_edges_from(map(tuple, drawn["edges"]))
    G.nodes["y"]["activation"] = "linear"
    return G


def page_after(steps, folder):
    """What the page holds in the attributes of its body after so many steps."""
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"),
        *("--virtual-time-budget=2000", "--dump-dom", f"{PAGE.as_uri()}#steps={steps}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    body = re.search(r"<body([^>]*)>", done.stdout)[1]
    return {name: json.loads(html.unescape(value)) for name, value in re.findall(r'data-(\w+)="([^"]*)"', body)}


def test_the_page_names_the_least_cost(drawn, network):
    assert drawn["least"] == pytest.approx(bg.balance(network).cost, rel=1e-6)
    assert set(drawn["units"]) == set(bg.balance(network).scales)


def test_the_page_needs_nothing_from_elsewhere():
    text = PAGE.read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"')]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a format, which nobody fetches
    assert "src=" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_balances_as_the_library_does(drawn, network, tmp_path):
    before, after = page_after(0, tmp_path), page_after(60, tmp_path)
    assert before["weights"] == [w for *_, w in drawn["edges"]]
    assert before["cost"] == pytest.approx(bg.cost(network, 2))
    result = bg.balance(network)
    assert after["cost"] == pytest.approx(result.cost, rel=1e-12)
    balanced = [result.graph.edges[u, v]["weight"] for u, v, _ in drawn["edges"]]
    assert np.abs(np.array(after["weights"]) / balanced - 1.0).max() < 1e-6
    for shown in (before, after):
        assert shown["output"] == pytest.approx(float(bg.evaluate(network, [2.0, 1.0])[0]), rel=1e-12)
