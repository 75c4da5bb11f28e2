"""Rules of the vocabulary, by kind of operation. Importing this package registers them."""

from balance_graph.models.rules import arithmetic, attention, layers, normalization, pointwise, recurrent, reductions

__all__ = ["arithmetic", "attention", "layers", "normalization", "pointwise", "recurrent", "reductions"]
