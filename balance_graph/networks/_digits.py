"""The bundled network, really trained."""

from __future__ import annotations

from importlib import resources
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from balance_graph._types import Array
from balance_graph.networks._layers import from_layers


def digits() -> nx.DiGraph[Any]:
    """A trained 64-32-16-10 ReLU classifier of handwritten digits, bundled with the package.

    Trained by scikit-learn's `MLPClassifier` on its 8 x 8 digits (UCI, Alpaydin and Kaynak 1998); its test accuracy is
    97 %. Input ``x{j}`` is pixel j, row by row, divided by 16; output ``y{k}`` is the logit of digit k. Made by
    ``benchmarks/make_digits.py``; scikit-learn is not needed to use it.

    Returns
    -------
    networkx.DiGraph

    See Also
    --------
    digits_images : one hundred test images with their labels.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.digits()
    >>> G.number_of_nodes(), G.number_of_edges()
    (123, 2778)
    """
    data = _digits_data()
    layers = range(sum(name.startswith("weights") for name in data))
    return from_layers([data[f"weights{k}"] for k in layers], [data[f"biases{k}"] for k in layers], "relu")


def digits_images() -> tuple[Array, NDArray[np.int64]]:
    """One hundred test images for `digits`, and their labels.

    Returns
    -------
    images : ndarray of float, shape (100, 64)
        Pixels row by row, scaled as in training: from 0 to 1.
    labels : ndarray of int, shape (100,)
        The digits shown, 0 to 9.

    See Also
    --------
    digits : The network that recognizes them.

    Examples
    --------
    >>> import balance_graph as bg
    >>> images, labels = bg.networks.digits_images()
    >>> images.shape, labels.shape
    ((100, 64), (100,))
    """
    data = _digits_data()
    return data["images"], data["labels"]


def _digits_data() -> dict[str, NDArray[Any]]:
    with resources.files("balance_graph").joinpath("data", "digits.npz").open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        return {name: archive[name] for name in archive.files}
