"""Checkpoints in safetensors files: which file holds a tensor and where, and tensors that are mapped, not read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from balance_graph._optional import import_optional
from balance_graph.errors import InvalidParameterError, UnsupportedError

_INDEX, _FILE = "*.safetensors.index.json", "*.safetensors"
# Types by the names of the format, https://github.com/huggingface/safetensors.
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


# Bytes that are looked at together.
_PIECE = 2**24


class Place(NamedTuple):
    """Where a tensor is: its bytes `start` to `stop` of a file."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class CheckpointFiles:
    """The safetensors files of a directory: one, several, or several with an index.

    Attributes
    ----------
    directory : Path
    places : dict of str to Place
        Of each tensor, by its name.
    """

    directory: Path
    places: Mapping[str, Place]

    @classmethod
    def of(cls, directory: str | Path) -> CheckpointFiles:
        """Read the index, if there is one, and the headers of the files.

        Raises
        ------
        InvalidParameterError
            If there is no such directory, no file, no such tensor in the file that the index names, or one in two.
        """
        directory = Path(directory)
        if not directory.is_dir():
            message = f"{directory} is no directory; a checkpoint is a directory with safetensors files"
            raise InvalidParameterError(message)
        named = _index(directory)
        files = sorted(set(named.values())) if named is not None else sorted(p.name for p in directory.glob(_FILE))
        if not files:
            message = f"{directory} has no safetensors files; save the model's state with safetensors.torch.save_file"
            raise InvalidParameterError(message)
        places: dict[str, Place] = {}
        for name, place in (found for file in files for found in _header(directory / file)):
            if name in places:
                message = f"{name} is in {places[name].file} and in {place.file} of {directory}; keep one of them"
                raise InvalidParameterError(message)
            places[name] = place
        _check_index(directory, named, places)
        return cls(directory, places)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files."""
        return tuple(dict.fromkeys(place.file for place in self.places.values()))

    def at(self, directory: Path) -> CheckpointFiles:
        """The same in a copy of the directory."""
        return replace(self, directory=directory)

    def dtype(self, name: str) -> torch.dtype:
        """The type of a tensor.

        Raises
        ------
        UnsupportedError
            For types that hold more or less than a number, and numbers that no processor finds where they are.
        """
        place = self.places[name]
        if place.dtype not in _TYPES:
            message = f"{name} in {place.file} has the type {place.dtype}; types are {', '.join(_TYPES)}"
            raise UnsupportedError(message)
        dtype = _TYPES[place.dtype]
        if place.start % dtype.itemsize:
            message = f"{name} in {place.file} is not aligned; save the file again with safetensors"
            raise UnsupportedError(message)
        return dtype

    def tensor(self, name: str, *, writable: bool = False) -> torch.Tensor:
        """A tensor whose memory is the file, as long as the tensor lives; what is written goes there if writable."""
        place, dtype = self.places[name], self.dtype(name)
        if place.start == place.stop:
            return torch.empty(place.shape, dtype=dtype)
        mode: Any = "r+" if writable else "c"  # a private copy of the pages that someone writes to
        return self._mapped(place, dtype, mode).view(place.shape)

    def _mapped(self, place: Place, dtype: torch.dtype, mode: Any) -> torch.Tensor:
        count = place.stop - place.start
        return torch.from_numpy(np.memmap(self.directory / place.file, np.uint8, mode, place.start, (count,))).view(
            dtype
        )

    def pieces(self, name: str) -> Iterator[torch.Tensor]:
        """The elements of a tensor, a few at a time."""
        place, dtype = self.places[name], self.dtype(name)
        for start in range(place.start, place.stop, _PIECE):
            piece = place._replace(start=start, stop=min(start + _PIECE, place.stop))
            yield self._mapped(piece, dtype, "c")

    def is_same(self, one: str, other: str) -> bool:
        """Whether two tensors are the same, bit for bit."""
        a, b = self.places[one], self.places[other]
        return (a.dtype, a.shape) == (b.dtype, b.shape) and torch.equal(self._bytes(one), self._bytes(other))

    def _bytes(self, name: str) -> torch.Tensor:
        return self.tensor(name).reshape(-1).view(torch.uint8)


def _index(directory: Path) -> dict[str, str] | None:
    """The file of each tensor, if there is an index."""
    found = sorted(directory.glob(_INDEX))
    if len(found) > 1:
        message = f"{directory} has several indexes ({', '.join(p.name for p in found)}); keep one of them"
        raise InvalidParameterError(message)
    if not found:
        return None
    try:
        named = dict(json.loads(found[0].read_text())["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"{found[0]} is no index: it must be JSON with a weight_map of names to files"
        raise InvalidParameterError(message) from error
    bad = sorted(file for file in set(named.values()) if not isinstance(file, str) or Path(file).name != file)
    if bad:
        message = f"{found[0]} names the file {bad[0]!r}; files must lie beside it"
        raise InvalidParameterError(message)
    return named


def _header(path: Path) -> Iterable[tuple[str, Place]]:
    """The tensors of a file: the library checks that they cover it without gaps, which it does not say where."""
    library = import_optional("safetensors", extra="torch", purpose="balance_checkpoint")
    try:
        with library.safe_open(path, framework="numpy"), path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except FileNotFoundError as error:
        message = f"{path} does not exist, but the index names it: copy it there"
        raise InvalidParameterError(message) from error
    except library.SafetensorError as error:
        message = f"{path} is no safetensors file ({error}); it may have been cut short"
        raise InvalidParameterError(message) from error
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = (8 + length + offset for offset in entry["data_offsets"])
            yield name, Place(path.name, entry["dtype"], tuple(entry["shape"]), start, stop)


def _check_index(directory: Path, named: Mapping[str, str] | None, places: Mapping[str, Place]) -> None:
    if named is None:
        return
    for name, file in named.items():
        if name not in places or places[name].file != file:
            message = f"the index of {directory} says that {name} is in {file}, where it is not"
            raise InvalidParameterError(message)
    for name, place in places.items():
        if name not in named:
            message = f"{place.file} holds {name}, which the index of {directory} does not name"
            raise InvalidParameterError(message)
