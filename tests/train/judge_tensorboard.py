# SPDX-License-Identifier: Apache-2.0
"""judge_tensorboard.py FOLDER: prints what TensorBoard reads there, one `tag step value` a line, tags sorted."""
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

accumulator = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
accumulator.Reload()
tags = accumulator.Tags()
for tag in sorted(tags["scalars"]):
    for event in accumulator.Scalars(tag):
        print(tag, event.step, repr(event.value))
print("file_version", accumulator.file_version)
