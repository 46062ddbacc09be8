"""Pictures drawn by Gemini: one per scene, in the line of all of its video's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from app.providers import Picture, PictureRequest
from app.providers.gemini import config, port
from app.providers.gemini.port import Ask

RULES = (
    "No words, letters, numbers, captions, logos, frames or watermarks anywhere in the picture. "
    "Keep what matters away from the edges, and the lower quarter calm: captions stand there."
)


class GeminiPictures:
    """Draws by the model of GEMINI_IMAGE_MODEL.

    What makes pictures go together is the look, in words, and the seed. A first picture as the
    pattern of the others would make each of them wait for it, and cost its tokens again.
    """

    name: ClassVar[str] = "gemini"
    version: ClassVar[str] = "1"

    def concurrency(self) -> int:
        """Return how many pictures are best asked for at once."""
        return config.get().gemini_at_once

    def draw(self, request: PictureRequest, target: Path) -> Picture:
        """Write the picture that the prompt describes to `target`, as JPEG or PNG.

        Raises:
            ReelchainError: As `port.generate`; `gemini_blocked` where it does not draw this.
        """
        answer = port.generate(
            Ask(want="picture", text=prompt(request), aspect=request.shape, seed=request.seed)
        )
        # a model that drafts sends the finished picture last
        target.write_bytes(answer.media[-1].data)
        return Picture(provider=self.name, model=answer.model)


def prompt(request: PictureRequest) -> str:
    """Return what the model is told: what is seen, how it looks, what stays out."""
    look = f"Look: {request.look}" if request.look else ""
    return "\n\n".join(part for part in (request.prompt, look, RULES) if part)
