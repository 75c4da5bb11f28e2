"""Hypothesis: a checkpoint of 10^9 weights in bfloat16 is balanced with a peak memory of at most 1 GB.

A decoder as LLaMA has it (RMS norms, rotary embeddings, grouped queries, gated feed-forward parts) is generated with
random weights in a temporary directory, in shards with an index. `balance_checkpoint` then runs in a fresh process.
Run: ``python benchmarks/checkpoint.py`` (needs torch and safetensors; 5 GB of disk); ``--quick`` for a small one.
Results: ``results/checkpoint.json``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

LIMIT = 1e9
SIZES = {
    "full": {"width": 2048, "heads": 32, "groups": 4, "hidden": 5632, "layers": 22, "vocabulary": 32_000},
    "quick": {"width": 128, "heads": 4, "groups": 2, "hidden": 352, "layers": 2, "vocabulary": 500},
}


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.size, self.repeat = width // heads, heads // groups
        inner = self.size * groups
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.q, self.k, self.v, self.o, self.gate, self.up, self.down = (
            nn.Linear(a, b, bias=False)
            for a, b in (
                (width, width),
                (width, inner),
                (width, inner),
                (width, width),
                (width, hidden),
                (width, hidden),
                (hidden, width),
            )
        )

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        time_, half = x.shape[2], self.size // 2
        angle = torch.outer(torch.arange(time_), 1e4 ** -(torch.arange(half) / half)).to(x.dtype)
        angle = torch.cat([angle, angle], -1)
        return x * angle.cos() + torch.cat([-x[..., half:], x[..., :half]], -1) * angle.sin()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, width = x.shape
        y = self.norm1(x)
        q, k, v = (f(y).view(n, t, -1, self.size).transpose(1, 2) for f in (self.q, self.k, self.v))
        q, k = self.rotate(q), self.rotate(k)
        k, v = (
            z[:, :, None].expand(-1, -1, self.repeat, -1, -1).reshape(n, width // self.size, t, self.size)
            for z in (k, v)
        )
        heads = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(heads.transpose(1, 2).reshape(n, t, width))
        y = self.norm2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    def __init__(self, *, layers: int, vocabulary: int, width: int, heads: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Layer(width, heads, groups, hidden) for _ in range(layers))
        self.norm, self.head = RMSNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def without_memory(size: str) -> Decoder:
    with torch.device("meta"):
        return Decoder(**SIZES[size]).to(torch.bfloat16)


def generate(size: str, directory: Path) -> tuple[int, int]:
    """Write a checkpoint of random weights, one shard for each layer; numbers of weights and of files."""
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    shards: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in without_memory(size).state_dict().items():
        parts = name.split(".")
        shards.setdefault(".".join(parts[:2]) if parts[0] == "layers" else "ends", {})[name] = tensor
    weight_map, count = {}, 0
    for number, shard in enumerate(shards.values()):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: drawn(tensor, generator) for name, tensor in shard.items()}, directory / file)
        weight_map |= dict.fromkeys(shard, file)
        count += sum(tensor.numel() for tensor in shard.values())
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return count, len(shards)


def drawn(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Weights as large as trained ones, rows of different sizes; norms near one."""
    noise = torch.randn(tensor.shape, generator=generator)
    if tensor.dim() == 1:
        return (1.0 + 0.3 * noise).to(torch.bfloat16)
    rows = torch.randn(tensor.shape[0], 1, generator=generator).mul_(0.5).exp_()
    return noise.mul_(0.02).mul_(rows).to(torch.bfloat16)


def highest() -> int:
    """The peak resident set of this program, pages of mapped files included; that of its parent does not count."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def balance(size: str, directory: Path) -> dict[str, object]:
    """What the process of its own does."""
    start = time.perf_counter()
    from balance_graph.pytorch import balance_checkpoint

    torch.set_num_threads(1)
    imported = highest()
    inputs = (torch.tensor([[1, 2, 3]]),)
    report = balance_checkpoint(directory / "old", without_memory(size), inputs, output=directory / "new")
    peak = highest()
    return {
        "peak_bytes": peak,
        "peak_bytes_after_imports": imported,
        "seconds": {**report.seconds, "whole process": time.perf_counter() - start},
        "units": len(report.units),
        "free_scales": report.log_scales.size,
        "components": report.n_components,
        "initial_cost": report.initial_cost,
        "cost": report.cost,
        "initial_relative_imbalance": report.initial_relative_imbalance,
        "relative_imbalance": report.relative_imbalance,
        "relative_gap": report.certificate.relative_gap,
        "converged": report.converged,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = "quick" if arguments.quick else "full"
    if arguments.child:
        print(json.dumps(balance(size, arguments.child)))
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "old").mkdir()
        count, files = generate(size, directory / "old")
        command = [sys.executable, __file__, "--child", name, *(["--quick"] if arguments.quick else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        measured = json.loads(done.stdout)
        written = sum(path.stat().st_size for path in (directory / "new").iterdir())
    result = {
        "hypothesis": "10^9 weights in bfloat16 are balanced with a peak resident set of at most 1 GB",
        "holds": measured["peak_bytes"] <= LIMIT,
        "weights": count,
        "files": files,
        "bytes": written,
        **measured,
        "versions": {
            name: importlib.metadata.version(name) for name in ("torch", "safetensors", "numpy", "scipy", "numba")
        },
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    print(json.dumps(result, indent=1))
    if not arguments.quick:
        path = Path(__file__).parent / "results" / "checkpoint.json"
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
