"""The code of the quickstart for models runs as typed, and the README's with a model of one's own.

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


def test_the_quickstart_runs_as_typed(capsys):
    namespace = {}
    for block in blocks("docs/quickstart-models.md", "python"):
        exec(compile(block, "quickstart-models.md", "exec"), namespace)
    assert "output change" in capsys.readouterr().out
    assert namespace["report"].cost < namespace["report"].initial_cost


def test_the_readme_runs_on_a_model_of_your_own(capsys):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    [block] = blocks("README.md", "py")
    exec(compile(block, "README.md", "exec"), {"model": model, "x": torch.randn(1, 3)})
    assert "4 scaled" in capsys.readouterr().out
