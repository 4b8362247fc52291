#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes bids_tables.inc from the BIDS schema of the PyPI package bidsschematools 2.0.1.

    python3 make_bids_tables.py > bids_tables.inc

A test runs this script and compares bytes, so the table cannot drift from the schema.
"""
from bidsschematools.schema import load_schema

DATATYPES = ("anat", "fmap", "func")  # the folders whose names we judge


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def entity_rows(schema):
    for name in schema.rules.entities:
        entity = schema.objects.entities[name]
        kind = "Index" if entity.format == "index" else "Label"
        values = [value if isinstance(value, str) else value["value"] for value in entity.get("enum", [])]
        yield f'{{{quoted(entity.name)}, {quoted(name)}, EntityKind::{kind}, {quoted(" ".join(values))}}},'


def rule_rows(schema):
    order = list(schema.rules.entities)
    for tree in ("raw", "deriv"):
        for group in schema.rules.files[tree]:
            for name, rule in schema.rules.files[tree][group].items():
                datatypes = [datatype for datatype in rule.get("datatypes", []) if datatype in DATATYPES]
                if not datatypes or "suffixes" not in rule:
                    continue
                entities = []
                for key in sorted(rule.entities, key=order.index):
                    value = rule.entities[key]
                    level = value if isinstance(value, str) else value.get("level", "optional")
                    entities.append(schema.objects.entities[key].name + ("!" if level == "required" else ""))
                extensions = [extension.rstrip("/") for extension in rule.extensions]
                suffixes = [schema.objects.suffixes[suffix].value if suffix in schema.objects.suffixes else suffix
                            for suffix in rule.suffixes]
                yield (f'{{{"true" if tree == "deriv" else "false"}, {quoted(" ".join(datatypes))}, '
                       f'{quoted(" ".join(suffixes))}, {quoted(" ".join(extensions))}, {quoted(" ".join(entities))}}},')


def space_rows(schema):
    for enum in ("_StandardTemplateCoordSys", "_StandardTemplateDeprecatedCoordSys"):
        for value in schema.objects.enums[enum].enum:
            yield quoted(value if isinstance(value, str) else value["value"]) + ","


def table(declaration, rows):
    print(f"inline constexpr {declaration}[] = {{")
    for row in rows:
        print("    " + row)
    print("};\n")


def main():
    schema = load_schema()
    print("// SPDX-License-Identifier: Apache-2.0 AND CC-BY-4.0")
    print("// Made by make_bids_tables.py from the BIDS schema (CC BY 4.0, see NOTICE); do not edit.")
    print("// clang-format off")
    print(f"inline constexpr std::string_view kSchemaVersion = {quoted(schema.schema_version)};")
    print(f"inline constexpr std::string_view kBidsVersion = {quoted(schema.bids_version)};\n")
    table("EntityRow kEntityRows", entity_rows(schema))
    table("std::string_view kDatatypes",
          (quoted(value.value) + "," for value in schema.objects.datatypes.values()))
    table("std::string_view kSuffixes",
          (quoted(value) + "," for value in sorted({entry.value for entry in schema.objects.suffixes.values()})))
    table("std::string_view kStandardSpaces", space_rows(schema))
    table("NameRule kNameRules", rule_rows(schema))
    print("// clang-format on")


if __name__ == "__main__":
    main()
