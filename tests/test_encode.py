"""Segments and the finished file, looked at through FFmpeg's own decoder."""

from __future__ import annotations

import hashlib
import itertools
import re
import tracemalloc
import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from app.errors import MediaError
from app.media import encode, ffmpeg, pictures, styles, timeline
from app.media.captions import Cue, Mark, Painter
from app.media.compositor import Compositor, Frame, planes
from app.media.timeline import Motion, Pose, Segment

pytestmark = pytest.mark.ffmpeg

SIZE = (320, 180)
CANVAS = pictures.canvas(SIZE)
STYLE = styles.load("paper")
LOOK = {"size": SIZE, "style": STYLE, "language": "en"}

Picture = NDArray[np.uint8]


def photograph(seed: int) -> Picture:
    """Return something with large forms and fine detail."""
    random = np.random.default_rng(seed)
    image = np.full((CANVAS[1], CANVAS[0], 3), 128, np.float64)
    for blur, strength in ((30, 60), (8, 30), (1, 10)):
        noise = cv2.GaussianBlur(random.standard_normal(image.shape), (0, 0), blur)
        image += strength * noise / noise.std()
    return image.clip(0, 255).astype(np.uint8)


def saved(folder: Path, name: str, image: Picture) -> tuple[Path, str]:
    path = folder / f"{name}.png"
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def segment(folder: Path, image: Picture, frames: int = 45, **changes: object) -> Segment:
    """Return a segment that shows the middle of `image`, still, unless `changes` say otherwise."""
    path, digest = saved(folder, "canvas", image)
    still = Pose(timeline.NATIVE)
    plain = Segment(
        id="s",
        first=0,
        frames=frames,
        fps=30,
        picture=path,
        picture_sha256=digest,
        motion=Motion(still, still, frames, 0),
        previous=None,
        transition=0,
        fade_out=0,
        cues=(),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def story(folder: Path) -> list[Segment]:
    """Return three segments, moving, one fading into the next, captions on them."""
    style = replace(STYLE, transition=replace(STYLE.transition, seconds=0.5))
    cue = Cue(0.6, 1.2, ("one two",), (Mark(0.6, 0.8, 0, 0, 3), Mark(0.9, 1.2, 0, 4, 7)))
    scenes = []
    for number in range(3):
        path, digest = saved(folder, f"canvas{number}", photograph(number))
        scenes.append(timeline.SceneTake(f"s{number}", path, digest, "picture", ()))
    made = timeline.plan(scenes, fps=30, size=SIZE, style=style, language="en").segments
    lengths = (31, 47, 64)
    return [
        replace(part, frames=length, cues=(cue,), motion=replace(part.motion, frames=length))
        for part, length in zip(made, lengths, strict=True)
    ]


def encoded(part: Segment, target: Path, *, captions: bool = True) -> Path:
    encode.segment(
        part, target, size=SIZE, style=STYLE, language="en", captions=captions, report=None
    )
    return target


def tone(path: Path, seconds: float, at: float = 0.5) -> Path:
    """Write an .m4a of silence with a click at `at`."""
    samples = np.zeros(round(seconds * 48_000), np.int16)
    samples[round(at * 48_000) :][:480] = 20_000
    with wave.open(str(path.with_suffix(".wav")), "wb") as file:
        file.setparams((1, 2, 48_000, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    ffmpeg.run(["-i", path.with_suffix(".wav"), "-ac", "2", "-c:a", "aac", "-f", "mp4", path])
    return path


def joined(folder: Path, parts: Sequence[Segment]) -> Path:
    files = [encoded(part, folder / f"{n}.part") for n, part in enumerate(parts)]
    frames = [part.frames for part in parts]
    sound = tone(folder / "sound.m4a", sum(frames) / 30)
    encode.join(files, sound, folder / "video.mp4", frames=frames)
    return folder / "video.mp4"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole video of three scenes; its segments lie beside it."""
    folder = tmp_path_factory.mktemp("film")
    return joined(folder, story(folder))


FRAMES = 31 + 47 + 64


def decoded(path: Path, size: tuple[int, int] = SIZE, pixels: str = "yuv420p") -> Picture:
    """Return all frames as FFmpeg's decoder gives them, one row of bytes each."""
    raw = path.with_suffix(f".{pixels}")
    strict = ("-xerror", "-err_detect", "explode")
    ffmpeg.run([*strict, "-i", path, "-map", "0:v", "-f", "rawvideo", "-pix_fmt", pixels, raw])
    channels = {"yuv420p": 1.5, "rgb24": 3}[pixels]
    data = np.frombuffer(raw.read_bytes(), np.uint8)
    return data.reshape(-1, round(size[0] * size[1] * channels))


def luma(frames: Picture) -> Picture:
    return frames[:, : SIZE[0] * SIZE[1]].reshape(-1, SIZE[1], SIZE[0])


def drawn(part: Segment, *, captions: bool = True) -> Picture:
    """Return all frames as the compositor draws them."""
    compositor = Compositor(part, size=SIZE, style=STYLE, language="en", captions=captions)
    return np.stack([np.frombuffer(frame, np.uint8).copy() for frame in compositor.frames()])


def test_every_frame_has_its_own_time(film: Path) -> None:
    log = ffmpeg.run(["-xerror", "-i", film, "-map", "0:v", "-vf", "showinfo", "-f", "null", "-"])
    clock = re.search(r"config in time_base: (\d+)/(\d+)", log)
    assert clock is not None
    tick = int(clock[1]) / int(clock[2])
    times = [int(found) * tick for found in re.findall(r"n: *\d+ pts: *(\d+)", log)]
    assert times == pytest.approx([n / 30 for n in range(FRAMES)], abs=1e-9)


def test_joining_keeps_every_pixel(film: Path) -> None:
    whole = decoded(film)
    alone = np.concatenate([decoded(film.with_name(f"{n}.part")) for n in range(3)])
    assert len(whole) == FRAMES
    assert np.array_equal(whole, alone)


def test_many_short_segments_stay_in_step(tmp_path: Path) -> None:
    """A frame is no whole number of the joiner's microseconds; nothing may add up."""
    file = encoded(segment(tmp_path, photograph(0), frames=7), tmp_path / "a.part")
    sound = tone(tmp_path / "sound.m4a", 200 * 7 / 30)
    encode.join([file] * 200, sound, tmp_path / "video.mp4", frames=[7] * 200)
    listed = tmp_path / "packets"
    copied = ("-map", "0:v", "-c", "copy", "-f", "framecrc")
    ffmpeg.run(["-i", tmp_path / "video.mp4", *copied, listed])
    rows = [row.split(",") for row in listed.read_text().splitlines() if row[0] != "#"]
    decode, show = ([int(row[column]) for row in rows] for column in (1, 2))
    assert sorted(show) == [n * 512 for n in range(1400)]
    assert {after - before for before, after in itertools.pairwise(decode)} == {512}


def test_the_file_is_what_players_expect(film: Path) -> None:
    said = ffmpeg._output([ffmpeg.binary(), "-hide_banner", "-i", film])
    assert "h264 (High)" in said
    assert "yuv420p(tv, bt709, progressive)" in said
    assert "30 fps, 30 tbr" in said
    assert "aac (LC)" in said
    assert "48000 Hz, stereo" in said
    assert "encoder" not in said
    data = film.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert data[data.index(b"colr") :][4:14] == b"nclx\0\1\0\1\0\1"  # BT.709 three times


def test_groups_of_pictures_are_closed_and_short(tmp_path: Path) -> None:
    part = segment(tmp_path, photograph(1), frames=130)
    path = encoded(part, tmp_path / "a.part")
    log = ffmpeg.run(["-i", path, "-vf", "showinfo", "-f", "null", "-"])
    kinds = re.findall(r"iskey:(\d) type:(\w)", log)
    assert [n for n, (key, _) in enumerate(kinds) if key == "1"] == [0, 60, 120]
    cut = tmp_path / "cut.mp4"
    ffmpeg.run(["-ss", "2", "-i", path, "-c", "copy", "-f", "mp4", cut])
    assert np.array_equal(decoded(cut), decoded(path)[60:])


def test_sound_and_picture_start_and_end_together(film: Path) -> None:
    heard = film.with_name("heard.wav")
    ffmpeg.run(["-i", film, "-map", "0:a", "-ac", "1", heard])
    with wave.open(str(heard)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert abs(len(samples) / 48_000 - FRAMES / 30) < 1 / 30
    assert np.argmax(np.abs(samples) > 8000) == pytest.approx(24_000, abs=48)
    log = ffmpeg._output([ffmpeg.binary(), "-hide_banner", "-i", film])
    assert "start: 0.000000" in log
    assert ffmpeg.probe(film).duration == pytest.approx(FRAMES / 30, abs=0.034)


PATCHES = [
    *((0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255)),
    *((200, 80, 30), (30, 120, 200), (250, 240, 200), (60, 40, 80), (100, 180, 90), (16, 16, 16)),
]


def test_colours_come_back(tmp_path: Path) -> None:
    image = np.zeros((CANVAS[1], CANVAS[0], 3), np.uint8)
    places = []
    for number, colour in enumerate(PATCHES):
        x, y = 40 + number % 4 * 76, 30 + number // 4 * 52
        cv2.rectangle(image, (x, y), (x + 75, y + 51), colour, -1)
        places.append((x + 38 - 32, y + 26 - 18))  # a canvas of 384 × 216 round 320 × 180
    path = encoded(segment(tmp_path, image, frames=5), tmp_path / "a.part")
    raw = tmp_path / "a.rgb"
    exact = "scale=flags=accurate_rnd+full_chroma_int:in_color_matrix=bt709,format=rgb24"
    ffmpeg.run(["-i", path, "-vf", exact, "-f", "rawvideo", raw])
    shown = np.frombuffer(raw.read_bytes(), np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)[-1]
    for colour, (x, y) in zip(PATCHES, places, strict=True):
        seen = shown[y - 8 : y + 8, x - 12 : x + 12].astype(int)
        assert np.abs(seen - colour).max(axis=(0, 1)).max() <= 2, (colour, seen[8, 12])


def test_chroma_is_sited_left() -> None:
    """A colour edge lies where the luma edge is: the sample at column 2i is taken from there."""
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = (255, 0, 0)
    _, _, cr = planes(image)
    ramp = (cr[0].astype(float) - 128) / (cr[0, -1] - 128)
    assert ramp.tolist() == pytest.approx([0, 0, 0, 0, 0.75, 1, 1, 1], abs=0.02)


def test_motion_is_smooth_to_a_tenth_of_a_pixel(tmp_path: Path) -> None:
    across, down = np.meshgrid(np.arange(CANVAS[0]), np.arange(CANVAS[1]))
    spot = np.array([150.0, 120.0])
    bump = 200 * np.exp(-((across - spot[0]) ** 2 + (down - spot[1]) ** 2) / (2 * 6.0**2))
    image = np.repeat((20 + bump)[..., None], 3, axis=2).astype(np.uint8)
    motion = timeline.moved("picture", "03" * 32, 90, fps=30, amount=1)
    part = segment(tmp_path, image, frames=90, motion=motion)
    frames = luma(drawn(part)).astype(float)
    off = []
    for number, frame in enumerate(frames):
        pose, weight = motion.at(number), (frame - frame.min()) ** 2
        seen = [
            (weight * axis[: SIZE[1], : SIZE[0]]).sum() / weight.sum() for axis in (across, down)
        ]
        scale = SIZE[0] * pose.zoom / CANVAS[0]
        centre = np.array([pose.x * CANVAS[0], pose.y * CANVAS[1]])
        meant = (spot + 0.5 - centre) * scale + np.array(SIZE) / 2 - 0.5
        off.append(np.array(seen) - meant)
    steps = np.diff(np.array(off), axis=0)
    assert np.sqrt((np.array(off) ** 2).mean()) < 0.1
    assert np.sqrt((steps**2).mean()) < 0.1
    assert np.ptp([motion.at(0).x, motion.at(89).x]) * CANVAS[0] > 5


def test_a_card_at_rest_is_pixel_for_pixel_the_card(tmp_path: Path) -> None:
    image = photograph(5)
    frames = drawn(segment(tmp_path, image, frames=3))
    frame = Frame(SIZE)
    for plane, whole, edge in zip(
        frame.planes, planes(image), ((32, 18), (16, 9), (16, 9)), strict=True
    ):
        rows, columns = plane.shape
        plane[:] = whole[edge[1] : edge[1] + rows, edge[0] : edge[0] + columns]
    assert np.array_equal(frames[2], frame.buffer)


def test_a_scene_fades_in_over_the_end_of_the_one_before(tmp_path: Path) -> None:
    first, second, _ = story(tmp_path)
    end = drawn(replace(first, cues=()))[-1].astype(int)
    frames = drawn(replace(second, cues=())).astype(int)
    alone = drawn(replace(second, cues=(), previous=None, transition=0)).astype(int)
    assert second.transition == 15
    assert np.abs(frames[0] - end).mean() < 2
    middle = (end + alone[7]) / 2
    assert np.abs(frames[7] - middle).max() <= 2
    assert np.array_equal(frames[15:], alone[15:])


def test_the_end_fades_to_black(tmp_path: Path) -> None:
    last = replace(story(tmp_path)[2], cues=())
    frames = drawn(last)
    levels = luma(frames).mean(axis=(1, 2))
    assert last.fade_out == 15
    assert (np.diff(levels[-15:]) < 0).all()
    assert np.unique(luma(frames)[-1]).tolist() == [16]
    assert np.unique(frames[-1][SIZE[0] * SIZE[1] :]).tolist() == [128]


def test_captions_change_nothing_outside_their_box(tmp_path: Path) -> None:
    part = replace(story(tmp_path)[0], fade_out=0)
    cue = part.cues[0]
    with_them, without = (
        luma(drawn(part)).astype(int),
        luma(drawn(part, captions=False)).astype(int),
    )
    changed = np.abs(with_them - without)
    assert changed[:18].max() == 0  # the cue starts at 0.6 s
    raster = Painter(style=STYLE, language="en", size=SIZE).raster(cue, 0.6)
    rows, columns = raster.pixels.shape[:2]
    box = np.zeros(changed.shape[1:], bool)
    box[raster.y : raster.y + rows, raster.x : raster.x + columns] = True
    assert changed[20][~box].max() == 0
    assert changed[20][box].mean() > 20
    assert np.abs(with_them[20] - with_them[28])[box].max() > 30  # another word is marked


def test_a_caption_is_laid_over_as_its_opacity_says(tmp_path: Path) -> None:
    white = np.full((CANVAS[1], CANVAS[0], 3), 255, np.uint8)
    cue = Cue(0, 2, ("x",), ())
    frame = luma(drawn(segment(tmp_path, white, frames=1, cues=(cue,))))[0]
    raster = Painter(style=STYLE, language="en", size=SIZE).raster(cue, 0)
    inside = frame[raster.y + 3, raster.x + raster.pixels.shape[1] // 2]
    look = STYLE.captions
    box = np.array(look.box) * look.opacity + 255 * (1 - look.opacity)
    assert inside == pytest.approx(16 + box @ [0.2126, 0.7152, 0.0722] * 219 / 255, abs=2)


def test_the_same_segment_gives_the_same_file(tmp_path: Path) -> None:
    part = story(tmp_path)[1]
    files = [encoded(part, tmp_path / name).read_bytes() for name in ("a.part", "b.part")]
    assert files[0] == files[1]


def test_progress_is_reported_and_may_stop_the_work(tmp_path: Path) -> None:
    part = segment(tmp_path, photograph(0), frames=45)
    seen: list[float] = []
    encode.segment(part, tmp_path / "a", **LOOK, captions=True, report=seen.append)  # type: ignore[arg-type]
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def stop(_: float) -> None:
        raise InterruptedError

    endless = segment(tmp_path, photograph(0), frames=10**6)
    with pytest.raises(InterruptedError):
        encode.segment(endless, tmp_path / "b", **LOOK, captions=True, report=stop)  # type: ignore[arg-type]
    left = [child.name() for child in psutil.Process().children(recursive=True)]
    assert not [name for name in left if "ffmpeg" in name]


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_broken_canvas_is_a_clear_error(tmp_path: Path, content: bytes | None) -> None:
    part = segment(tmp_path, photograph(0))
    part.picture.unlink()
    if content is not None:
        part.picture.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        encoded(part, tmp_path / "a.part")
    assert caught.value.code == "canvas_unusable"


def test_a_canvas_smaller_than_the_frame_is_a_clear_error(tmp_path: Path) -> None:
    part = segment(tmp_path, photograph(0)[:100, :100])
    with pytest.raises(MediaError, match="smaller than the frame"):
        encoded(part, tmp_path / "a.part")


def test_names_of_folders_are_no_syntax(tmp_path: Path) -> None:
    folder = tmp_path / "it's a \\ %d 'folder' [x] # é 影片"
    folder.mkdir()
    assert joined(folder, story(folder)[:1]).stat().st_size > 1000


def test_a_missing_segment_is_an_error(tmp_path: Path) -> None:
    sound = tone(tmp_path / "sound.m4a", 1)
    with pytest.raises(MediaError):
        encode.join([tmp_path / "gone"], sound, tmp_path / "video.mp4", frames=[30])


def test_nothing_to_join_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        encode.join([], tmp_path / "sound.m4a", tmp_path / "video.mp4", frames=[])
    assert caught.value.code == "nothing_to_join"


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    def peak(frames: int) -> int:
        cues = tuple(
            Cue(n / 2, n / 2 + 0.5, (f"number {n}",), (Mark(n / 2, n / 2 + 0.4, 0, 0, 6),))
            for n in range(frames // 15)
        )
        part = segment(tmp_path, photograph(0), frames=frames, cues=cues)
        compositor = Compositor(part, size=SIZE, style=STYLE, language="en", captions=True)
        tracemalloc.start()
        for _ in compositor.frames():
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(30)
    assert peak(600) < 1.1 * peak(60)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["16:9", "9:16", "1:1"])
def test_full_size_frames_of_every_shape(tmp_path: Path, shape: str) -> None:
    from app.models import FRAME_SIZES

    size = FRAME_SIZES[shape]
    width, height = pictures.canvas(size)
    path, digest = saved(tmp_path, "c", cv2.resize(photograph(2), (width, height)))
    scenes = [timeline.SceneTake(name, path, digest, "picture", ()) for name in "ab"]
    made = timeline.plan(scenes, fps=30, size=size, style=STYLE, language="zh-TW")
    target = tmp_path / "a.part"
    encode.segment(
        made.segments[1], target, size=size, style=STYLE, language="zh-TW", captions=True
    )
    info = ffmpeg.probe(target)
    assert (info.width, info.height, info.fps) == (*size, 30)
    assert info.duration == pytest.approx(made.segments[1].frames / 30, abs=0.01)
