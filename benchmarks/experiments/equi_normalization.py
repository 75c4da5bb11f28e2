"""Equi-normalization, written from its paper: Stock, Graham, Gribonval, Jegou, ICLR 2019.

One cycle goes through the hidden layers in order. Unit i of layer k is scaled by the square root of the ratio of the
norms of its outgoing and its incoming weights, so that both norms agree; its bias is scaled along but has no part in
the norms. The cycle follows each step of the optimizer, whose state is left as it is.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


@torch.no_grad()
def cycle(module: nn.Module, chains: tuple[tuple[str, ...], ...], p: float) -> None:
    """Scale in place. A unit without incoming or without outgoing weights is left alone."""
    for chain in chains:
        for one, two in pairwise(chain):
            into, out_of = module.get_submodule(one), module.get_submodule(two)
            ins = torch.linalg.vector_norm(into.weight, ord=p, dim=1)
            outs = torch.linalg.vector_norm(out_of.weight, ord=p, dim=0)
            scales = torch.where((ins > 0) & (outs > 0), (outs / ins).sqrt(), 1.0)
            into.weight.mul_(scales[:, None])
            into.bias.mul_(scales)
            out_of.weight.div_(scales)
