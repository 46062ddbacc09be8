"""Photographs of Pexels, found by a scene's keywords (pexels.com/api/documentation)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from app.models import Language, Shape
from app.providers import PictureRequest, _stock
from app.providers._stock import Hit, Stock

ORIENTATIONS: dict[Shape, str] = {"16:9": "landscape", "9:16": "portrait", "1:1": "square"}


class _Sources(BaseModel):
    original: str = ""
    large2x: str = ""


class _Photo(BaseModel):
    """As much of a photograph's facts as is used."""

    width: int
    height: int
    url: str = ""
    photographer: str = ""
    src: _Sources

    @property
    def picture(self) -> str:
        """The whole picture, or a smaller version of a very large one."""
        small = self.width * self.height <= _stock.MAX_PIXELS
        return self.src.original if small else self.src.large2x or self.src.original


_LOCALES: dict[Language, str] = {"en": "en-US", "zh-TW": "zh-TW", "ja": "ja-JP"}
_PHOTOS = TypeAdapter(list[_Photo])


class PexelsPictures(Stock):
    """Searches Pexels; its photographers are credited."""

    name: ClassVar[str] = "pexels"
    title: ClassVar[str] = "Pexels"
    site: ClassVar[str] = "pexels.com"

    def base(self) -> str:
        return _stock.get().pexels_base_url

    def hits(self, terms: str, request: PictureRequest) -> list[Hit]:
        asked: dict[str, str | int] = {
            "query": terms,
            "orientation": ORIENTATIONS[request.shape],
            "size": "small",  # 4 megapixels at least
            "per_page": _stock.PER_PAGE,
        }
        if not _stock.is_english(terms):
            asked["locale"] = _LOCALES[request.language]
        key = _stock.key(self, _stock.get().pexels_api_key)
        answer = _stock.search(self, "/v1/search", asked, headers={"Authorization": key})
        try:
            photos = _PHOTOS.validate_python(answer.get("photos"))
        except ValidationError:
            raise _stock.unreadable(self) from None
        return [Hit(p.picture, p.url, p.photographer, p.width, p.height) for p in photos]


def ready() -> None:
    """Make sure there is a key; sends nothing.

    Raises:
        InputError: `stock_key_missing`.
    """
    _stock.key(PexelsPictures(), _stock.get().pexels_api_key)
