"""Activation functions, their degree of homogeneity, and the text grammar that names them.

A function is positively homogeneous of degree c when ``f(s z) = s**c f(z)`` for every s > 0. Degree 1 is the
BiLU class (``a x`` below zero, ``b x`` above), degree c the BiPU class (``D |x|**c`` below, ``C x**c`` above);
Baldi et al., arXiv 2405.09688, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from balance_graph._choices import nearest
from balance_graph._types import Array
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.activation_text import ALIASES, meaning, read_activation


@dataclass(frozen=True)
class Activation:
    """An activation function and its degree of positive homogeneity.

    Parameters
    ----------
    name : str
        The text that names it in the ``activation`` attribute of a node, such as ``"bipu(3.0,1.0,0.0)"``.
    function : callable
        Vectorised: float array in, float array of the same shape out.
    degree : float or None
        The degree c > 0 with ``f(s z) = s**c f(z)`` for all s > 0; None when there is none: the node is pinned.

    Raises
    ------
    InvalidParameterError
        If `degree` is not a positive finite number, or `function` is not homogeneous of that degree.

    See Also
    --------
    activation : From its text.
    register_activation : Give it a name that nodes can carry.

    Examples
    --------
    >>> import numpy as np
    >>> import balance_graph as bg
    >>> cube = bg.Activation("cube", lambda z: z**3, degree=3)
    >>> cube(np.array([2.0]))
    array([8.])
    """

    name: str
    function: Callable[[Array], Array]
    degree: float | None = None

    def __post_init__(self) -> None:
        if self.degree is None:
            return
        if not (math.isfinite(self.degree) and self.degree > 0):
            message = f"activation {self.name!r}: degree must be a positive number or None, got {self.degree!r}"
            raise InvalidParameterError(message)
        _check_homogeneous(self)

    def __call__(self, values: Array) -> Array:
        # What leaves the range of floats is infinite or zero: a value, and no news to the caller of a network.
        with np.errstate(all="ignore"):
            return np.asarray(self.function(np.asarray(values, dtype=float)), dtype=float)

    @property
    def is_homogeneous(self) -> bool:
        """Whether a node with this activation can be scaled without changing the network's function."""
        return self.degree is not None

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Activation({self.name!r}, degree={self.degree!r})"


def _check_homogeneous(activation: Activation) -> None:
    degree = float(activation.degree or 0.0)
    # Samples so near to one that powers of a high degree stay far inside the range of floats.
    width = 1.0 / max(1.0, degree)
    samples = np.array([-1.0, -1.0, 0.0, 1.0, 1.0]) * np.array([3.0, 0.7, 0.0, 0.4, 2.5]) ** width
    for scale in (0.3**width, 4.0**width):
        scaled, expected = activation(scale * samples), scale**degree * activation(samples)
        # Far above the rounding of one power (degree * eps) and one product, far below any true departure.
        tolerance = max(1e-9, 16.0 * float(np.finfo(float).eps) * degree)
        if scaled.shape != samples.shape or not np.allclose(scaled, expected, rtol=tolerance, atol=1e-300):
            message = (
                f"activation {activation.name!r} is not positively homogeneous of degree {degree:g}: "
                f"f({scale} z) differs from {scale}**{degree:g} f(z); give degree=None to pin its nodes"
            )
            raise InvalidParameterError(message)


def bilu(a: float, b: float, *, name: str | None = None) -> Activation:
    """BiLU of slope `a` below zero and `b` above: degree 1 (linear, ReLU, leaky ReLU, abs, PReLU).

    Parameters
    ----------
    a, b : float
        Slopes.
    name : str, optional
        By default the text that names it, such as ``"bilu(0.5,2)"``.

    Returns
    -------
    Activation

    Raises
    ------
    InvalidParameterError
        If a slope is not a finite number.

    See Also
    --------
    bipu : Degrees other than 1.
    activation : From its text.

    Examples
    --------
    >>> import numpy as np
    >>> import balance_graph as bg
    >>> bg.bilu(0.5, 2.0)(np.array([-2.0, 3.0]))
    array([-1.,  6.])
    """
    a, b = float(a), float(b)
    return Activation(name or f"bilu({a!r},{b!r})", lambda z: _product(np.where(z < 0, a, b), z), 1.0)


def bipu(c: float, C: float = 1.0, D: float = 0.0, *, name: str | None = None) -> Activation:  # noqa: N803
    """BiPU of degree `c`: ``C x**c`` for x >= 0, ``D |x|**c`` below; by default the rectified power.

    Parameters
    ----------
    c : float
        The degree, positive.
    C, D : float
        Factors above and below zero.
    name : str, optional
        By default the text that names it, such as ``"bipu(2,1,-1)"``.

    Returns
    -------
    Activation

    Raises
    ------
    InvalidParameterError
        If the degree is not positive, or a factor is not a finite number.

    See Also
    --------
    bilu : Degree 1.
    activation : From its text.

    Examples
    --------
    >>> import numpy as np
    >>> import balance_graph as bg
    >>> bg.bipu(2.0, 1.0, -1.0)(np.array([-2.0, 3.0]))
    array([-4.,  9.])
    """
    c, above, below = float(c), float(C), float(D)

    def power(z: Array) -> Array:
        return _product(np.where(z < 0, below, above), np.abs(z) ** c)

    return Activation(name or f"bipu({c!r},{above!r},{below!r})", power, c)


def _product(factor: Array, values: Array) -> Array:
    """``factor * values``, zero where the factor is zero, at infinity too: what a zero slope tends to; never -0.0."""
    return np.where((factor == 0.0) & np.isinf(values), 0.0, factor * values) + 0.0


def _gelu(z: Array) -> Array:
    from scipy.special import ndtr  # a heavy import that only this function needs

    return _product(np.asarray(ndtr(z)), z)


def _sigmoid(z: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)))


def _silu(z: Array) -> Array:
    return _product(_sigmoid(z), z)


def _mish(z: Array) -> Array:
    return _product(np.tanh(np.logaddexp(0.0, z)), z)


def _softsign(z: Array) -> Array:
    return np.where(np.isinf(z), np.sign(z), z / (1.0 + np.abs(z)))


def _elu(z: Array) -> Array:
    return np.where(z < 0, np.expm1(np.minimum(z, 0.0)), z)


def _selu(z: Array) -> Array:
    # Constants of Klambauer et al. 2017, equation 2.
    return 1.0507009873554805 * np.where(z < 0, 1.6732632423543772 * np.expm1(np.minimum(z, 0.0)), z)


# Each entry makes an Activation from the numbers in parentheses.
_FAMILIES: dict[str, Callable[..., Activation]] = {
    "linear": lambda: bilu(1.0, 1.0, name="linear"),
    "relu": lambda: bilu(0.0, 1.0, name="relu"),
    "leaky_relu": lambda a=0.01: bilu(a, 1.0, name=f"leaky_relu({float(a)!r})"),
    "abs": lambda: bilu(-1.0, 1.0, name="abs"),
    "bilu": bilu,
    "relu2": lambda: bipu(2.0, name="relu2"),
    "bipu": bipu,
}

_INHOMOGENEOUS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "logistic": _sigmoid,
    "gelu": _gelu,
    "softplus": lambda z: np.logaddexp(0.0, z),
    "silu": _silu,
    "swish": _silu,
    "mish": _mish,
    "elu": _elu,
    "selu": _selu,
    "relu6": lambda z: np.clip(z, 0.0, 6.0),
    "hardtanh": lambda z: np.clip(z, -1.0, 1.0),
    "softsign": _softsign,
    "sin": np.sin,
    "cos": np.cos,
    "exp": np.exp,
}

_REGISTERED = {name: Activation(name, function) for name, function in _INHOMOGENEOUS.items()}


def register_activation(activation: Activation) -> None:
    """Make ``activation.name`` usable as the text of a node's ``activation`` attribute.

    Parameters
    ----------
    activation : Activation
        Its name is what nodes then carry.

    Returns
    -------
    None

    Raises
    ------
    InvalidParameterError
        If the name is taken by a different activation, or is not a plain identifier.

    See Also
    --------
    activation : From its text.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.register_activation(bg.Activation("cube", lambda z: z**3, degree=3))
    >>> bg.activation("cube").degree
    3
    """
    if not activation.name.isidentifier():
        message = f"an activation is registered under a plain identifier, got {activation.name!r}"
        raise InvalidParameterError(message)
    shipped = meaning(activation.name, [*_FAMILIES, *_SHIPPED])
    if shipped is not None:
        message = f"activation {activation.name!r} ships with the package, as {shipped!r}; choose another name"
        raise InvalidParameterError(message)
    _REGISTERED[activation.name] = activation
    _PARSED.clear()


_SHIPPED = frozenset(_REGISTERED)
_PARSED: dict[str, Activation] = {}


def activation(text: str | Activation) -> Activation:
    """The activation that `text` names; an `Activation` is returned as it is.

    Parameters
    ----------
    text : str or Activation
        ``linear relu leaky_relu(a) abs bilu(a,b) relu2 bipu(c) bipu(c,C,D)``, or a registered name
        (``tanh sigmoid gelu softplus silu ...``: not homogeneous, the node is pinned). Case does not matter, and other
        spellings are understood: ``ReLU``, ``identity``, ``nn.LeakyReLU(negative_slope=0.1)``, ``squared_relu``,
        ``relu^3``. Without a number, ``leaky_relu`` has slope 0.01 and ``prelu`` 0.25, as in PyTorch (Keras has
        other slopes: write them).

    Returns
    -------
    Activation

    Raises
    ------
    InvalidParameterError
        If the name is unknown, or its numbers are wrong.

    See Also
    --------
    register_activation : A name of your own.

    Examples
    --------
    >>> import balance_graph as bg
    >>> bg.activation("bipu(3)").degree, bg.activation("tanh").degree
    (3.0, None)
    >>> bg.activation("PReLU(0.25)").name, bg.activation("ReLU^2").name
    ('leaky_relu(0.25)', 'relu2')
    """
    if isinstance(text, Activation):
        return text
    if not isinstance(text, str):
        spelled = _text_of(text)
        hint = "" if spelled is None else f"; write {spelled!r}"
        message = f"an activation is text or an Activation, got {text!r} of type {type(text).__name__}{hint}"
        raise InvalidParameterError(message)
    if text not in _PARSED:
        _PARSED[text] = _parse(text)
    return _PARSED[text]


def _parse(text: str) -> Activation:
    name, numbers = read_activation(text, [*_FAMILIES, *_REGISTERED])
    if name in _REGISTERED:
        if numbers:
            message = f"activation {text!r}: {name} takes no numbers"
            raise InvalidParameterError(message)
        return _REGISTERED[name]
    try:
        return _FAMILIES[name](*numbers)
    except TypeError as error:
        message = f"activation {text!r}: wrong number of arguments; write e.g. leaky_relu(0.1), bilu(-1,1), bipu(2)"
        raise InvalidParameterError(message) from error


def resembles_activation(text: str) -> bool:
    """Whether the text names an activation, or is one slip away from it."""
    name = text.partition("(")[0].rpartition(".")[2]
    return nearest(name, [*_FAMILIES, *_REGISTERED, *ALIASES], least=0.75) is not None


def _text_of(value: Any) -> str | None:
    """The text for a function or module that has the name of an activation, such as ``numpy.tanh``."""
    for text in (repr(value), getattr(value, "__name__", "")):
        try:
            return activation(text).name
        except InvalidParameterError:
            pass
    return None
