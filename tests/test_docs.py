"""The documentation runs: examples of docstrings, code of the README; and no public name is without either."""

from __future__ import annotations

import doctest
import enum
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import balance_graph as bg
from balance_graph.graph import activations

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(bg.__path__, "balance_graph.")
    if not module.name.endswith("__main__")
)
# Answers, which nobody makes by hand: the functions that return them show them in their examples.
ANSWERS = {
    *("Attainment", "BalanceResult", "Certificate", "Finding", "History", "Manifold", "Regularizer", "Report"),
    "Solution",
}


@pytest.fixture(autouse=True)
def own_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example registers is forgotten after it."""
    monkeypatch.setattr(activations, "_REGISTERED", dict(activations._REGISTERED))
    monkeypatch.setattr(activations, "_PARSED", dict(activations._PARSED))


def text_of(path: str) -> str:
    file = ROOT / path
    if not file.exists():
        pytest.skip(f"{path} is not part of this installation")
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith("balance_graph.pytorch"):
        pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')
    if name == "balance_graph.pytorch.checkpoint":
        pytest.importorskip("safetensors", reason='needs safetensors: pip install "balance-graph[torch]"')
    if name.startswith("balance_graph.onnx"):
        for package in ("onnx", "onnxruntime"):
            pytest.importorskip(package, reason='needs onnx: pip install "balance-graph[onnx]"')
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert failed == 0


def test_readme_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", text_of("README.md"), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert "converged" in capsys.readouterr().out


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text_of("README.md"))
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", bg.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    thing = getattr(bg, name)
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    exempt = isinstance(thing, ModuleType) or (isinstance(thing, type) and issubclass(thing, Exception | enum.Enum))
    if not exempt and name not in ANSWERS:
        assert re.search(r"^Examples\n-{8}$", text, flags=re.MULTILINE), "no Examples section"


def test_every_public_name_is_in_the_reference() -> None:
    page = text_of("docs/api/index.md")
    listed = set(re.findall(r"^   ([\w.]+)$", page, flags=re.MULTILINE))
    wanted = {name for name in bg.__all__ if not isinstance(getattr(bg, name), ModuleType)}
    for module in (bg.networks, bg.plots):
        wanted |= {f"{module.__name__.removeprefix('balance_graph.')}.{name}" for name in module.__all__}
    assert listed == wanted
