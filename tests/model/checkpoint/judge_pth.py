# SPDX-License-Identifier: Apache-2.0
"""judge_pth.py FILE.pth: reads an exported checkpoint with the rules of torch's weights_only unpickler, without torch.

The opcodes and globals are those that torch/_weights_only_unpickler.py (2.11) admits for such a file.
"""
import collections
import pickle
import pickletools
import sys
import zipfile

import numpy as np

OPCODES = {"PROTO", "EMPTY_DICT", "MARK", "BINUNICODE", "BININT", "LONG1", "GLOBAL", "EMPTY_TUPLE", "REDUCE", "TUPLE",
           "BINPERSID", "NEWFALSE", "NEWTRUE", "SETITEMS", "STOP"}
GLOBALS = {("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage")}

archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
names = archive.namelist()
assert names[0] == "archive/data.pkl" and archive.read("archive/version") == b"3\n"
assert archive.read("archive/byteorder") == b"little"
assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
data = archive.read("archive/data.pkl")

used = set()
for opcode, argument, _ in pickletools.genops(data):
    assert opcode.name in OPCODES, opcode.name
    assert opcode.proto <= 2, opcode.name
    if opcode.name == "GLOBAL":
        used.add(tuple(argument.split(" ")))
assert used <= GLOBALS, used - GLOBALS


def rebuild(storage, offset, size, stride, requires_grad, hooks):
    assert requires_grad is False and hooks == collections.OrderedDict()
    strides = tuple(4 * step for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides)


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return {"OrderedDict": collections.OrderedDict, "_rebuild_tensor_v2": rebuild, "FloatStorage": "float"}[name]

    def persistent_load(self, id):
        word, kind, key, location, count = id
        assert (word, kind, location) == ("storage", "float", "cpu")
        array = np.frombuffer(archive.read("archive/data/" + key), "<f4")
        assert array.size == count
        return array


loaded = Unpickler(archive.open("archive/data.pkl")).load()
trained = loaded.pop("slimbrain", {"trained": True})["trained"]
assert list(loaded) == ["epoch", "model_state_dict"]
state = loaded["model_state_dict"]
assert type(state) is collections.OrderedDict
assert all(value.flags["C_CONTIGUOUS"] and value.ravel().tolist() == [1, 2, 3, 4, 5, 6] for value in state.values())
print(loaded["epoch"], trained, *(f"{name}={'x'.join(map(str, value.shape))}" for name, value in state.items()))
