"""Gemini as a voice: one sentence a call, its sound checked and brought to the form of the others."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, get_args

from app import language as lang
from app.errors import TransientError
from app.models import Language, Speech
from app.providers import SpeechRequest, Voice, _sound, _timing, _voice
from app.providers.gemini import config, port

_VOICES: dict[str, str] = {
    "Kore": "woman, firm",
    "Puck": "man, upbeat",
    "Charon": "man, informative",
    "Zephyr": "woman, bright",
    "Fenrir": "man, excitable",
    "Leda": "woman, youthful",
    "Orus": "man, firm",
    "Aoede": "woman, breezy",
    "Callirrhoe": "woman, easy-going",
    "Autonoe": "woman, bright",
    "Enceladus": "man, breathy",
    "Iapetus": "man, clear",
    "Umbriel": "man, easy-going",
    "Algieba": "man, smooth",
    "Despina": "woman, smooth",
    "Erinome": "woman, clear",
    "Algenib": "man, gravelly",
    "Rasalgethi": "man, informative",
    "Laomedeia": "woman, upbeat",
    "Achernar": "woman, soft",
    "Alnilam": "man, firm",
    "Schedar": "man, even",
    "Gacrux": "woman, mature",
    "Pulcherrima": "woman, forward",
    "Achird": "man, friendly",
    "Zubenelgenubi": "man, casual",
    "Vindemiatrix": "woman, gentle",
    "Sadachbia": "man, lively",
    "Sadaltager": "man, knowledgeable",
    "Sulafat": "woman, warm",
}
"""Gemini's prebuilt voices, in Google's words; each speaks every language of the model."""

_STYLES: dict[Language, str] = {
    "en": "Read aloud as a calm, clear narrator",
    "zh-TW": "Read aloud as a calm, clear narrator from Taiwan",
    "ja": "Read aloud in Japanese as a calm, clear narrator",
}
"""The same for each sentence, so that a voice stays itself from one to the next. Older models are
told it in front of the text, so it is a sentence."""

_WHOLE = ("STOP", "")
_MARKUP = str.maketrans(dict.fromkeys("<>[]{}\\", " "))
"""The models act on tags such as <gasp> or [whispers]; a script's words are only words."""


class GeminiSpeech:
    """Says sentences with one of Gemini's speech models (GEMINI_SPEECH_MODEL)."""

    name: ClassVar[str] = "gemini"
    version: ClassVar[str] = "1"

    def voices(self) -> tuple[Voice, ...]:
        """Return each voice for each language, that of GEMINI_VOICE first."""
        mine = config.get().gemini_voice
        told = {mine: _VOICES.get(mine, "GEMINI_VOICE"), **_VOICES}
        return tuple(
            Voice(name=name, language=language, description=description)
            for language in get_args(Language)
            for name, description in told.items()
        )

    def concurrency(self) -> int:
        return config.get().gemini_at_once

    def speak(self, request: SpeechRequest, target: Path) -> Speech:
        """Write the sentence to `target`; return its words, timed by the sound.

        Raises:
            InputError: `speech_language`, `voice_unknown`, `speech_speed`, `speech_empty`.
            TransientError: `speech_unusable`, where no usable sound came.
            ReelchainError: What Gemini's refusal means.
        """
        voice = _voice.check(request, self.voices(), self.name)
        reading = _timing.read(request.text, request.language)
        sound = _voice.trimmed(_sound.stretched(self._said(request, voice.name), request.speed))
        whole, timing = _timing.timed(reading, request.text, request.language, sound)
        return _voice.spoken(
            request, reading, whole, target, voice=voice.name, provider=self.name, timing=timing
        )

    def _said(self, request: SpeechRequest, voice: str) -> _voice.Samples:
        """Return what the model says, checked, at its own speed."""
        answer = port.generate(
            port.Ask(
                text=plain(request.text),
                want="speech",
                voice=voice,
                style=_STYLES[request.language],
            )
        )
        if not answer.media or answer.finish not in _WHOLE:
            raise TransientError(
                "speech_unusable",
                f"The voice service sent no whole sound ({answer.finish or 'without a reason'}).",
                "Run the project again in a while, or give SPEECH_PROVIDER a second voice.",
            )
        sound = _sound.decoded(answer.media[0].data, answer.media[0].mime)
        _sound.check(sound, request.text, request.language)
        return sound


def plain(text: str) -> str:
    """Return a sentence on one line, without emoji and the signs that a model takes for directions."""
    return " ".join(lang.strip_emoji(text)[0].translate(_MARKUP).split())
