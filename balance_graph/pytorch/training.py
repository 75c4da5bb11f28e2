"""Balancing while training: two lines in a loop."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from balance_graph._arguments import check_count
from balance_graph._choices import check_choice
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError, UnsupportedError
from balance_graph.models.optimum import least_cost
from balance_graph.models.terms import ROLES
from balance_graph.problem.regularizers import Regularizer, as_regularizer
from balance_graph.pytorch.costs import model_cost
from balance_graph.pytorch.held import held_scales
from balance_graph.pytorch.moves import Companion, Mover
from balance_graph.pytorch.optimizers import check_optimizer, has_coupled_decay, state_companions
from balance_graph.pytorch.reading import ModelStructure, read_module
from balance_graph.pytorch.shards import check_whole
from balance_graph.pytorch.sweeps import Sweep

# No step scales a unit by more than a million: what asks for more is dead but for rounding, and moments in single
# precision, which take the square, would leave their range.
BOUND = float(np.log(2.0**20))


class ModuleBalancer:
    """Keeps a module balanced while it is trained; neither its function nor the optimizer's course is disturbed.

    Every `every`-th call of `step` multiplies the parameters, in place, by scales that leave the module's function as
    it is, and the optimizer's state by what makes it the state of the same optimizer in the new coordinates.

    Parameters
    ----------
    module : torch.nn.Module
        Also one of `torch.compile`, or wrapped by `DataParallel`. Batch norms are taken as in training.
    optimizer : torch.optim.Optimizer or sequence of them
        All optimizers that hold parameters of the module.
    example_inputs : tuple
        Positional arguments, as for `read_module`; small ones are read faster.
    every : int
        Act at each so many calls of `step`.
    mode : {"full", "sweep"}
        Find the optimum, or do one sweep of local balancing over all units, without solving anything; repeated
        sweeps arrive at the same optimum.
    regularizer : float or Regularizer
        A number p means the sum of ``|w|^p``; or `Lp`, `ElasticNet`, `Posynomial`.
    roles : sequence of str
        Which parameters have a cost: ``"weight"``, ``"bias"``, ``"norm"``.
    averages : sequence of modules or mappings of str to tensor
        Copies of the module's parameters, as moving averages, that are scaled with it: modules like it (also a
        `torch.optim.swa_utils.AveragedModel`), or tensors by the names of the parameters.
    gradients : bool
        Also scale the gradients that the parameters hold: needed where gradients are accumulated across calls.
    check : bool
        Measure the outputs on the example inputs before and after the first scaling, and undo it if they change by
        more than rounding. That once, it takes a copy of what is scaled.
    kwargs : dict, optional
        Keyword arguments of the module, beside `example_inputs`.

    Raises
    ------
    InvalidParameterError
        If an argument is out of range, or a copy does not fit the module.
    UnsupportedError
        If the class of an optimizer is not known (see `register_optimizer`), the regularizer is no sum of powers, or
        the module cannot be read.

    Warns
    -----
    UserWarning
        If weight decay enters the optimizer's state, which cannot be transported exactly then.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from balance_graph.pytorch import ModuleBalancer
    >>> _ = torch.manual_seed(0)
    >>> network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> optimizer = torch.optim.Adam(network.parameters())
    >>> balancer = ModuleBalancer(network, optimizer, (torch.zeros(1, 3),))
    >>> for _ in range(5):
    ...     x = torch.randn(16, 3)
    ...     loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     _ = optimizer.step()
    ...     _ = balancer.step()
    >>> balancer.imbalance() < 1e-6
    True
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        example_inputs: tuple[Any, ...],
        every: int = 1,
        mode: Literal["full", "sweep"] = "full",
        regularizer: float | Regularizer = 2.0,
        *,
        roles: Sequence[str] = ROLES,
        averages: Sequence[nn.Module | Mapping[str, torch.Tensor]] = (),
        gradients: bool = False,
        check: bool = True,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        check_count(every, "every")
        check_choice(mode, "mode", ("full", "sweep"))
        self.module = _unwrapped(module)
        check_whole(self.module, "ModuleBalancer")
        self.optimizers = tuple(optimizer) if isinstance(optimizer, Sequence) else (optimizer,)
        for one in self.optimizers:
            check_optimizer(one)
        self.example_inputs = example_inputs
        self.kwargs = kwargs
        self.every = every
        self.mode = mode
        self.regularizer = as_regularizer(regularizer)
        self.roles = tuple(roles)
        self.averages = tuple(averages)
        self.gradients = gradients
        self.check = check
        self.calls = 0
        self._powers = _powers(self.regularizer)
        self._read()
        list(self._average_companions())
        _warn_of_coupled_decay(self.optimizers)

    @property
    def structure(self) -> ModelStructure:
        """What was read of the module; read again if its parameters are other objects now."""
        self._refresh()
        return self._structure

    def _refresh(self) -> None:
        if self._identities != _identities(self._parts):
            self._read()

    def _read(self) -> None:
        self._structure = read_module(self.module, self.example_inputs, kwargs=self.kwargs, training=True)
        self._sweep = Sweep(self._structure, self._powers, self.roles, BOUND)
        self._mover = Mover(self._structure)
        self._parts = tuple(self.module.modules())
        self._identities = _identities(self._parts)
        self._found: tuple[tuple[Companion, ...], tuple[int, ...]] | None = None
        self._is_checked = False

    def step(self) -> Array | None:
        """Count a call, and balance if it is time. Call it after the optimizer's own step.

        Returns
        -------
        ndarray or None
            The log-scales by which the module was scaled, one for each free scale; None if it was not time.

        Raises
        ------
        InvalidParameterError
            If parameters are not finite.
        UnsupportedError
            If the optimizer keeps a state whose degree is not stated, or the first scaling changes the outputs.
        """
        self.calls += 1
        if self.calls % self.every:
            return None
        model, companions = self.structure, self._companions()
        scales = self._sweep.log_scales() if self.mode == "sweep" else self._optimal_log_scales(model)
        if self.check and not self._is_checked:
            self._move_and_check(scales, companions)
        else:
            self._mover.move(scales, companions)
        return scales

    def _optimal_log_scales(self, model: ModelStructure) -> Array:
        cost = model_cost(model, self._powers, self.roles)
        held = held_scales(model, cost, self.roles)
        return least_cost(cost, held, BOUND, at_bound_stays=True).log_scales

    def _move_and_check(self, scales: Array, companions: Sequence[Companion]) -> None:
        saved = [companion.tensor.detach().clone() for companion in companions]
        before = self._outputs()
        self._mover.move(scales, companions)
        after = self._outputs()
        types = {one.dtype for one in self.module.parameters() if one.is_floating_point()}
        limit = max((torch.finfo(dtype).eps ** 0.5 for dtype in types), default=0.0)
        change = max((_relative_change(one, two) for one, two in zip(before, after, strict=True)), default=0.0)
        if not change <= limit:  # also if it is not a number
            with torch.no_grad():
                for companion, value in zip(companions, saved, strict=True):
                    companion.tensor.detach().copy_(value)
            message = (
                f"scaling changed the outputs by {change:.2g}, more than {limit:.2g}: everything is as it was. A rule "
                "for an operation of the module is wrong; find it by leaving parts of the module out"
            )
            raise UnsupportedError(message)
        self._is_checked = True

    def _outputs(self) -> list[torch.Tensor]:
        """On the example inputs, in evaluation mode."""
        modes = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        try:
            with torch.no_grad():
                found = self.module(*self.example_inputs, **(self.kwargs or {}))
        finally:
            for part, mode in modes:
                part.training = mode
        leaves = torch.utils._pytree.tree_leaves(found)  # noqa: SLF001
        return [leaf.clone() for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()]

    def imbalance(self) -> float:
        """The largest relative imbalance of a scale, between 0 and 1; dead units do not count."""
        return float(self.imbalances().max(initial=0.0))

    def imbalances(self) -> Array:
        """The relative imbalance of every free scale, in the order of ``structure.structure.scales``.

        It is ``|in - out| / (in + out)``, the costs of what a scale multiplies and divides; zero for dead units, of
        which one of them is zero.
        """
        self._refresh()
        return self._sweep.imbalances()

    def state_dict(self) -> dict[str, Any]:
        """Settings and the number of calls: what `load_state_dict` takes. Parameters are the module's own matter."""
        return {"calls": self.calls, "every": self.every, "mode": self.mode}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a balancer was when its `state_dict` was taken.

        Raises
        ------
        InvalidParameterError
            If it is no such state.
        """
        if not isinstance(state, Mapping) or set(state) != {"calls", "every", "mode"}:
            message = f"state must be what state_dict gives, with calls, every and mode; got {state!r}"
            raise InvalidParameterError(message)
        check_count(state["every"], "every")
        check_choice(state["mode"], "mode", ("full", "sweep"))
        if state["calls"] != 0:
            check_count(state["calls"], "calls")
        self.calls, self.every, self.mode = state["calls"], state["every"], state["mode"]

    def _companions(self) -> Sequence[Companion]:
        """All tensors that are scaled, each once; found again while the optimizers hold the same."""
        if self.gradients or self.averages:
            return [*self._all_companions()]
        states = (state for one in self.optimizers for state in one.state.values())
        identities = tuple(id(value) for state in states for value in state.values())
        if self._found is None or self._found[1] != identities:
            self._found = (*self._all_companions(),), identities
        return self._found[0]

    def _all_companions(self) -> Iterator[Companion]:
        tensors = self._structure.tensors
        for key, tensor in tensors.items():
            yield Companion(key, tensor, 1.0)
            if self.gradients and tensor.grad is not None:
                yield Companion(key, tensor.grad, -1.0)
        yield from state_companions(self.optimizers, tensors)
        yield from self._average_companions()

    def _average_companions(self) -> Iterator[Companion]:
        for average in self.averages:
            known = _named(average)
            for key, names in _names(self._structure).items():
                found = next((known[name] for name in names if name in known), None)
                shape = self._structure.tensors[key].shape
                if found is None or found.shape != shape:
                    got = "nothing" if found is None else f"shape {tuple(found.shape)}"
                    message = f"averages: {names[0]}, of shape {tuple(shape)}, has no counterpart; got {got}"
                    raise InvalidParameterError(message)
                yield Companion(key, found, 1.0)


def _relative_change(before: torch.Tensor, after: torch.Tensor) -> float:
    """Zero where nothing can be said: without elements, or with outputs that are not finite before."""
    if not before.numel() or not bool(torch.isfinite(before).all()):
        return 0.0
    change = float((after.double() - before.double()).abs().max())
    largest = float(before.double().abs().max())
    return change / largest if largest else change


def _powers(regularizer: Regularizer) -> tuple[tuple[float, float], ...]:
    terms = getattr(regularizer, "terms", None)
    if terms is None:
        message = f"models are balanced for sums of powers: Lp, ElasticNet or Posynomial; got {regularizer!r}"
        raise UnsupportedError(message)
    return tuple((float(a), float(p)) for a, p in terms)


def _unwrapped(module: Any) -> Any:
    """The user's own module within what PyTorch wraps around it."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)
    while True:
        if hasattr(module, "_orig_mod"):
            module = module._orig_mod  # noqa: SLF001 - of torch.compile, which has no other name for it
        elif isinstance(module, wrappers):
            module = module.module
        else:
            return module


def _identities(parts: Sequence[nn.Module]) -> list[int]:
    """Of all parameters, buffers and submodules."""
    held = (dictionary for part in parts for dictionary in (part._parameters, part._buffers, part._modules))  # noqa: SLF001
    return [id(one) for dictionary in held for one in dictionary.values()]


def _named(average: Any) -> dict[str, torch.Tensor]:
    if isinstance(average, Mapping):
        return dict(average)
    if not isinstance(average, nn.Module):
        message = f"averages must be modules or mappings of names to tensors, got {type(average).__name__}"
        raise InvalidParameterError(message)
    module = _unwrapped(average)
    named = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items()}


def _names(model: ModelStructure) -> dict[Any, tuple[str, ...]]:
    """The names of what scales change."""
    return {block.parameter.key: block.parameter.names for block in model.structure.blocks}


def _warn_of_coupled_decay(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    coupled = sorted({type(one).__name__ for one in optimizers if has_coupled_decay(one)})
    if coupled:
        message = (
            f"weight decay enters the state of {', '.join(coupled)} along with gradients, but scales otherwise: the "
            "state is transported as if all of it were gradients, which is not exact; decoupled decay is (AdamW, "
            "decoupled_weight_decay=True)"
        )
        warnings.warn(message, UserWarning, stacklevel=3)
