"""The documentation runs: examples of docstrings, code of the README; and no public name is without either."""

from __future__ import annotations

import doctest
import enum
import functools
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
    if name.startswith("balance_graph.partitioned"):
        for package in ("dask", "pyarrow"):
            pytest.importorskip(package, reason='needs dask: pip install "balance-graph[dask]"')
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


def test_examples_of_the_landing_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Each by itself, as somebody types it; that of models is run where there is PyTorch."""
    blocks = re.findall(r"^```python\n(.*?)^```", text_of("docs/index.md"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "index.md", "exec"), {})
    assert "68 -> 32" in capsys.readouterr().out


def test_readme_links_lead_somewhere() -> None:
    """All are absolute, for readers on PyPI; those into this repository and its pages are looked up in the sources."""
    links = re.findall(r"\]\(([^)#]+)", text_of("README.md"))
    assert [link for link in links if not link.startswith("https://")] == []
    ours = [found for link in links if (found := HOME.match(link)) is not None]
    assert len(ours) > 10
    assert [found[0] for found in ours if not any(source.exists() for source in sources_of(found))] == []


HOME = re.compile(
    r"https://(?:raw\.githubusercontent\.com/balance-graph/balance_graph/main|"
    r"github\.com/balance-graph/balance_graph/blob/main)/(?P<file>.+)|"
    r"https://balance-graph\.readthedocs\.io/(?:en/latest/(?P<page>.+)\.html)?$"
)


def sources_of(link: re.Match[str]) -> list[Path]:
    """The files that a link into the repository, or to a page of the documentation, can stand for."""
    if link["file"]:
        return [ROOT / link["file"]]
    page = link["page"] or "index"
    story = page.replace("how-to/", "examples/", 1)
    return [ROOT / "docs" / f"{page}.md", ROOT / "docs" / f"{story}.py", ROOT / "docs/examples/GALLERY_HEADER.rst"]


def test_no_line_of_code_is_wider_than_a_page() -> None:
    """Lines of 92 characters have room beside the navigation; longer ones would be cut off."""
    pages = [page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts]
    fence = re.compile(r"^```(?:\{code-cell\}|python|py\b|bash|text)[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
    code = [block for page in pages for block in fence.findall(page.read_text(encoding="utf-8"))]
    # A story is text, in its docstring and behind "# ", and code between.
    stories = [story.read_text(encoding="utf-8") for story in (ROOT / "docs" / "examples").glob("*.py")]
    code += [re.sub(r"^# .*", "", story.split('"""', 2)[2], flags=re.MULTILINE) for story in stories]
    if not code:
        pytest.skip("the documentation is not part of this installation")
    assert [line for block in code for line in block.splitlines() if len(line) > 92] == []


@pytest.mark.parametrize("name", bg.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    thing = getattr(bg, name)
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    exempt = isinstance(thing, ModuleType) or (isinstance(thing, type) and issubclass(thing, Exception | enum.Enum))
    if not exempt and name not in ANSWERS:
        assert re.search(r"^Examples\n-{8}$", text, flags=re.MULTILINE), "no Examples section"


PUBLIC = [
    *bg.__all__,
    *(f"networks.{name}" for name in bg.networks.__all__),
    *(f"plots.{name}" for name in bg.plots.__all__),
]
# They take nothing that could be wrong.
RAISE_NOTHING = {"warmup", "networks.digits", "networks.digits_images"}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_object_has_all_sections(name: str) -> None:
    """Parameters, what comes back, errors, what is near, an example: each where it applies."""
    thing = functools.reduce(getattr, name.split("."), bg)
    if isinstance(thing, ModuleType) or (isinstance(thing, type) and issubclass(thing, Exception | enum.Enum)):
        return
    sections = set(re.findall(r"^(\w[\w ]*)\n-{3,}$", inspect.getdoc(thing) or "", flags=re.MULTILINE))
    wanted = {"See Also"} if name in ANSWERS else {"See Also", "Examples"}
    if inspect.isfunction(thing):
        wanted |= {"Returns"} | ({"Parameters"} if inspect.signature(thing).parameters else set())
        wanted |= set() if name in RAISE_NOTHING else {"Raises"}
    assert wanted - sections == set()


def test_every_public_name_is_in_the_reference() -> None:
    page = text_of("docs/api/index.md")
    listed = set(re.findall(r"^   ([\w.]+)$", page, flags=re.MULTILINE))
    wanted = {name for name in bg.__all__ if not isinstance(getattr(bg, name), ModuleType)}
    for module in (bg.networks, bg.plots):
        wanted |= {f"{module.__name__.removeprefix('balance_graph.')}.{name}" for name in module.__all__}
    wanted.add("partitioned.BalanceProblem")  # not imported here: dask may be missing
    assert listed == wanted
