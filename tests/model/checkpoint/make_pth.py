# SPDX-License-Identifier: Apache-2.0
"""make_pth.py KIND WEIGHTS.safetensors OUT.pth: writes checkpoints as torch.save does, without torch.

Standard library and numpy only. The modules `torch` and `torch._utils` made here exist so that pickle can name their
members; nothing of them runs. Layouts follow files written by torch 2.11.
"""
import argparse
import collections
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

NAMES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage",
         "bfloat16": "BFloat16Storage", "int64": "LongStorage", "uint16": "UntypedStorage"}

torch = types.ModuleType("torch")
torch._utils = types.ModuleType("torch._utils")
torch.storage = types.ModuleType("torch.storage")
for module in (torch, torch._utils, torch.storage):
    sys.modules[module.__name__] = module


def declare(module, name, thing):
    thing.__module__, thing.__qualname__, thing.__name__ = module.__name__, name, name
    setattr(module, name, thing)


for storage_name in NAMES.values():
    declare(torch.storage if storage_name == "UntypedStorage" else torch, storage_name, type(storage_name, (), {}))
for builder in ("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"):
    declare(torch._utils, builder, lambda *arguments: None)
declare(torch, "uint16", type("uint16", (), {}))


class Storage:
    def __init__(self, array, dtype):
        self.bytes, self.dtype, self.count = array.tobytes(), dtype, array.size
        if dtype == "uint16":
            self.count = len(self.bytes)

    def kind(self):
        name = NAMES[self.dtype]
        return getattr(torch.storage if name == "UntypedStorage" else torch, name)


class Tensor:
    def __init__(self, storage, shape, strides=None, offset=0):
        if strides is None:
            strides, step = [], 1
            for length in reversed(shape):
                strides.insert(0, step)
                step *= length
        self.parts = (storage, offset, tuple(shape), tuple(strides), False, collections.OrderedDict())

    def __reduce__(self):
        if self.parts[0].dtype == "uint16":
            return torch._utils._rebuild_tensor_v3, self.parts + (torch.uint16, None)
        return torch._utils._rebuild_tensor_v2, self.parts


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return torch._utils._rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Whole:
    """Stands for a pickled module."""


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def tensor(array, dtype="float32"):
    if dtype == "bfloat16":
        return Tensor(Storage((array.view(np.uint32) >> 16).astype(np.uint16), dtype), array.shape)
    return Tensor(Storage(array.astype(dtype), dtype), array.shape)


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol, storages, legacy):
        super().__init__(file, protocol)
        self.storages, self.legacy = storages, legacy

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        key = next((k for k, v in self.storages.items() if v is thing), str(len(self.storages)))
        self.storages[key] = thing
        return ("storage", thing.kind(), key, "cpu", thing.count) + ((None,) if self.legacy else ())


def pickled(thing, protocol, storages, legacy=False):
    out = io.BytesIO()
    Pickler(out, protocol, storages, legacy).dump(thing)
    return out.getvalue()


def save_zip(path, thing, protocol=2, compression=zipfile.ZIP_STORED, byteorder="little", prefix="archive/"):
    storages = {}
    data = pickled(thing, protocol, storages)
    with zipfile.ZipFile(path, "w", compression) as file:
        def add(name, content):
            # force_zip64 as torch's writer does.
            with file.open(zipfile.ZipInfo(prefix + name), "w", force_zip64=True) as record:
                record.write(content)
        add("data.pkl", data)
        add("byteorder", byteorder.encode())
        for key, storage in storages.items():
            add("data/" + key, storage.bytes)
        add("version", b"3\n")
    if compression != zipfile.ZIP_STORED:
        with zipfile.ZipFile(path, "w", compression) as file:
            file.writestr(prefix + "data.pkl", data)


def save_legacy(path, thing):
    storages = {}
    with open(path, "wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, 2)
        pickle.dump(1001, file, 2)
        pickle.dump({"protocol_version": 1001, "little_endian": True,
                     "type_sizes": {"short": 2, "int": 4, "long": 4}}, file, 2)
        file.write(pickled(thing, 2, storages, legacy=True))
        pickle.dump(list(storages), file, 2)
        for storage in storages.values():
            file.write(struct.pack("<q", storage.count) + storage.bytes)


def load_safetensors(path):
    data = open(path, "rb").read()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        begin, end = (8 + length + at for at in entry["data_offsets"])
        out[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return out


def views(arrays):
    """All tensors as pieces of one storage."""
    storage = Storage(np.concatenate([array.ravel() for array in arrays.values()]), "float32")
    at, out = 0, {}
    for name, array in arrays.items():
        out[name] = Tensor(storage, array.shape, offset=at)
        at += array.size
    return out


def transposed(arrays):
    """Matrices stored column by column."""
    return {name: Tensor(Storage(np.ascontiguousarray(array.T), "float32"), array.shape, (1, array.shape[0]))
            if array.ndim == 2 else tensor(array) for name, array in arrays.items()}


def main():
    kind, weights, path = sys.argv[1:]
    arrays = load_safetensors(weights)
    state = collections.OrderedDict((name, tensor(array)) for name, array in arrays.items())
    first = next(iter(state))
    with_extras = {"epoch": 7, "model_state_dict": state, "args": argparse.Namespace(lr=1e-3, nested={"a": {1, 2}}),
                   "loss": np.float64(1.5), "step": np.int64(9), "history": [1.0, 2.0, (3, None)],
                   "rng": np.arange(5), "big": 1 << 100}
    if kind == "plain":
        save_zip(path, with_extras)
    elif kind in ("protocol3", "protocol4", "protocol5"):
        save_zip(path, with_extras, protocol=int(kind[-1]), prefix="some name/")
    elif kind == "legacy":
        save_legacy(path, with_extras)
    elif kind == "legacy-transposed":
        save_legacy(path, {"state_dict": transposed(arrays)})
    elif kind == "bare":
        save_zip(path, state)
    elif kind == "prefixed":
        save_zip(path, {"state_dict": {"module.backbone.encoder." + name: value for name, value in state.items()}})
    elif kind == "nested":
        nested = {}
        for name, value in state.items():
            inner = nested
            *folders, last = name.split(".")
            for folder in folders:
                inner = inner.setdefault(folder, {})
            inner[last] = value
        save_zip(path, {"model": {"module": {"encoder": nested}}})
    elif kind in ("bfloat16", "float16", "float64"):
        save_zip(path, {"model": {name: tensor(array, kind) for name, array in arrays.items()}})
    elif kind == "parameters":
        save_zip(path, {"model": {name: Parameter(value) for name, value in state.items()}})
    elif kind == "views":
        save_zip(path, {"model": views(arrays)})
    elif kind == "transposed":
        save_zip(path, {"model": transposed(arrays)})
    elif kind == "expanded":
        state["pos_embed_temporal"] = Tensor(Storage(np.ones(1, np.float32), "float32"),
                                             arrays["pos_embed_temporal"].shape, (0, 0, 0))
        save_zip(path, {"model": state})
    elif kind == "ema":
        both = dict(state)
        both.update({"target_encoder." + name: tensor(2 * array) for name, array in arrays.items()})
        both["extra.thing"] = tensor(np.zeros(3, np.float32))
        both["words"] = tensor(np.zeros(4), "uint16")
        save_zip(path, {"model": both})
    elif kind == "partial":
        for name in ("encoder_norm.weight", "encoder_norm.bias"):
            del state[name]
        save_zip(path, {"model": state})
    elif kind == "misshapen":
        state["encoder_norm.weight"] = tensor(np.zeros((2, 3), np.float32))
        state["encoder_norm.bias"] = tensor(np.zeros(arrays["encoder_norm.bias"].shape), "int64")
        del state["pos_embed_spatial"]
        state["surplus"] = tensor(np.zeros(1, np.float32))
        save_zip(path, {"model": state})
    elif kind == "doubled":
        state["module." + first] = state[first]
        save_zip(path, {"model": state})
    elif kind == "nan":
        bad = np.array(arrays[first])
        bad.ravel()[0] = np.nan
        state[first] = tensor(bad)
        save_zip(path, {"model": state})
    elif kind == "parts":
        width = arrays["encoder_norm.bias"].size
        embed = arrays["patch_embed.proj.bias"].size
        rng = np.random.default_rng(0)

        def add(name, *shape):
            state[name] = tensor(rng.standard_normal(shape).astype(np.float32))

        def layer(name, *shape):
            add(name + ".weight", *shape)
            add(name + ".bias", shape[0])
        layer("multi_scale_fusion_heads.0", width, embed, 4, 4, 4, 4)
        layer("multi_scale_fusion_heads.1", width, 2 * embed, 2, 2, 2, 2)
        add("mask_token", 1, 1, 64)
        add("decoder_pos_embed", 1, 2160, 64)
        layer("decoder_embed", 64, width)
        for j in range(2):
            block = f"decoder_blocks.{j}."
            for name, shape in (("norm1", (64,)), ("attn.qkv", (192, 64)), ("attn.proj", (64, 64)), ("norm2", (64,)),
                                ("mlp.fc1", (256, 64)), ("mlp.fc2", (64, 256))):
                layer(block + name, *shape)
        layer("decoder_norm", 64)
        layer("decoder_pred", width, 64)
        layer("head.0", 3, width)
        save_zip(path, {"model": state})
    elif kind == "whole":
        save_zip(path, Whole())
    elif kind == "evil":
        with_extras["evil"] = Evil(path + ".executed")
        save_zip(path, with_extras)
    elif kind == "big-endian":
        save_zip(path, with_extras, byteorder="big")
    elif kind == "compressed":
        save_zip(path, with_extras, compression=zipfile.ZIP_DEFLATED)
    elif kind == "script":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", pickled({}, 2, {}))
            file.writestr("archive/constants.pkl", pickled((), 2, {}))
    else:
        raise SystemExit(f"unknown kind {kind}")


main()
