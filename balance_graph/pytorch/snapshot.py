"""Parameters and buffers as they were before scaling, to be restored bit for bit."""

from __future__ import annotations

import torch

from balance_graph.pytorch.reading import ModelStructure


class Snapshot:
    """Copies of all that scaling a module changes."""

    def __init__(self, model: ModelStructure) -> None:
        scaled = (model.tensor(block.parameter) for block in model.structure.blocks)
        tensors = {id(tensor): tensor for tensor in scaled}
        self._copies = [(tensor, tensor.detach().clone()) for tensor in tensors.values()]

    def restore(self) -> None:
        """Write the copies back into the same tensors."""
        with torch.no_grad():
            for tensor, copy in self._copies:
                tensor.detach().copy_(copy)
