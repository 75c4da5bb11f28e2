"""The direction of imports, and how little `import balance_graph` brings in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import balance_graph

PACKAGE = Path(balance_graph.__file__).parent
# Below this room nothing knows networkx.
BELOW_THE_DOOR = ("linear", "problem", "points", "solvers", "certificate")
# These need optional packages, or are heavy: imported only inside functions, never while the package loads.
LAZY = {"cvxpy", "numba", "matplotlib", "torch", "pandas", "sklearn", "tqdm", "onnx", "onnxruntime"}


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


def test_there_are_no_cycles():
    graph = {name: own(imports(name, anywhere=False)) - {name} for name in MODULES if name}
    done: set[str] = set()
    while len(done) < len(graph):
        ready = {name for name, needs in graph.items() if name not in done and needs <= done}
        assert ready, f"a cycle among {sorted(set(graph) - done)}"
        done |= ready


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] in BELOW_THE_DOOR])
def test_nothing_below_the_door_sees_networkx(name):
    assert not {found for found in imports(name, anywhere=True) if found.split(".")[0] == "networkx"}


@pytest.mark.parametrize("name", MODULES)
def test_private_modules_stay_in_their_room(name):
    for other in own(imports(name, anywhere=True)):
        *room, module = other.split(".")
        assert not (room and module.startswith("_")) or name.split(".")[0] == room[0], f"{name} imports {other}"


# Benchmarks, experiments, documentation, direction of imports, and the tests' own reference are tested as a whole.
OF_NO_ROOM = {"test_benchmarks", "test_experiments", "test_docs", "test_imports", "test_reference"}


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("test_*.py")), ids=lambda file: file.stem)
def test_every_test_file_names_the_rooms_it_tests(file):
    if file.stem in OF_NO_ROOM:
        return
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    named = re.search(r"^Rooms?: ([a-z, ]+)\.$", text, re.MULTILINE)
    assert named, "the docstring of a test file ends with a line such as 'Rooms: problem, points.'"
    assert all((PACKAGE / room / "__init__.py").exists() for room in named[1].split(", "))


def test_the_rooms_are_these():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    engine = {"linear", "problem", "points", "solvers", "certificate"}
    assert rooms == engine | {"graph", "networks", "theory", "plots", "cli", "models", "pytorch", "onnx", "partitioned"}


def test_no_module_is_hidden_by_a_function_of_its_name():
    top = {path.stem for path in PACKAGE.iterdir()}
    hidden = {name for name in balance_graph.__all__ if name in top and callable(getattr(balance_graph, name))}
    assert not hidden


def test_the_package_lists_its_public_names_alone():
    assert dir(balance_graph) == sorted(balance_graph.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_are_imported_only_when_called(name):
    if name.split(".")[0] not in {"plots", "pytorch", "onnx", "partitioned"}:
        assert not {found for found in imports(name, anywhere=False) if found.split(".")[0] in LAZY}


@pytest.mark.parametrize("name", MODULES)
def test_cvxpy_is_imported_in_one_place(name):
    seen = {found.split(".")[0] for found in imports(name, anywhere=True)}
    assert ("cvxpy" in seen) <= (name in {"solvers.convex", "solvers.convex_problem"})
    assert ("numba" in seen) <= (name == "_compiled" or name.startswith("solvers."))


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


def test_every_public_name_has_one_home():
    """What a type checker reads, what is imported when asked for, and what ``*`` imports are the same names."""
    tree = ast.parse(MODULES[""].read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    homes = {
        (str(node.module).removeprefix("balance_graph").removeprefix("."), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    modules = {("", "networks"), ("", "plots")}
    assert homes - modules == {(home, name) for name, home in balance_graph._HOME_OF.items()}
    assert sorted(name for _, name in homes) == balance_graph.__all__
    assert set(balance_graph.__all__) <= set(dir(balance_graph))


@pytest.mark.parametrize(
    "first", ["balance_graph.solvers.conductor", "balance_graph.theory", "balance_graph.graph.evaluation"]
)
def test_a_function_hides_the_module_of_the_same_name(first):
    source = f"""
import importlib
importlib.import_module({first!r})
import balance_graph as bg
print(*(callable(getattr(bg, name)) for name in ("solve", "evaluate", "attainment", "manifold", "balance")))
import balance_graph.solvers.conductor, balance_graph.problem.manifold
print(callable(bg.solve), callable(bg.manifold), bg.solvers.newton.NewtonSolver is bg.NewtonSolver)
"""
    assert set(run(source).split()) == {"True"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["balance", "--help"],
        ["inspect", "--help"],
        ["compare", "--help"],
        ["verify", "--help"],
        ["demo", "--help"],
    ],
)
def test_help_waits_for_no_package(arguments):
    """Which take most of a second; by themselves, answers take 0.1 s."""
    source = f"import sys; from balance_graph.cli import main; main({arguments}); print(); print(*sys.modules)"
    loaded = {name.split(".")[0] for name in run(source).splitlines()[-1].split()}
    assert "balance_graph" in loaded
    assert not loaded & ({"numpy", "scipy", "networkx"} | LAZY)
