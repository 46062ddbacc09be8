"""Asks Gemini in a Python of its own: JSON in, JSON out, the settings of the environment.

    python tests/_gemini_driver.py < asks.json > answers.json

Each ask is the fields of `Ask`, pictures in base64; each answer holds its text and media, or the
error with its traceback. It needs no more of the project than the port, and runs where the tests'
own packages are not installed.
"""

from __future__ import annotations

import base64
import json
import sys
import traceback
import warnings
from typing import Any

from app.errors import ReelchainError
from app.providers.gemini import port


def asked(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what became of one ask."""
    pictures = tuple(base64.b64decode(one) for one in fields.pop("pictures", ()))
    try:
        answer = port.generate(port.Ask(**fields, pictures=pictures))
    except ReelchainError as error:
        return {
            "kind": type(error).__name__,
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "retry_after": error.retry_after,
            "trace": traceback.format_exc(),
        }
    return {
        "text": answer.text,
        "media": [[one.mime, base64.b64encode(one.data).decode()] for one in answer.media],
        "finish": answer.finish,
        "usage": answer.usage.model_dump(),
        "model": answer.model,
    }


if __name__ == "__main__":
    warnings.simplefilter("error")
    # what came after the SDK's end it calls by its number, and says so
    warnings.filterwarnings("ignore", "Unrecognized .* enum value")
    json.dump([asked(fields) for fields in json.load(sys.stdin)], sys.stdout)
