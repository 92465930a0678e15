"""The manifest's types say what its schema says."""

import json
from importlib import resources
from types import UnionType
from typing import get_args, get_origin, get_type_hints, is_typeddict

import pytest

from mobile_export.bundle import typed

SCHEMA = json.loads(
    resources.files("mobile_export.bundle").joinpath("manifest.schema.json").read_text()
)


def test_no_name_stands_twice_in_a_schema():
    """Python's reader takes the last one; Swift's refuses them."""

    def once(pairs: list) -> dict:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]
        return dict(pairs)

    for name in ("manifest.schema.json", "latency.schema.json"):
        text = resources.files("mobile_export.bundle").joinpath(name).read_text()
        json.loads(text, object_pairs_hook=once)


def places(hint: object, schema: dict, where: str = "$"):
    """Every ``TypedDict`` within a type, with the part of the schema that is in its place."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if isinstance(hint, UnionType):
        assert type(None) in get_args(hint)
        (hint,) = (part for part in get_args(hint) if part is not type(None))
        schema = next((s for s in schema.get("oneOf", [schema]) if s != {"type": "null"}), schema)
        yield from places(hint, schema, where)
    elif get_origin(hint) is list:
        yield from places(get_args(hint)[0], schema["items"], f"{where}[]")
    elif is_typeddict(hint):
        yield where, hint, schema
        for key, inner in get_type_hints(hint).items():
            part = schema["properties"].get(key, {})
            yield from places(inner, part, f"{where}.{key}") if part else ()


@pytest.mark.parametrize(("where", "hint", "schema"), list(places(typed.Manifest, SCHEMA)))
def test_keys_are_those_of_the_schema(where: str, hint: type, schema: dict):
    if where == "$.model":  # the schema describes the keys that may be missing alone
        assert hint.__required_keys__ == set(schema["required"])
        assert hint.__optional_keys__ == schema["properties"].keys()
        return
    assert hint.__annotations__.keys() == schema["properties"].keys()
    assert hint.__required_keys__ == set(schema["required"])
