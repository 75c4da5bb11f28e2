"""From ONNX operations, opset 9 to current, to the vocabulary of rules."""

from balance_graph.onnx.operations import attention, layers, moves, pointwise, recurrent, reductions

__all__ = ["attention", "layers", "moves", "pointwise", "recurrent", "reductions"]
