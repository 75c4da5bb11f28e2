"""The code of the README, the landing page and the pages about models runs as typed, and prints what they show.

Room: pytorch.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

ROOT = Path(__file__).resolve().parents[1]


def blocks(path: str, language: str) -> list[str]:
    file = ROOT / path
    if not file.exists():
        pytest.skip(f"{path} is not part of this installation")
    return re.findall(rf"^```{language}\n(.*?)^```", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def run(path: str, language: str = "python") -> dict[str, object]:
    namespace: dict[str, object] = {}
    for block in blocks(path, language):
        exec(compile(block, path, "exec"), namespace)
    return namespace


def test_the_quickstart_runs_as_typed_and_prints_what_it_shows(capsys):
    namespace = run("docs/quickstart-models.md")
    printed = capsys.readouterr().out
    assert namespace["report"].cost < namespace["report"].initial_cost
    shown = "".join(blocks("docs/quickstart-models.md", "text"))
    assert lasting(shown) == lasting(printed)


def lasting(text: str) -> list[str]:
    """The lines of a summary, with six digits of each number; rounding is the processor's own."""
    lines = [line for line in text.splitlines() if not line.startswith(("relative imb", "certified gap", "output ch"))]
    return [re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.6g}", line) for line in lines]


def test_the_page_about_training_runs_as_typed():
    namespace = run("docs/models-training.md")
    assert namespace["balancer"].imbalance() < 1e-5
    assert {"imbalance/total", "imbalance/largest", "imbalance/cost", "imbalance/0"} == set(namespace["found"])


def test_the_page_about_models_runs_as_typed(capsys):
    namespace = run("docs/models.md")
    assert "16 scaled" in capsys.readouterr().out
    assert namespace["report"].cost < namespace["report"].initial_cost


@pytest.mark.parametrize(("path", "language"), [("README.md", "py"), ("docs/index.md", "py")])
def test_what_comes_first_runs_as_typed(path, language, capsys):
    run(path, language)
    assert "9 scaled" in capsys.readouterr().out
