"""Parameters that are DTensors: several processes balance a module as one does.

Rooms: models, pytorch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs torch: pip install "balance-graph[torch]"')

from architectures import Llama  # noqa: E402
from model_checks import outputs, randomized  # noqa: E402
from processes import run_together  # noqa: E402
from torch import nn  # noqa: E402

import balance_graph as bg  # noqa: E402
from balance_graph.models import large  # noqa: E402
from balance_graph.pytorch import balance_module, equivalent, imbalance  # noqa: E402

IDS = (torch.tensor([[1, 2, 3]]),)


def wide():
    # Rows that three processes cannot share evenly; of the last layer, the third has none.
    return randomized(nn.Sequential(nn.Linear(4, 11), nn.ReLU(), nn.Linear(11, 7), nn.ReLU(), nn.Linear(7, 2)))


def sharded_as(make, inputs, mesh):
    """A module behind `fully_shard`, balanced; the first process compares it with one that is whole."""
    from torch.distributed.fsdp import fully_shard

    module = make()
    for part in getattr(module, "blocks", ()):
        fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)
    parameters = list(module.parameters())
    before = outputs(module, inputs)
    report = balance_module(module, inputs)
    after = outputs(module, inputs)
    assert float((after - before).abs().max() / before.abs().max()) < 1e-12
    assert report.relative_imbalance < 1e-10
    assert report.certificate.relative_gap < 1e-9
    assert imbalance(module, inputs).largest < 1e-10
    assert all(one is other for one, other in zip(parameters, module.parameters(), strict=True))
    gathered = [parameter.full_tensor() for parameter in parameters]
    if mesh.get_rank() == 0:
        whole = make()
        expected = balance_module(whole, inputs)
        np.testing.assert_allclose(report.log_scales, expected.log_scales, atol=1e-10)
        assert abs(report.cost / expected.cost - 1) < 1e-12
        assert abs(report.initial_cost / expected.initial_cost - 1) < 1e-12
        for one, other in zip(gathered, whole.parameters(), strict=True):
            torch.testing.assert_close(one, other.detach(), rtol=1e-10, atol=0)
    return module


def balance_shards(rank, directory):
    """What each of three processes does; two of them share a mesh of their own."""
    from torch import distributed
    from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{directory}/meeting", rank=rank, world_size=3)
    three, two = init_device_mesh("cpu", (3,)), DeviceMesh("cpu", [0, 1])
    x = (torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(2, 4),)
    module = sharded_as(lambda: randomized(Llama()), IDS, three)
    for call in (lambda: balance_module(module, IDS, inplace=False), lambda: equivalent(module, module, IDS)):
        with pytest.raises(bg.UnsupportedError, match="DTensor"):
            call()
    large._MANY, large._LARGE = 0, 4  # blocks that stay where they are, by passes over them
    sharded_as(wide, x, three)
    sharded_as(wide, x, init_device_mesh("cpu", (3, 1), mesh_dim_names=("copies", "shards")))
    if rank < 2:
        sharded_as(wide, x, two)
    # Other placements: columns, copies, and sums that are not there yet.
    plain = wide()
    expected = imbalance(wide(), x)
    for name, placement in (("0", Shard(1)), ("2", Replicate()), ("4", Shard(0))):
        layer = plain.get_submodule(name)
        layer.weight = nn.Parameter(distribute_tensor(layer.weight.detach(), three, [placement]))
    found = imbalance(plain, x)
    assert found.cost == pytest.approx(expected.cost, rel=1e-13)
    assert found.largest == pytest.approx(expected.largest, rel=1e-12)
    plain[0].weight = nn.Parameter(DTensor.from_local(torch.ones(11, 4).double(), three, [Partial()]))
    with pytest.raises(bg.UnsupportedError, match=r"0.weight.*placement P"):
        imbalance(plain, x)
    distributed.destroy_process_group()
    Path(directory, f"done {rank}").touch()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch without torch.distributed")
def test_sharded_modules_are_balanced_as_whole_ones_are(tmp_path):
    codes = run_together(balance_shards, str(tmp_path), count=3)
    assert codes == [0, 0, 0]
    assert len(list(tmp_path.glob("done *"))) == 3
