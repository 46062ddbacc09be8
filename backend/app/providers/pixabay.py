"""Photographs of Pixabay, found by a scene's keywords (pixabay.com/api/docs)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from app.models import Shape
from app.providers import PictureRequest, _stock
from app.providers._stock import Hit, Stock

ORIENTATIONS: dict[Shape, str] = {"16:9": "horizontal", "9:16": "vertical", "1:1": "all"}
LEAST = {"16:9": (1280, 720), "9:16": (720, 1280), "1:1": (1024, 1024)}
"""Least width and height that are searched for."""


class _Hit(BaseModel):
    """As much of a picture's facts as is used; keys with full access have `fullHDURL` as well."""

    page: str = Field(default="", alias="pageURL")
    user: str = ""
    large: str = Field(alias="largeImageURL")
    full: str = Field(default="", alias="fullHDURL")
    width: int = Field(alias="imageWidth")
    height: int = Field(alias="imageHeight")


_HITS = TypeAdapter(list[_Hit])


class PixabayPictures(Stock):
    """Searches Pixabay; who uploaded a picture is credited."""

    name: ClassVar[str] = "pixabay"
    title: ClassVar[str] = "Pixabay"
    site: ClassVar[str] = "pixabay.com"

    def base(self) -> str:
        return _stock.get().pixabay_base_url

    def hits(self, terms: str, request: PictureRequest) -> list[Hit]:
        width, height = LEAST[request.shape]
        asked: dict[str, str | int] = {
            "q": terms,
            "lang": "en" if _stock.is_english(terms) else request.language.partition("-")[0],
            "image_type": "photo",
            "orientation": ORIENTATIONS[request.shape],
            "min_width": width,
            "min_height": height,
            "safesearch": "true",
            "per_page": _stock.PER_PAGE,
        }
        # it takes its key in no header
        key = _stock.key(self, _stock.get().pixabay_api_key)
        answer = _stock.search(self, "/api/", asked, secret={"key": key})
        try:
            found = _HITS.validate_python(answer.get("hits"))
        except ValidationError:
            raise _stock.unreadable(self) from None
        return [Hit(h.full or h.large, h.page, h.user, h.width, h.height) for h in found]


def ready() -> None:
    """Make sure there is a key; sends nothing.

    Raises:
        InputError: `stock_key_missing`.
    """
    _stock.key(PixabayPictures(), _stock.get().pixabay_api_key)
