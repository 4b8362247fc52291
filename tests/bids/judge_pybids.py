#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What pybids makes of a dataset, as JSON on standard output.

    judge_pybids.py DATASET [QUERIES.json]

QUERIES is a list of {entity: value | [values] | null | "*"}; null means absent, "*" means present.
"""
import json
import os
import sys
import warnings

warnings.simplefilter("ignore")

from bids import BIDSLayout  # noqa: E402
from bids.layout import Query  # noqa: E402


def as_json(value, number=int):
    """pybids has integers of its own that remember their padding: number=str keeps it."""
    if isinstance(value, dict):
        return {key: as_json(entry, number) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(entry, number) for entry in value]
    if isinstance(value, (bool, float, str, type(None))):
        return value
    return number(value)


def as_query(entity, value):
    if isinstance(value, list):
        return [as_query(entity, entry) for entry in value]
    if value is None:
        return Query.NONE
    if value == "*":
        return Query.ANY
    return int(value) if entity in ("run", "echo") else value


def main():
    root = os.path.abspath(sys.argv[1])
    layout = BIDSLayout(root, validate=False, derivatives=False)

    def relative(path):
        return os.path.relpath(path, root)

    answer = {"files": {}, "metadata": {}, "queries": []}
    for file in layout.get():
        answer["files"][relative(file.path)] = as_json(dict(file.get_entities(metadata=False)), number=str)
        if file.entities.get("suffix") == "bold" and not file.path.endswith(".json"):
            answer["metadata"][relative(file.path)] = as_json(dict(file.get_metadata()))
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as stream:
            for query in json.load(stream):
                arguments = {entity: as_query(entity, value) for entity, value in query.items()}
                found = layout.get(return_type="filename", **arguments)
                answer["queries"].append(sorted(relative(path) for path in found))
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
