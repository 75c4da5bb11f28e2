"""The direction of imports, and how little `import balance_graph` brings in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import balance_graph

PACKAGE = Path(balance_graph.__file__).parent
# Bottom-up: a module may import only from its own layer and those before it (and nothing in a circle).
LAYERS = (
    {"_types", "errors", "_arguments", "_sparse_arguments", "_optional", "_compiled", "_threads", "progress"},
    {"activations", "rows", "regularizers", "elimination", "laplacian", "log_domain", "_paths"},
    {"manifold"},
    {"problem"},
    # The numeric engine: what is not named elsewhere belongs here.
    {"equations", "clusters", "attainment", "reduction", "iterate", "certificate", "solution"},
    {"solvers"},
    {"large", "solve"},
    {"matrix"},
    {"graph", "evaluate"},
    {"result", "questions", "operations", "equivalence", "_balance"},
)
ENGINE = 4
NAMED = {name for layer in LAYERS for name in layer}
# These need optional packages, or are heavy: imported only inside functions, never while the package loads.
LAZY = {"cvxpy", "numba", "matplotlib", "torch", "pandas", "sklearn", "tqdm"}
# They stand upstairs: the gallery and the files know the door, the guests know the public interface.
GALLERY = {"networks", "readwrite", "data"}
GUESTS = {"theory", "plots", "cli", "models", "pytorch", "__main__"}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, *, anywhere: bool) -> set[str]:
    """Modules that a module imports: at its top level, or anywhere in it."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree) if anywhere else _top_level(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            found.add(str(node.module))
            if str(node.module).startswith("balance_graph"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _top_level(tree: ast.Module) -> list[ast.AST]:
    """Statements that run when the module is loaded."""
    found: list[ast.AST] = []
    for node in tree.body:
        for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if not for_types and not isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.extend(ast.walk(node))
    return found


def own(found: set[str]) -> set[str]:
    """The package's own modules among imported names."""
    names = {name.removeprefix("balance_graph.") for name in found if name.startswith("balance_graph.")}
    return {name for name in names if name in MODULES}


def layer(name: str) -> int:
    top = name.split(".")[0]
    return next((k for k, names in enumerate(LAYERS) if top in names), ENGINE)


CORE = [name for name in MODULES if name and name.split(".")[0] not in GALLERY | GUESTS]


def test_the_named_modules_exist():
    assert set(MODULES) >= NAMED


@pytest.mark.parametrize("name", CORE)
def test_imports_run_bottom_up(name):
    for other in own(imports(name, anywhere=True)):
        assert other in CORE, f"{name} imports {other}"
        assert layer(other) <= layer(name), f"{name} imports {other}"


def test_there_are_no_cycles():
    graph = {name: own(imports(name, anywhere=False)) - {name} for name in MODULES if name}
    done: set[str] = set()
    while len(done) < len(graph):
        ready = {name for name, needs in graph.items() if name not in done and needs <= done}
        assert ready, f"a cycle among {sorted(set(graph) - done)}"
        done |= ready


@pytest.mark.parametrize("name", [name for name in CORE if layer(name) < layer("graph")])
def test_nothing_below_the_door_sees_networkx(name):
    assert not {found for found in imports(name, anywhere=True) if found.split(".")[0] == "networkx"}


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_are_imported_only_when_called(name):
    if name.split(".")[0] not in {"plots", "pytorch"}:
        assert not {found for found in imports(name, anywhere=False) if found.split(".")[0] in LAZY}


@pytest.mark.parametrize("name", MODULES)
def test_cvxpy_is_imported_in_one_place(name):
    seen = {found.split(".")[0] for found in imports(name, anywhere=True)}
    assert ("cvxpy" in seen) <= (name == "solvers.convex")
    assert ("numba" in seen) <= (name == "_compiled" or name.startswith("solvers."))


@pytest.mark.parametrize("name", [*CORE, *(name for name in MODULES if name.split(".")[0] in GALLERY)])
def test_the_core_does_not_know_its_guests(name):
    assert not {other for other in own(imports(name, anywhere=True)) if other.split(".")[0] in GUESTS}


def run(source: str) -> str:
    command = [sys.executable, "-W", "error", "-c", source]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_importing_the_package_is_light():
    loaded = run("import sys, balance_graph; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert not LAZY & set(loaded)


@pytest.mark.parametrize("missing", ["matplotlib", "tqdm"])
def test_optional_packages_may_be_absent(missing):
    source = f"""
import sys
sys.modules[{missing!r}] = None
import balance_graph as bg
print(bg.balance(bg.networks.layered([2, 3, 1], rng=0)).status)
"""
    assert run(source).strip() == "converged"


def test_a_missing_package_is_named_with_its_remedy():
    source = """
import sys
sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None
import balance_graph as bg
try:
    bg.balance(bg.networks.layered([2, 3, 1], rng=0), progress=True)
except bg.MissingDependencyError as error:
    print(isinstance(error, ImportError), error)
"""
    printed = run(source)
    assert printed.startswith("True")
    assert 'pip install "balance-graph[progress]"' in printed


def test_every_public_name_is_there_and_documented():
    for name in balance_graph.__all__:
        if name != "plots":
            assert getattr(balance_graph, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        balance_graph.nonsense  # noqa: B018
