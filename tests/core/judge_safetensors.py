# SPDX-License-Identifier: Apache-2.0
"""judge_safetensors.py OURS THEIRS: reads a file of ours with the Python library, writes one of its own."""
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

ours, theirs = sys.argv[1:]
with safe_open(ours, "numpy") as file:
    assert file.metadata() == {"key": "value", "\u00fc": '"quoted"\n'}, file.metadata()
    names = set(file.keys())
    expected = {"bool": ("bool", [3]), "u8": ("uint8", [5]), "i8": ("int8", [8]), "u16": ("uint16", [2, 2]),
                "i16": ("int16", [4]), "f16": ("float16", [4]), "empty": ("float32", [0, 7]), "u32": ("uint32", [2]),
                "i32": ("int32", [2]), "f32": ("float32", [1, 2, 3]), "u64": ("uint64", [1]), "i64": ("int64", []),
                "f64": ("float64", [2]), 'n"\u00e4me': ("uint8", [1])}
    assert names == set(expected), names
    for name, (dtype, shape) in expected.items():
        tensor = file.get_tensor(name)
        assert tensor.dtype == dtype and list(tensor.shape) == shape, (name, tensor.dtype, tensor.shape)
        if name != "bool":
            assert tensor.tobytes() == bytes(range(tensor.nbytes)), name
    assert file.get_tensor("bool").tolist() == [True, False, True]

save_file({"f64": np.array([[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]]), "half": np.ones(3, np.float16),
           "empty": np.zeros((0, 2), np.float32), "scalar": np.array(7, np.int64)}, theirs, {"made by": "python"})
