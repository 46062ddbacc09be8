"""Scripts by Gemini."""

from __future__ import annotations

from typing import ClassVar

from app.models import Script
from app.providers import ScriptRequest, _writing
from app.providers._writing import Conversation, Reply


class GeminiWriter:
    """Writes a script by the models of `GEMINI_TEXT_MODEL`."""

    name: ClassVar[str] = "gemini"
    version: ClassVar[str] = f"1 {_writing.VERSION}"

    def write(self, request: ScriptRequest) -> Script:
        """Return a script of `request.seconds` of speech.

        Raises:
            PermanentError: `script_unusable`, `script_length`.
            ReelchainError: What the port raises: a refusal, a block, a quota, the budget.
        """
        return _writing.write(request, _ask, name=self.name)


def _ask(conversation: Conversation) -> Reply:
    from app.providers.gemini import port  # costs what it needs of the SDK

    answer = port.generate(
        port.Ask(
            text=conversation.flat(),
            system=conversation.system,
            schema=conversation.schema,
            most_tokens=conversation.most_tokens,
        )
    )
    return Reply(answer.text, answer.model)
