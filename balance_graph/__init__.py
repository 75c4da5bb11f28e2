"""Exact balancing of weighted networks: the unique balanced state, certified."""

from balance_graph.activations import Activation, activation, bilu, bipu, register_activation

__all__ = ["Activation", "activation", "bilu", "bipu", "register_activation"]
