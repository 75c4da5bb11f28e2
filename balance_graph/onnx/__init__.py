"""Balancing ONNX models. Needs onnx and onnxruntime: ``pip install "balance-graph[onnx]"``."""

from balance_graph._optional import import_optional

for _package in ("onnx", "onnxruntime"):
    import_optional(_package, extra="onnx", purpose="balance_graph.onnx")

from balance_graph.models.report import UnitReport  # noqa: E402
from balance_graph.onnx.balancing import balance_model  # noqa: E402
from balance_graph.onnx.reading import ModelStructure, read_model  # noqa: E402
from balance_graph.onnx.report import ModelReport  # noqa: E402
from balance_graph.onnx.scaling import apply  # noqa: E402

del import_optional

__all__ = ["ModelReport", "ModelStructure", "UnitReport", "apply", "balance_model", "read_model"]
