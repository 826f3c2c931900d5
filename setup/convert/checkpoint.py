"""Reads the tensors of a torch checkpoint with numpy alone.

A checkpoint is a pickle, and a pickle may run any code when it is read. This one can name nothing but what a tensor is
made of: ordered dictionaries, storages and the function that lays a tensor over a storage. Both containers are known: the
zip archive of torch 1.6 and later, and the sequence of pickles before it.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy

# What torch's legacy format begins with, and its only version.
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class Storage:
    """A flat run of numbers that tensors are views of. In the legacy format its bytes follow the pickle."""

    def __init__(self, dtype: numpy.dtype, count: int):
        self.dtype, self.count, self.values = dtype, count, None

    def fill(self, data: bytes) -> None:
        if len(data) != self.count * self.dtype.itemsize:
            raise ValueError(f"a storage of {self.count} {self.dtype} has {len(data)} bytes")
        self.values = numpy.frombuffer(data, self.dtype)


class Tensor:
    """A view of a storage that may not have been read yet."""

    def __init__(self, storage: Storage, offset: int, size: tuple, stride: tuple):
        last = offset + sum((n - 1) * step for n, step in zip(size, stride))
        if min((offset, *size, *stride), default=0) < 0 or (0 not in size and last >= storage.count):
            raise ValueError(f"a tensor of {size} does not lie in its storage of {storage.count}")
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def array(self) -> numpy.ndarray:
        base = self.storage.values[self.offset :]
        steps = [step * base.itemsize for step in self.stride]
        return numpy.lib.stride_tricks.as_strided(base, self.size, steps, writeable=False).copy()


def rebuild(storage, offset, size, stride, *_ignored):
    """torch._utils._rebuild_tensor_v2; whether a tensor wants gradients is of no interest here."""
    return Tensor(storage, offset, tuple(size), tuple(stride))


class Unpickler(pickle.Unpickler):
    """One that knows five names, and asks `storage` for what lies outside of the pickle."""

    def __init__(self, file, storage):
        super().__init__(file)
        self.storage = storage

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild
        if module == "torch" and name in DTYPES:
            return numpy.dtype(DTYPES[name])
        raise pickle.UnpicklingError(f"the checkpoint names {module}.{name}, which no plain one does")

    def persistent_load(self, pid):
        kind, dtype, key, _device, count, *view = pid
        if kind != "storage" or (view and view[0] is not None):
            raise pickle.UnpicklingError(f"the checkpoint refers to {kind}, of which nothing is known here")
        return self.storage(dtype, str(key), int(count))


def arrays(value):
    """The same, with arrays in place of tensors."""
    if isinstance(value, Tensor):
        return value.array()
    if isinstance(value, dict):
        return {key: arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [arrays(item) for item in value]
    return value


def load(path: Path):
    """What was saved, with numpy arrays in place of tensors."""
    with open(path, "rb") as file:
        return arrays(load_zip(file) if zipfile.is_zipfile(file) else load_legacy(file))


def load_zip(file):
    with zipfile.ZipFile(file) as archive:
        pickled = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        if len(pickled) != 1:
            raise ValueError(f"expected one data.pkl in the archive, not {len(pickled)}")
        folder = pickled[0].removesuffix("data.pkl")
        order = folder + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError("the checkpoint was not saved on a little-endian machine")
        seen = {}

        def storage(dtype, key, count):
            if key not in seen:
                seen[key] = Storage(dtype, count)
                seen[key].fill(archive.read(f"{folder}data/{key}"))
            return seen[key]

        return Unpickler(io.BytesIO(archive.read(pickled[0])), storage).load()


def load_legacy(file):
    file.seek(0)
    seen = {}

    def storage(dtype, key, count):
        return seen.setdefault(key, Storage(dtype, count))

    def part():
        return Unpickler(file, storage).load()

    if part() != MAGIC or part() != PROTOCOL or not part().get("little_endian"):
        raise ValueError("not a torch checkpoint of a little-endian machine")
    value = part()
    for key in part():
        count = int.from_bytes(file.read(8), "little")
        held = seen[key]
        if count != held.count:
            raise ValueError(f"storage {key} holds {count} numbers, not {held.count}")
        held.fill(file.read(count * held.dtype.itemsize))
    return value
