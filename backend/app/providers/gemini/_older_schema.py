"""JSON Schema in the form that google-generativeai sends: OpenAPI's, without references."""

from __future__ import annotations

from typing import Any

from app.errors import InputError

_KNOWN = frozenset(
    ("type", "format", "description", "nullable", "enum", "items", "properties", "required")
) | {"minItems", "maxItems"}
_HINTS = frozenset(
    ("title", "default", "examples", "$defs", "$schema", "additionalProperties", "pattern")
) | {"minLength", "maxLength", "minimum", "maximum", "uniqueItems", "propertyOrdering"}
"""What only narrows a schema: without it more is allowed, and the reader checks all the same."""
_RENAMED = {"minItems": "min_items", "maxItems": "max_items"}
_DEEPEST = 40


def older_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema in the form this SDK sends: OpenAPI's, without references.

    Raises:
        InputError: `gemini_sdk_limited`: it holds what that form has no words for.
    """
    return _older(schema, schema, 0)


def _older(schema: Any, whole: dict[str, Any], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST or not isinstance(schema, dict):
        raise limited("no schema like this one")
    schema = _followed(schema, whole)
    strange = set(schema) - _KNOWN - _HINTS
    if strange:
        raise limited(f"no schema with {', '.join(sorted(strange))}")
    found = {_RENAMED.get(name, name): schema[name] for name in schema if name in _KNOWN}
    if isinstance(found.get("type"), list):
        found |= _one_type(found["type"])
    if "items" in found:
        found["items"] = _older(found["items"], whole, depth + 1)
    if "properties" in found:
        found["properties"] = {
            name: _older(inner, whole, depth + 1) for name, inner in found["properties"].items()
        }
    if "enum" in found:
        found["enum"] = [str(value) for value in found["enum"]]
    found.setdefault("type", "string" if "enum" in found else "object")
    return found


def _followed(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its reference, its `const` and its choice of one or null resolved."""
    for _ in range(_DEEPEST):
        if "$ref" in schema:
            place: Any = whole
            for step in filter(None, str(schema["$ref"]).removeprefix("#").split("/")):
                place = place.get(step, {}) if isinstance(place, dict) else {}
            if not isinstance(place, dict):
                raise limited("no schema with such a reference")
            schema = {**place, **{k: v for k, v in schema.items() if k != "$ref"}}
        elif "const" in schema:
            schema = {
                **{k: v for k, v in schema.items() if k != "const"},
                "enum": [schema["const"]],
            }
        elif isinstance(schema.get("anyOf"), list):
            choices = [one for one in schema["anyOf"] if one != {"type": "null"}]
            if len(choices) != 1 or not isinstance(choices[0], dict):
                return schema
            rest = {k: v for k, v in schema.items() if k != "anyOf"}
            schema = {**choices[0], **rest, "nullable": True}
        else:
            return schema
    raise limited("no schema that refers to itself")


def _one_type(names: list[Any]) -> dict[str, Any]:
    types = [name for name in names if name != "null"]
    if len(types) != 1:
        raise limited("no schema with a choice of types")
    return {"type": types[0], "nullable": len(types) < len(names)}


def limited(what: str) -> InputError:
    """Return the error for something that google-generativeai can't do."""
    return InputError(
        "gemini_sdk_limited",
        f"google-generativeai knows {what}.",
        "Set GEMINI_SDK=google-genai: Google maintains only that one.",
    )
