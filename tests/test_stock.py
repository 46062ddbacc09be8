"""Pexels and Pixabay: what they are asked, what is taken from them, and what never is."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from _stock import PEXELS_KEY, PIXABAY_KEY, Asked, StockHouse
from app import providers, throttle
from app.errors import InputError, PermanentError, ReelchainError, TransientError
from app.models import Shape
from app.providers import Picture, PictureRequest, _stock

both = pytest.mark.parametrize("service", ["pexels", "pixabay"])


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[StockHouse]:
    throttle.forget()
    with StockHouse() as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("STOCK_TIMEOUT", "5")
        monkeypatch.setenv("STOCK_PICTURE_MB", "1")
        yield made


def wish(*keywords: str, shape: Shape = "16:9", number: int = 0, **more: Any) -> PictureRequest:
    return PictureRequest(
        prompt="Tea", keywords=keywords or ("tea", "steam"), shape=shape, number=number, **more
    )


def drawn(service: str, target: Path, request: PictureRequest | None = None) -> Picture:
    return providers.picture(service).draw(request or wish(), target)


def refused(service: str, target: Path, request: PictureRequest | None = None) -> ReelchainError:
    with pytest.raises(ReelchainError) as caught:
        drawn(service, target, request)
    return caught.value


def of_pictures(fault: str) -> Any:
    return lambda call: fault if call.kind == "picture" else None


def of_searches(fault: str) -> Any:
    return lambda call: fault if call.kind == "search" else None


@both
@pytest.mark.parametrize("shape", ["16:9", "9:16", "1:1"])
def test_a_picture_of_the_right_shape_with_its_credit(
    house: StockHouse, service: str, shape: Shape, tmp_path: Path
) -> None:
    picture = drawn(service, tmp_path / "found.jpg", wish(shape=shape))
    with Image.open(tmp_path / "found.jpg") as image:
        wide, high = image.size
    assert {"16:9": wide > high, "9:16": wide < high, "1:1": wide == high or service == "pixabay"}[
        shape
    ]
    assert max(wide, high) >= 1024
    title = service.capitalize()
    assert picture.credit.startswith("Photo by Author ")
    assert picture.credit.endswith(f" on {title}")
    assert urlsplit(picture.credit_url).hostname in (f"www.{service}.com", f"{service}.com")
    assert picture.provider == service
    assert house.violations == []


@both
def test_scenes_that_ask_for_the_same_get_different_pictures(
    house: StockHouse, service: str, tmp_path: Path
) -> None:
    for number in range(6):
        drawn(service, tmp_path / f"{number}.jpg", wish(number=number))
    assert len({path.read_bytes() for path in tmp_path.glob("*.jpg")}) == 6
    assert len(house.of("search")) == 1


@both
def test_the_same_search_is_made_once_a_day(
    house: StockHouse, service: str, tmp_path: Path, data_dir: Path
) -> None:
    drawn(service, tmp_path / "one.jpg")
    drawn(service, tmp_path / "two.jpg")
    assert len(house.of("search")) == 1
    (kept,) = (data_dir / "cache" / service).iterdir()
    for secret in (PEXELS_KEY, PIXABAY_KEY):
        assert secret not in kept.read_text()
    yesterday = time.time() - 24 * 3600 - 1
    os.utime(kept, (yesterday, yesterday))
    house.fault = lambda call: None
    drawn(service, tmp_path / "three.jpg")
    assert len(house.of("search")) == 2


@both
def test_what_is_kept_and_damaged_is_asked_for_anew(
    house: StockHouse, service: str, tmp_path: Path, data_dir: Path
) -> None:
    drawn(service, tmp_path / "one.jpg")
    (kept,) = (data_dir / "cache" / service).iterdir()
    kept.write_text("[1")
    house.fault = lambda call: None
    drawn(service, tmp_path / "two.jpg")
    assert len(house.of("search")) == 2


@both
def test_the_first_keyword_is_tried_alone_where_all_find_nothing(
    house: StockHouse, service: str, tmp_path: Path
) -> None:
    words = "query" if service == "pexels" else "q"
    house.fault = lambda call: "none" if " " in call.query.get(words, "") else None
    drawn(service, tmp_path / "one.jpg", wish("lighthouse", "fog", "evening"))
    asked = [call.query[words] for call in house.of("search")]
    assert asked == ["lighthouse fog evening", "lighthouse"]


@both
def test_nothing_found_is_told_with_what_was_searched_for(
    house: StockHouse, service: str, tmp_path: Path
) -> None:
    house.found = 0
    error = refused(service, tmp_path / "one.jpg", wish("gryphon", "moult"))
    assert isinstance(error, PermanentError)
    assert error.code == "picture_not_found"
    assert "'gryphon moult'" in error.message
    assert refused(service, tmp_path / "one.jpg", wish(" ")).code == "picture_not_found"


@both
def test_chinese_is_searched_for_as_chinese_and_english_as_english(
    house: StockHouse, service: str, tmp_path: Path
) -> None:
    drawn(service, tmp_path / "one.jpg", wish("天燈", language="zh-TW"))
    drawn(service, tmp_path / "two.jpg", wish("sky lantern", language="zh-TW"))
    name = "locale" if service == "pexels" else "lang"
    told = [call.query.get(name) for call in house.of("search")]
    assert told == (["zh-TW", None] if service == "pexels" else ["zh", "en"])
    assert house.violations == []


def test_no_search_is_longer_than_a_service_takes() -> None:
    assert _stock.searches(["a" * 300]) == ["a" * 100]
    words = [f"word{number:03d}" for number in range(30)]
    assert all(len(terms) <= 100 for terms in _stock.searches(words))
    assert _stock.searches(["one  two", "", "three"]) == ["one two three", "one two"]


# -- refusals ---------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("fault", "meant"),
    [
        ("429:7", (TransientError, "stock_unavailable", 7.0)),
        ("429:99999", (TransientError, "stock_unavailable", None)),
        ("503", (TransientError, "stock_unavailable", None)),
        ("drop", (TransientError, "stock_unavailable", None)),
        ("junk", (TransientError, "stock_answer_unreadable", None)),
        ("shape", (TransientError, "stock_answer_unreadable", None)),
        ("400", (PermanentError, "stock_refused", None)),
        ("403", (PermanentError, "stock_key_refused", None)),
        ("302", (PermanentError, "stock_refused", None)),
    ],
)
def test_a_search_that_fails_is_asked_once(
    house: StockHouse, service: str, fault: str, meant: tuple[object, ...], tmp_path: Path
) -> None:
    house.fault = of_searches(fault)
    error = refused(service, tmp_path / "one.jpg")
    assert (type(error), error.code, error.retry_after) == meant
    assert len(house.calls) == 1


@both
def test_after_a_429_nobody_asks_before_the_time_that_was_said(
    house: StockHouse, service: str, tmp_path: Path
) -> None:
    house.fault = of_searches("429:7")
    refused(service, tmp_path / "one.jpg")
    assert 5 < throttle.closed(service) <= 7


@both
def test_a_wrong_key_is_told_as_such_and_a_missing_one_before_anything_is_sent(
    house: StockHouse, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{service.upper()}_API_KEY", "stale")
    error = refused(service, tmp_path / "one.jpg")
    assert (type(error), error.code) == (PermanentError, "stock_key_refused")
    monkeypatch.delenv(f"{service.upper()}_API_KEY")
    house.calls.clear()
    error = refused(service, tmp_path / "one.jpg")
    assert (type(error), error.code) == (InputError, "stock_key_missing")
    assert f"{service.upper()}_API_KEY" in error.hint
    assert house.calls == []


@both
@pytest.mark.parametrize("fault", ["400", "403", "429", "500", "drop", "junk"])
def test_a_key_is_in_no_error_and_no_log(
    house: StockHouse,
    service: str,
    fault: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    house.fault = of_searches(fault)
    with caplog.at_level(logging.DEBUG):
        error = refused(service, tmp_path / "one.jpg")
    told = "".join(traceback.format_exception(error)) + caplog.text + repr(error.args)
    for secret in (PEXELS_KEY, PIXABAY_KEY):
        assert secret not in told
        assert secret not in repr(_stock.get())


# -- downloads --------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("html", "stock_picture_broken"),
        ("disguise", "stock_picture_broken"),
        ("empty", "stock_picture_broken"),
        ("huge", "stock_picture_broken"),
        ("short", "stock_unavailable"),
        ("503", "stock_unavailable"),
        ("404", "stock_refused"),
        ("drop", "stock_unavailable"),
    ],
)
def test_what_is_no_whole_picture_does_not_count(
    house: StockHouse, service: str, fault: str, code: str, tmp_path: Path
) -> None:
    house.fault = of_pictures(fault)
    error = refused(service, tmp_path / "one.jpg")
    assert error.code == code
    assert error.retryable is (code != "stock_refused")


@both
@pytest.mark.parametrize("fault", ["drip", "hang"])
def test_a_picture_that_takes_too_long_is_given_up(
    house: StockHouse,
    service: str,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STOCK_TIMEOUT", "0.15")
    asked: list[float] = []

    def late(call: Any) -> str | None:
        asked.extend([time.monotonic()] if call.kind == "picture" else [])
        return of_pictures(fault)(call)

    house.fault = late
    assert refused(service, tmp_path / "one.jpg").code == "stock_unavailable"
    assert time.monotonic() - asked[-1] < 3


@both
@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/picture.jpg",
        "https://[::1]/picture.jpg",
        "https://[::ffff:192.168.1.1]/picture.jpg",
        "https://localhost/picture.jpg",
        "http://www.pexels.com/picture.jpg",
        "https://user:pass@93.184.215.14/picture.jpg",
        "file:///etc/passwd",
    ],
)
def test_an_address_that_leads_inside_is_not_followed(
    house: StockHouse, service: str, address: str, tmp_path: Path
) -> None:
    house.fault = of_pictures(f"moved:{address}")
    error = refused(service, tmp_path / "one.jpg")
    assert (type(error), error.code) == (PermanentError, "stock_address_refused")
    assert len(house.of("picture")) == 1
    assert not (tmp_path / "one.jpg").exists()


@both
def test_an_address_that_is_none_is_a_fault_of_the_service(
    house: StockHouse, service: str, tmp_path: Path
) -> None:
    house.fault = of_pictures("moved:https://[broken/picture.jpg")
    assert refused(service, tmp_path / "one.jpg").code == "stock_unavailable"
    with pytest.raises(PermanentError, match="does not lead to a public"):
        _stock.check_address(providers.picture(service), "https://[broken/picture.jpg")


@both
def test_a_redirect_is_followed_and_a_circle_is_left(
    house: StockHouse, service: str, tmp_path: Path
) -> None:
    def fault(call: Asked) -> str | None:
        moved = call.kind == "picture" and len(house.of("picture")) == 1
        return "moved:/images/photos/1/photo-1260x840.jpg" if moved else None

    house.fault = fault
    drawn(service, tmp_path / "one.jpg")
    with Image.open(tmp_path / "one.jpg") as image:
        assert image.size == (1260, 840)
    house.fault = of_pictures("moved:/images/photos/1/photo-1260x840.jpg")
    assert refused(service, tmp_path / "two.jpg").code == "stock_picture_broken"
    assert len(house.of("picture")) == 2 + 1 + _stock.REDIRECTS


@both
def test_names_and_addresses_that_mean_harm_do_none(
    house: StockHouse, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.fault = of_searches("hostile")
    assert refused(service, tmp_path / "one.jpg").code == "stock_address_refused"
    monkeypatch.setattr(_stock, "download", lambda *given: None)
    picture = drawn(service, tmp_path / "one.jpg")
    assert picture.credit_url == ""
    assert picture.credit.isprintable()
    assert not {"<", ">"} & set(picture.credit)
    assert len(picture.credit) < 100


@both
def test_a_service_that_speaks_of_huge_pictures_is_not_believed(
    house: StockHouse, service: str
) -> None:
    chosen = _stock.Hit("https://x/1.jpg", "", "", 0, 0)
    good = _stock.Hit("https://x/2.jpg", "", "", 1920, 1080)
    tall = _stock.Hit("https://x/3.jpg", "", "", 1080, 1920)
    assert _stock._fitting([chosen, tall, good], wish()) == [good]
    assert _stock._fitting([chosen, tall], wish()) == [tall]
    vast = [_stock.Hit("https://x/4.jpg", "", "", *size) for size in ((10**400, 9), (9, 10**400))]
    assert _stock._fitting([*vast, good], wish()) == [good]
    assert _stock._fitting(vast, wish()) == []


@both
def test_no_password_of_another_program_is_sent(
    house: StockHouse, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password hunter2")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    drawn(service, tmp_path / "one.jpg")
    assert {call.kind for call in house.calls} == {"search", "picture"}
    assert house.violations == []
