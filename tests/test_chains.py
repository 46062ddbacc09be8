"""Chains of providers before they are at work, and how those whose pictures are shown are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import draft, settings
from app.errors import InputError
from app.models import Language
from app.providers import Picture
from app.tasks import _drawing


def test_an_unknown_provider_in_a_chain_is_told_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMAGE_PROVIDER", "cards, pexel")
    settings.get.cache_clear()
    with pytest.raises(InputError, match="'pexel'"):
        draft.check_providers()


OFFLINE = {"SCRIPT_PROVIDER": "template", "SPEECH_PROVIDER": "kokoro", "IMAGE_PROVIDER": "cards"}


@pytest.mark.parametrize(
    ("setting", "chain", "given", "code"),
    [
        ("SCRIPT_PROVIDER", "template,gemini", {}, "gemini_key_missing"),
        ("SPEECH_PROVIDER", "kokoro,gemini", {}, "gemini_key_missing"),
        ("SCRIPT_PROVIDER", "openai,template", {}, "openai_model_missing"),
        ("IMAGE_PROVIDER", "gemini,pexels,cards", {"GEMINI_API_KEY": "k"}, "stock_key_missing"),
        ("IMAGE_PROVIDER", "pexels,pixabay", {"PEXELS_API_KEY": "k"}, "stock_key_missing"),
        (
            "IMAGE_PROVIDER",
            "gemini",
            {"GEMINI_API_KEY": "k", "GEMINI_SDK": "google-generativeai"},
            "gemini_sdk_missing",
        ),
    ],
)
def test_what_a_provider_lacks_is_told_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, setting: str, chain: str, given: dict[str, str], code: str
) -> None:
    keys = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "PEXELS_API_KEY", "PIXABAY_API_KEY", "OPENAI_MODEL")
    for name in keys:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**OFFLINE, **given, setting: chain}.items():
        monkeypatch.setenv(name, value)
    settings.get.cache_clear()
    with pytest.raises(InputError) as caught:
        draft.check_providers()
    assert caught.value.code == code
    whole = dict.fromkeys(keys, "k") | {"GEMINI_SDK": "google-genai"}
    for name, value in whole.items():
        monkeypatch.setenv(name, value)
    settings.get.cache_clear()
    draft.check_providers()


@pytest.mark.parametrize("speech", ["kokoro", "kokoro,gemini"])
def test_asking_who_is_ready_loads_no_sdk_and_no_voice(speech: str, tmp_path: Path) -> None:
    code = (
        "import sys; from app import draft; draft.check_providers(); "
        "print([m for m in ('google.genai', 'numpy', 'requests', 'app.providers.gemini') "
        "if m in sys.modules])"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if name != "IMAGE_PROVIDER"},
        **OFFLINE,
        "DATA_DIR": str(tmp_path),
        "SPEECH_PROVIDER": speech,
        "GEMINI_API_KEY": "k",
        "PYTHONPATH": str(Path(draft.__file__).parents[1]),
    }
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(["app.providers.gemini"] if "gemini" in speech else [])


# -- credits ------------------------------------------------------------------------------------


def test_credits_are_merged_per_maker_and_brief_where_there_are_many() -> None:
    def shot(author: int, number: int) -> Picture:
        page = f"https://www.pexels.com/photo/a-rather-long-name-of-a-photograph-{number}/"
        return Picture(provider="pexels", credit=f"Photo by {author} on Pexels", credit_url=page)

    two = _drawing.credit_lines([shot(1, 1), shot(2, 2), shot(1, 3)], "en")
    assert len(two) == 3
    assert two[1].count("https://") == 2
    many = _drawing.credit_lines([shot(n % 30, n) for n in range(60)], "zh-TW")
    assert many[0] == "圖片來源："
    assert all(f"Photo by {n} on Pexels" in many[1] for n in range(30))
    assert many[2:] == ("https://www.pexels.com",)
    assert len("\n".join(many).encode()) < _drawing.CREDIT_BYTES
    assert _drawing.credit_lines([], "en") == ()


@pytest.mark.parametrize("spoken", ["en", "zh-TW"])
def test_credits_never_take_more_than_their_share_of_a_description(spoken: Language) -> None:
    def shot(number: int) -> Picture:
        page = f"https://www.pexels.com/photo/a-photograph-{number}/"
        credit = f"Photo by {'攝' * 50}{number:03} on Pexels"
        return Picture(provider="pexels", credit=credit, credit_url=page)

    _, names, site = _drawing.credit_lines([shot(n) for n in range(150)], spoken)
    named = names.count("Photo by")
    assert 3 <= named < 10
    assert names.split("Photo by")[-1].endswith(
        {"en": f" … and {150 - named} more", "zh-TW": f"……以及其他 {150 - named} 位"}[spoken]
    )
    assert site == "https://www.pexels.com"
    lines = _drawing.credit_lines([shot(n) for n in range(150)], spoken)
    assert len("\n".join(lines).encode()) <= _drawing.CREDIT_BYTES
