"""Pictures of every kind and every fault a user may bring."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

import app
from app.errors import InputError
from app.media import contrast, fonts, pictures, styles, timeline
from app.media import framing as plans
from app.media.styles import Style
from app.models import Framing

PAPER = styles.load("paper")
WIDE = (1920, 1080)
SMALL = (480, 270)


def scene(width: int, height: int) -> Image.Image:
    """A picture whose four corners tell where they are: red, green, blue, white."""
    image = Image.new("RGB", (width, height), (90, 90, 90))
    w, h = width // 3, height // 3
    image.paste((230, 20, 20), (0, 0, w, h))
    image.paste((20, 230, 20), (width - w, 0, width, h))
    image.paste((20, 20, 230), (0, height - h, w, height))
    image.paste((245, 245, 245), (width - w, height - h, width, height))
    return image


def still(
    path: Path, size: tuple[int, int] = SMALL, framing: Framing = "auto", style: Style = PAPER
) -> Image.Image:
    target = path.with_name("still.png")
    plan = pictures.prepare(path, target, size=size, style=style, framing=framing)
    with Image.open(target) as image:
        image.load()
    assert image.mode == "RGB"
    usual = zip(image.size, pictures.canvas(size), plan.spread, strict=True)
    assert all(side == pytest.approx(base * more, abs=1.1) for side, base, more in usual)
    return image


def close(one: tuple[int, ...], other: tuple[int, ...], within: int = 14) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= within


def pixel(image: Image.Image, across: float, down: float) -> tuple[int, ...]:
    found = image.getpixel((int(across * (image.width - 1)), int(down * (image.height - 1))))
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (2304, 1296)),
        ((1080, 1920), (1296, 2304)),
        ((1080, 1080), (1296, 1296)),
        ((426, 240), (512, 288)),
    ],
)
def test_the_canvas_is_a_fifth_larger_and_even(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert pictures.canvas(size) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_upright_whatever_its_orientation(orientation: int, tmp_path: Path) -> None:
    undo = [None, 0, 3, 1, 5, 2, 6, 4]  # the transposition that a camera held so would have made
    upright = scene(640, 360)
    step = undo[orientation - 1]
    stored = upright if step is None else upright.transpose(Image.Transpose(step))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    image = still(tmp_path / "photo.jpg")
    assert close(pixel(image, 0.02, 0.02), (230, 20, 20))
    assert close(pixel(image, 0.98, 0.02), (20, 230, 20))
    assert close(pixel(image, 0.02, 0.98), (20, 20, 230))


def save_palette(path: Path) -> None:
    scene(640, 360).quantize(16).save(path, "PNG")


def save_gif(path: Path) -> None:
    later = Image.new("RGB", (640, 360), "black")
    scene(640, 360).save(path, "GIF", save_all=True, append_images=[later], duration=50)


def save_lossless_webp(path: Path) -> None:
    scene(640, 360).save(path, "WEBP", lossless=True)


def save_cmyk(path: Path) -> None:
    scene(640, 360).convert("CMYK").save(path, "JPEG", quality=95)


def save_tiff(path: Path) -> None:
    scene(640, 360).save(path, "TIFF")


def save_progressive(path: Path) -> None:
    scene(640, 360).save(path, "JPEG", quality=95, progressive=True)


def save_broken_profile(path: Path) -> None:
    scene(640, 360).save(path, "PNG", icc_profile=b"this is no profile")


@pytest.mark.parametrize(
    "write",
    [
        save_palette,
        save_gif,
        save_lossless_webp,
        save_cmyk,
        save_tiff,
        save_progressive,
        save_broken_profile,
    ],
)
def test_every_usual_kind_of_file_is_read(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "picture")
    pictures.check(tmp_path / "picture")
    image = still(tmp_path / "picture")
    assert close(pixel(image, 0.02, 0.02), (230, 20, 20), 30)
    assert close(pixel(image, 0.98, 0.98), (245, 245, 245), 30)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "I", "F"])
def test_grey_of_any_depth_keeps_its_tones(mode: str, tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 640), (360, 1))
    if mode == "1":
        image = Image.fromarray(ramp.astype(np.uint8)).convert("1")
    elif mode == "L":
        image = Image.fromarray(ramp.astype(np.uint8))
    elif mode == "I;16":
        image = Image.fromarray((ramp * 257).astype(np.uint16))
    elif mode == "I":
        image = Image.fromarray((ramp * 257).astype(np.int32))
    else:
        image = Image.fromarray((ramp / 255).astype(np.float32))
    image.save(tmp_path / "grey.tiff")
    made = np.asarray(still(tmp_path / "grey.tiff").convert("L"), dtype=float)
    thirds = np.array_split(made.mean(axis=0), 3)
    assert [round(float(third.mean()) / 42.5) for third in thirds] == [1, 3, 5]


def test_a_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.merge("LAB", [Image.new("L", (640, 360), level) for level in (137, 209, 195)]).save(
        tmp_path / "lab.tiff", icc_profile=lab
    )
    red, green, blue = pixel(still(tmp_path / "lab.tiff"), 0.5, 0.5)
    assert red > 200
    assert green < 60
    assert blue < 60


def test_transparency_stands_on_the_colour_of_the_style(tmp_path: Path) -> None:
    logo = Image.new("RGBA", (400, 300), (255, 0, 255, 0))
    logo.paste((200, 30, 30, 255), (100, 75, 300, 225))
    logo.save(tmp_path / "logo.png")
    image = still(tmp_path / "logo.png")
    assert close(pixel(image, 0.01, 0), PAPER.colours.background, 2)
    assert close(pixel(image, 0.01, 1), PAPER.colours.horizon, 2)
    assert close(pixel(image, 0.5, 0.5), (200, 30, 30))
    hidden = np.asarray(image).astype(int)
    assert not ((hidden[..., 0] > 240) & (hidden[..., 1] < 100)).any()  # the magenta stays hidden


def test_an_alpha_channel_that_hides_nothing_is_a_plain_picture(tmp_path: Path) -> None:
    scene(640, 360).convert("RGBA").save(tmp_path / "opaque.png")
    assert close(pixel(still(tmp_path / "opaque.png"), 0.02, 0.02), (230, 20, 20))


@pytest.mark.parametrize(
    ("picture", "frame"),
    [
        ((600, 1000), (480, 270)),
        ((1000, 260), (480, 270)),
        ((800, 800), (480, 270)),
        ((1600, 900), (270, 480)),
        ((1600, 900), (270, 270)),
        ((300, 3000), (270, 480)),
    ],
)
def test_a_picture_of_another_aspect_is_kept_whole_within_the_resting_frame(
    picture: tuple[int, int], frame: tuple[int, int], tmp_path: Path
) -> None:
    scene(*picture).save(tmp_path / "tall.png")
    made = np.asarray(still(tmp_path / "tall.png", frame, "blur")).astype(int)
    wide, high = pictures.canvas(frame)
    for colour in ((230, 20, 20), (20, 230, 20), (20, 20, 230), (245, 245, 245)):
        rows, columns = np.nonzero((abs(made - colour) < 20).all(axis=2))
        assert len(rows) > 200
        assert rows.min() >= (high - frame[1]) // 2
        assert rows.max() <= (high + frame[1]) // 2
        assert columns.min() >= (wide - frame[0]) // 2
        assert columns.max() <= (wide + frame[0]) // 2
    assert made[:4].mean() < 110  # the surround is darkened


@pytest.mark.parametrize("picture", [(1600, 1200), (1500, 1000), (1920, 1080), (2000, 1000)])
def test_a_picture_of_nearly_the_aspect_fills_the_canvas(
    picture: tuple[int, int], tmp_path: Path
) -> None:
    scene(*picture).save(tmp_path / "near.png")
    image = still(tmp_path / "near.png")
    assert close(pixel(image, 0, 0), (230, 20, 20))
    assert close(pixel(image, 1, 1), (245, 245, 245))


@pytest.mark.parametrize("picture", [(1, 1), (60, 40), (320, 180), (1, 500), (500, 1)])
def test_a_tiny_picture_is_framed_not_blown_up(picture: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", picture, (240, 200, 40)).save(tmp_path / "tiny.png")
    still(tmp_path / "tiny.png", (270, 480))
    image = np.asarray(still(tmp_path / "tiny.png", (960, 540), "blur")).astype(int)
    rows, columns = np.nonzero((abs(image - (240, 200, 40)) < 8).all(axis=2))
    assert 1 <= np.ptp(columns) + 1 <= 2 * picture[0]
    assert 1 <= np.ptp(rows) + 1 <= 2 * picture[1]


@pytest.mark.parametrize("size", [SMALL, (270, 480), (270, 270)])
def test_a_border_of_one_colour_goes_on_without_a_seam(
    size: tuple[int, int], tmp_path: Path
) -> None:
    plate = Image.new("RGB", (900, 700), (224, 231, 222))
    plate.paste(scene(300, 300), (300, 200))
    plate.save(tmp_path / "plate.png")
    image = np.asarray(still(tmp_path / "plate.png", size)).astype(int)
    away = abs(image - (224, 231, 222)).max(axis=2) > 2
    rows, columns = np.nonzero(away)
    high, wide = away.shape
    assert away.mean() > 0.02
    assert wide * 0.2 < columns.min() < columns.max() < wide * 0.8
    assert rows.max() < (high + size[1]) / 2 - PAPER.captions.zone * size[1]  # captions hide none


def screenshot() -> Image.Image:
    image = Image.new("RGB", (1440, 900), (246, 247, 249))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, 1440, 64), fill=(40, 44, 62))
    face = fonts.face("en", "regular", 30)
    for row in range(11):
        pen.text((90, 110 + 68 * row), f"Order {row}: two bowls, glazed, to be sent", "black", face)
    pen.text((1180, 110), "48.00 EUR", "black", face)
    return image


def test_a_page_to_read_is_never_cut_nor_under_captions(tmp_path: Path) -> None:
    screenshot().save(tmp_path / "page.png")
    plan = pictures.prepare(tmp_path / "page.png", tmp_path / "still.png", size=SMALL, style=PAPER)
    assert (plan.way, plan.window, plan.clear) == ("solid", (0, 0, 1, 1), True)
    with Image.open(tmp_path / "still.png") as image:
        bar = np.nonzero((abs(np.asarray(image).astype(int) - (40, 44, 62)) < 12).all(axis=2))
    assert np.ptp(bar[1]) == pytest.approx(1440 / 900 * 0.71 * 270, rel=0.05)


def test_the_ground_of_a_logo_lets_it_be_seen(tmp_path: Path) -> None:
    for style in map(styles.load, styles.names()):
        for ink in (style.colours.background, style.colours.ink):
            logo = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
            logo.paste((*ink, 255), (100, 75, 300, 225))
            logo.save(tmp_path / "logo.png")
            image = np.asarray(still(tmp_path / "logo.png", style=style))
            high, wide = image.shape[:2]
            light = contrast.luminance(image[[2, high // 2 - 20], [2, wide // 2]])
            assert contrast.ratio(*light) > 1.6


def spotted(width: int, height: int, at: tuple[int, int]) -> Image.Image:
    """A quiet gradient with one thing to look at."""
    rows = np.linspace(90, 130, height)[:, None, None]
    image = Image.fromarray(np.broadcast_to(rows, (height, width, 3)).astype(np.uint8))
    reach = min(width, height) // 8
    ImageDraw.Draw(image).ellipse(
        (at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach), fill=(230, 60, 20)
    )
    return image


@pytest.mark.parametrize(
    ("picture", "at", "size", "framing"),
    [
        ((1000, 1000), (500, 130), SMALL, "auto"),
        ((1000, 1000), (500, 870), SMALL, "auto"),
        ((1600, 900), (200, 450), (270, 270), "auto"),
        ((2400, 600), (2200, 300), (270, 480), "crop"),
        ((600, 2000), (300, 1800), SMALL, "crop"),
    ],
)
def test_a_crop_keeps_what_draws_the_eye(
    picture: tuple[int, int],
    at: tuple[int, int],
    size: tuple[int, int],
    framing: Framing,
    tmp_path: Path,
) -> None:
    spotted(*picture, at).save(tmp_path / "spot.png")
    image = np.asarray(still(tmp_path / "spot.png", size, framing)).astype(int)
    spot = (abs(image - (230, 60, 20)) < 40).all(axis=2)
    scale = max(side / extent for side, extent in zip(image.shape[1::-1], picture, strict=True))
    whole = np.pi * (min(picture) // 8 * scale) ** 2
    assert spot.sum() > 0.95 * whole
    assert image[:, :4].min() > 85  # it fills the canvas, nothing is darkened
    assert image[:, -4:].min() > 85


@pytest.mark.parametrize(
    ("picture", "spots", "size", "way"),
    [
        ((1600, 900), (800,), (270, 480), "crop"),  # filled, the view travels
        ((1600, 900), (420, 1180), (270, 480), "part"),  # both are seen, over a blurred ground
        ((900, 500), (450,), (1080, 1920), "part"),  # filled, its pixels would show
        ((640, 360), (320,), (1080, 1920), "blur"),
    ],
)
def test_the_fullest_view_is_taken_that_keeps_enough(
    picture: tuple[int, int], spots: tuple[int, ...], size: tuple[int, int], way: str
) -> None:
    image = spotted(*picture, (spots[0], picture[1] // 2))
    for across in spots[1:]:
        reach = picture[1] // 7
        box = (across - reach, picture[1] // 2 - reach, across + reach, picture[1] // 2 + reach)
        image.paste(spotted(*picture, (across, picture[1] // 2)).crop(box), box[:2])
    plan = plans.plan(image, pictures.canvas(size), framing="auto", zone=0.3)
    assert plan.way == way
    assert (plan.spread[0] > 1) == (way == "crop")
    for across in spots:
        assert plan.window.left < across / picture[0] < plan.window.right


@pytest.mark.parametrize(("far", "size"), [(1150, (540, 540)), (1450, (270, 480))])
def test_of_two_places_none_is_lost_in_any_style(far: int, size: tuple[int, int]) -> None:
    image = spotted(1600, 900, (330, 300))
    ImageDraw.Draw(image).rectangle((far - 30, 420, far, 700), fill=(250, 240, 200))
    for motion in (0.0, 0.5, 1.0):
        canvas = pictures.canvas(size)
        plan = plans.plan(image, canvas, framing="auto", zone=0.3, motion=motion)
        if plan.way == "blur":
            continue
        assert plan.window.left < 230 / 1600
        assert plan.window.right > far / 1600
        if plan.spread != (1.0, 1.0):
            ends = [
                timeline.moved(
                    "picture",
                    "ab" * 32,
                    200,
                    fps=30,
                    amount=motion,
                    keep=plan.keep,
                    spread=plan.spread,
                ).at(frame)
                for frame in (0, 199)
            ]
            assert ends[0].x > ends[1].x  # it ends on what draws the eye most
            assert ends[1].x - 0.5 / ends[1].zoom < 0.02
            assert ends[0].x + 0.5 / ends[0].zoom > 0.98


def test_the_edges_of_a_part_melt_into_its_own_colours(tmp_path: Path) -> None:
    image = Image.new("RGB", (900, 500), (120, 160, 210))
    image.paste((60, 110, 50), (0, 250, 900, 500))
    image.paste(spotted(900, 500, (450, 250)).crop((380, 180, 520, 320)), (380, 180))
    image.save(tmp_path / "p.png")
    plan = pictures.prepare(tmp_path / "p.png", tmp_path / "s.png", size=(540, 960), style=PAPER)
    assert plan.way == "part"
    with Image.open(tmp_path / "s.png") as opened:
        column = np.asarray(opened).astype(int)[:, 60]
    edges = [round(share * len(column)) for share in (plan.box.top, plan.box.bottom)]
    assert close(tuple(column[4]), (120, 160, 210), 60)  # the sky goes on above
    assert close(tuple(column[-5]), (60, 110, 50), 60)
    for edge in edges:
        assert abs(np.diff(column[edge - 20 : edge + 20], axis=0)).max() < 12


def test_a_crop_that_is_asked_for_stops_where_pixels_would_show(tmp_path: Path) -> None:
    scene(130, 73).save(tmp_path / "tiny.png")
    for framing in ("auto", "crop"):
        plan = pictures.prepare(
            tmp_path / "tiny.png", tmp_path / "s.png", size=(480, 270), style=PAPER, framing=framing
        )
        assert plan.way != "crop"


PREPARE = """
import resource, sys
from pathlib import Path
STATUS = Path("/proc/self/status")
from app.media import contrast, fonts, pictures, styles
from app.media.styles import Style
from app.models import Framing
def peak():
    if not STATUS.exists(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # ru_maxrss begins at the peak of who started us
    return int(STATUS.read_text().split("VmHWM:")[1].split()[0])
before = peak()
style = styles.load("paper")
pictures.prepare(Path(sys.argv[1]), Path(sys.argv[2]), size=(1920, 1080), style=style)
print(peak() - before)
"""


def used(path: Path) -> int:
    """The kilobytes that preparing a picture takes at its peak."""
    run = subprocess.run(  # a process of its own: earlier tests have raised this one's peak
        [sys.executable, "-c", PREPARE, path, path.with_name("still.jpg")],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(app.__file__).parents[1],
    )
    with Image.open(path.with_name("still.jpg")) as image:
        assert image.size == (2304, 1296)
    return int(run.stdout)


def test_a_huge_photo_is_decoded_small(tmp_path: Path) -> None:
    Image.new("L", (12_000, 12_000), 128).save(tmp_path / "huge.jpg", quality=30)
    assert used(tmp_path / "huge.jpg") < 110 * 1024  # in full it takes 144 MB, as RGB 432 MB


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "size"), [("RGBA", 4), ("I;16", 2)])
def test_a_huge_picture_is_held_in_memory_once(mode: str, size: int, tmp_path: Path) -> None:
    Image.new(mode, (8000, 8000), 99).save(tmp_path / "huge.png", compress_level=1)
    assert used(tmp_path / "huge.png") < size * 64_000_000 // 1024 + 130 * 1024


def bomb(path: Path, side: int) -> None:
    """A well-formed PNG of `side`² black pixels in a few kilobytes of header and zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.png", 50_000)
    with pytest.raises(InputError) as caught:
        pictures.check(tmp_path / "bomb.png")
    assert caught.value.code == "picture_too_large"
    assert "50000 × 50000" in caught.value.message


def write_text(path: Path) -> None:
    path.write_text("I am not a picture.", encoding="utf-8")


def write_truncated(path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-20_000])


def write_truncated_png(path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:-20_000])


def write_svg(path: Path) -> None:
    path.write_text('<?xml version="1.0"?>\n<SVG xmlns="http://www.w3.org/2000/svg"/>', "utf-8")


def write_heic(path: Path) -> None:
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(400))


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (write_text, "picture_unreadable"),
        (write_truncated, "picture_unreadable"),
        (write_truncated_png, "picture_unreadable"),
        (write_heic, "picture_unreadable"),
        (write_svg, "picture_vector"),
        (Path.touch, "picture_empty"),
        (Path.mkdir, "picture_not_a_file"),
        (lambda path: None, "picture_missing"),
    ],
)
@pytest.mark.parametrize("ask", ["check", "prepare"])
def test_what_is_no_picture_is_a_clear_error(
    write: Callable[[Path], None], code: str, ask: str, tmp_path: Path
) -> None:
    path = tmp_path / "view.png"
    write(path)
    target = tmp_path / "still.jpg"
    calls = {
        "check": lambda: pictures.check(path),
        "prepare": lambda: pictures.prepare(path, target, size=SMALL, style=PAPER),
    }
    with pytest.raises(InputError) as caught:
        calls[ask]()
    assert caught.value.code == code
    assert "'view.png'" in caught.value.message
    assert caught.value.hint
    assert str(tmp_path) not in str(caught.value)
    assert not target.exists()


def test_what_a_telephone_or_a_download_gives_is_named(tmp_path: Path) -> None:
    given = {
        "HEIC": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(400),
        "web page": b"\n<!DOCTYPE html><title>404</title>",
        "PDF": b"%PDF-1.7\n" + bytes(300),
    }
    for name, content in given.items():
        (tmp_path / "view.jpg").write_bytes(content)
        with pytest.raises(InputError, match=name) as caught:
            pictures.check(tmp_path / "view.jpg")
        assert caught.value.code == "picture_unreadable"
        assert "JPEG" in caught.value.hint
    (tmp_path / "view.jpg").write_bytes(b"\x00\x00\x00\x20ftypavif" + bytes(400))
    with pytest.raises(InputError, match="damaged"):
        pictures.check(tmp_path / "view.jpg")


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "view.png")
    with pytest.raises(InputError) as caught:
        pictures.check(tmp_path / "view.png")
    assert caught.value.code == "picture_not_a_file"


def test_the_same_picture_gives_the_same_bytes_as_png_or_jpeg(tmp_path: Path) -> None:
    scene(300, 500).save(tmp_path / "a.png")
    for name, kind in (("one.png", "PNG"), ("one.jpg", "JPEG"), ("one.partial", "JPEG")):
        made = []
        for _ in range(2):
            pictures.prepare(tmp_path / "a.png", tmp_path / name, size=SMALL, style=PAPER)
            made.append((tmp_path / name).read_bytes())
        assert made[0] == made[1]
        with Image.open(tmp_path / name) as image:
            assert image.format == kind
