"""What Gemini's server takes: the fields of a request in both spellings, and what each model can do."""

from __future__ import annotations

import re
from typing import Any

TYPES = ("", "string", "number", "integer", "boolean", "array", "object", "null")
MODALITIES = ("", "TEXT", "IMAGE", "AUDIO")
ASPECTS = {"1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"}
VOICES = (
    "Zephyr Puck Charon Kore Fenrir Leda Orus Aoede Callirrhoe Autonoe Enceladus Iapetus Umbriel "
    "Algieba Despina Erinome Algenib Rasalgethi Laomedeia Achernar Alnilam Schedar Gacrux "
    "Pulcherrima Achird Zubenelgenubi Vindemiatrix Sadachbia Sadaltager Sulafat"
)
MODELS = (
    "gemini-3.8-flash",
    "gemini-3.8-pro",
    "gemini-2.5-flash",
    "gemini-3.1-flash-image",
    "gemini-2.5-flash-image",
    "gemini-3.8-flash-tts",
    "gemini-2.5-flash-preview-tts",
)
LARGEST = 20 * 1024 * 1024
_PLAIN = object()
"""A field whose inside is nobody's business here."""


def _fields(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), _PLAIN)


_BLOB = {"mimeType": _PLAIN, "data": _PLAIN}
_PART = {
    "text": _PLAIN,
    "inlineData": _BLOB,
    "thought": _PLAIN,
    "thoughtSignature": _PLAIN,
    "speechMetadata": {"style": _PLAIN, "speaker": _PLAIN},
}
_CONTENT = {"role": _PLAIN, "parts": [_PART]}
_VOICE = {"prebuiltVoiceConfig": {"voiceName": _PLAIN}}
_SCHEMA = _fields(
    "type format title description nullable enum maxItems minItems required minProperties "
    "maxProperties minLength maxLength pattern example propertyOrdering default minimum "
    "maximum"
)
_CONFIG: dict[str, Any] = {
    **_fields(
        "temperature topP topK candidateCount maxOutputTokens stopSequences responseMimeType "
        "responseJsonSchema responseModalities seed presencePenalty frequencyPenalty "
        "mediaResolution"
    ),
    "responseSchema": _SCHEMA,
    "speechConfig": {"voiceConfig": _VOICE, "languageCode": _PLAIN},
    "imageConfig": {"aspectRatio": _PLAIN, "imageSize": _PLAIN},
    "thinkingConfig": _fields("includeThoughts thinkingBudget thinkingLevel"),
}
_REQUEST = {
    "contents": [_CONTENT],
    "systemInstruction": _CONTENT,
    "safetySettings": _PLAIN,
    "generationConfig": _CONFIG,
}
_COUNT = {"contents": [_CONTENT], "generateContentRequest": {**_REQUEST, "model": _PLAIN}}


class Refusal(Exception):  # noqa: N818 - what the server says, not a fault of it
    """An answer that is an error.

    Attributes:
        wrong: Whether no correct client asks like this.
    """

    def __init__(
        self, code: int, status: str, message: str, details: Any = (), *, wrong: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.wrong = code, wrong
        fact = {"code": code, "message": message, "status": status}
        self.document = {"error": fact | ({"details": list(details)} if details else {})}


def invalid(message: str) -> Refusal:
    return Refusal(400, "INVALID_ARGUMENT", message, wrong=True)


def read(body: Any, *, counting: bool = False) -> dict[str, Any]:
    """Return a request in one spelling.

    Raises:
        Refusal: It has a field that the server does not know, or none of what it needs.
    """
    found: dict[str, Any] = _spelled(body, _COUNT if counting else _REQUEST, "")
    if counting:
        return found.get("generateContentRequest") or found
    if not found.get("contents") or not any(c.get("parts") for c in found["contents"]):
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    if any(c.get("role", "user") not in {"user", "model"} for c in found["contents"]):
        raise invalid("Please use a valid role: user, model.")
    config = found.setdefault("generationConfig", {})
    if "responseSchema" in config and "responseJsonSchema" in config:
        raise invalid("Only one of response_schema and response_json_schema may be set.")
    schema = "responseSchema" in config or "responseJsonSchema" in config
    if schema and config.get("responseMimeType") != "application/json":
        raise invalid("A schema is allowed only with the response mime type application/json.")
    config["responseModalities"] = [
        MODALITIES[m] if isinstance(m, int) else m for m in config.get("responseModalities", ())
    ]
    return found


def _spelled(value: Any, known: Any, where: str) -> Any:
    if known is _PLAIN:
        return value
    if isinstance(known, list):
        if not isinstance(value, list):
            raise invalid(f"Invalid value at '{where}': a list is wanted.")
        return [_spelled(one, known[0], f"{where}[{n}]") for n, one in enumerate(value)]
    if not isinstance(value, dict):
        raise invalid(f"Invalid value at '{where}': an object is wanted.")
    if known is _SCHEMA:
        return _schema(value, where)
    found = {}
    for name, inner in value.items():
        camel = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
        if camel not in known:
            raise invalid(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': "
                "Cannot find field."
            )
        found[camel] = _spelled(inner, known[camel], f"{where}.{camel}".strip("."))
    return found


def _schema(value: dict[str, Any], where: str) -> dict[str, Any]:
    """Return OpenAPI's form as JSON Schema; the names of properties are not touched."""
    nested = {"items": _PLAIN, "properties": _PLAIN, "anyOf": _PLAIN}
    found: dict[str, Any] = _spelled(value, {**_SCHEMA, **nested}, where)
    kind = found.get("type", "")
    found["type"] = TYPES[kind] if isinstance(kind, int) else str(kind).lower()
    if found["type"] not in TYPES:
        raise invalid(f"Invalid value at '{where}.type': {kind}.")
    if found["type"] == "array" and "items" not in found:
        raise invalid(f"* {where}.items: missing field.")
    if "items" in found:
        found["items"] = _schema(found["items"], f"{where}.items")
    if "properties" in found:
        found["properties"] = {
            name: _schema(inner, f"{where}.properties[{name}]")
            for name, inner in found["properties"].items()
        }
    return found


def wanted(model: str, request: dict[str, Any]) -> str:
    """Return what a model is asked for: `text`, `picture` or `speech`.

    Raises:
        Refusal: The model can't do it, or not like that.
    """
    config = request["generationConfig"]
    modalities = set(config["responseModalities"]) or {"TEXT"}
    parts = [part for content in request["contents"] for part in content["parts"]]
    if "tts" in model:
        return _speech(model, config, modalities, parts)
    if any("speechMetadata" in part for part in parts):
        raise invalid("speech_metadata is not supported by this model.")
    if "image" in model:
        _picture(config, modalities)
        return "picture"
    if modalities != {"TEXT"} or "imageConfig" in config or "speechConfig" in config:
        raise invalid(
            f"The requested combination of response modalities ({', '.join(sorted(modalities))}) "
            f"is not supported by the model. models/{model} accepts: * TEXT"
        )
    return "text"


def _picture(config: dict[str, Any], modalities: set[str]) -> None:
    if not modalities <= {"TEXT", "IMAGE"}:
        raise invalid("The model makes text and images.")
    if "responseSchema" in config or "responseJsonSchema" in config:
        raise invalid("JSON mode is not enabled for this model.")
    image = config.get("imageConfig", {})
    if image.get("aspectRatio", "1:1") not in ASPECTS:
        raise invalid("Invalid value at 'generation_config.image_config.aspect_ratio'.")
    if image.get("imageSize", "1K") not in {"1K", "2K", "4K"}:
        raise invalid("Invalid value at 'generation_config.image_config.image_size'.")


def _speech(model: str, config: dict[str, Any], modalities: set[str], parts: list[Any]) -> str:
    if modalities != {"AUDIO"}:
        raise invalid("The requested combination of response modalities (TEXT) is not supported.")
    voice = config.get("speechConfig", {}).get("voiceConfig", {}).get("prebuiltVoiceConfig", {})
    if voice.get("voiceName", "Kore") not in VOICES.split():
        raise invalid(f"Voice name {voice['voiceName']} is not supported.")
    if whole_wav(model) and {"temperature", "topP", "topK"} & set(config):
        raise invalid("temperature, top_p and top_k are not supported by this model.")
    if not whole_wav(model) and any("speechMetadata" in part for part in parts):
        raise invalid("speech_metadata is not supported by this model.")
    if not "".join(part.get("text", "") for part in parts).strip():
        raise invalid("There is nothing to say.")
    return "speech"


def whole_wav(model: str) -> bool:
    """Tell whether a voice answers with a WAV file, as they do from 3.8 on."""
    found = re.match(r"gemini-(\d+)\.(\d+)-", model)
    return found is not None and (int(found[1]), int(found[2])) >= (3, 8)
