"""ONNX files: read whole, and written whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import onnx
from onnx import external_data_helper

from balance_graph.errors import InvalidParameterError, NetworkFileError
from balance_graph.graph.files.draft import draft_of

ModelLike: TypeAlias = "onnx.ModelProto | str | Path"

# Protocol buffers hold no more; and some room for all that is no weight.
LARGEST = 2**31 - 2**24
# Smaller tensors stay in the model's own file.
_SMALL = 1024


def load(model: ModelLike) -> tuple[onnx.ModelProto, bool]:
    """A model of one's own, with all weights in it; and whether its file kept weights in other files.

    Raises
    ------
    InvalidParameterError
        If it is neither a model nor a path, or a model in memory whose weights are still in files.
    NetworkFileError
        If the file holds no ONNX model, or the weights that it names cannot be read.
    OSError
        If the file cannot be read.
    """
    if isinstance(model, onnx.ModelProto):
        return _copied(model), False
    if not isinstance(model, str | Path):
        message = f"model must be an onnx.ModelProto or the path of a file, got {type(model).__name__}"
        raise InvalidParameterError(message)
    path = Path(model)
    with path.open("rb"):  # whatever keeps it from being read is told as it is
        pass
    with _explained(path, "it is no ONNX model"):
        found = onnx.load(path, load_external_data=False)
    if not found.graph.node:
        message = f"{path}: no ONNX model: it has no nodes"
        raise NetworkFileError(message)
    is_external = any(map(_is_external, _tensors(found)))
    if is_external:
        with _explained(path, "the weights that it keeps in other files cannot be read"):
            external_data_helper.load_external_data_for_model(found, str(path.parent))
    return found, is_external


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    if any(map(_is_external, _tensors(model))):
        message = "the model was loaded without the weights that its file keeps elsewhere; give the path instead"
        raise InvalidParameterError(message)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


@contextlib.contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of protobuf, JSON, onnx, files: whatever the reason, the file is bad
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        message = f"{path}: {what}: {first}"
        raise NetworkFileError(message) from error


def save(model: onnx.ModelProto, path: str | Path, *, is_external: bool = False) -> None:
    """Write the model; weights go to a file beside it if it is too large for one file, or was in several before.

    The file of weights, ``NAME.data``, is new: where one of that name exists, the new one is ``NAME.HEX.data``. The
    model's file is put in its place last, in one step, so that an interrupted run leaves the old one whole.
    """
    target = Path(path)
    if not (is_external or size_of(model) > LARGEST):
        with draft_of(target) as draft:
            onnx.save(model, draft)
        return
    location = f"{target.name}.data"
    if target.with_name(location).exists():
        location = f"{target.name}.{secrets.token_hex(4)}.data"
    with draft_of(target) as draft, _removed_on_failure(target.with_name(location)):
        onnx.save(
            model, draft, save_as_external_data=True, all_tensors_to_one_file=True, location=location,
            size_threshold=_SMALL, convert_attribute=True,
        )  # fmt: skip
    external_data_helper.load_external_data_for_model(model, str(target.parent))


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # KeyboardInterrupt included: leave no litter
        path.unlink(missing_ok=True)
        raise


def size_of(model: onnx.ModelProto) -> int:
    """Bytes of all weights."""
    return sum(len(one.raw_data) + 8 * (len(one.float_data) + len(one.double_data)) for one in _tensors(model))


def _is_external(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
