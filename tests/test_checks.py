"""What `check` finds in a film: nothing in a good one, and each fault that is planted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import _films
from _films import Film
from app import settings
from app.errors import MediaError
from app.media import checks, thumbnail, tracks
from app.media.captions import Cue, Painter
from app.media.cards.sheet import Placed, Sheet
from app.media.checks import Meant, Row, ink, poster, words
from app.media.checks._play import play
from app.media.checks._views import Views
from app.media.checks.motion import Jitter
from app.media.checks.offset import Lags
from app.media.checks.pauses import Pauses
from app.media.checks.sound import Ear
from app.media.compositor import Compositor, Frame, Overlay
from app.media.lettering import Run
from app.media.timeline import Motion, Pose, Segment

pytestmark = pytest.mark.ffmpeg
whole_film = pytest.mark.slow
"""Needs a film, which takes its time to be made."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Film]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("X264_PRESET", "ultrafast")
        settings.get.cache_clear()
        yield _films.good(tmp_path_factory.mktemp("film"))
    settings.get.cache_clear()


@pytest.fixture(scope="module")
def meant(tmp_path_factory: pytest.TempPathFactory) -> Meant:
    """What a film was to be that nobody has made."""
    folder = tmp_path_factory.mktemp("meant")
    return _films.meant(folder, _films.planned(folder))


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X264_PRESET", "ultrafast")
    settings.get.cache_clear()


def failed(path: Path, meant: Meant, *only: str) -> dict[str, Row]:
    """Return what is wrong with a film, by its name; each says what to do."""
    groups: Collection[str] = only or checks.GROUPS
    rows = [row for row in checks.film(path, meant, only=groups) if row.verdict == "fail"]
    assert all(row.says.endswith(".") for row in rows)
    return {row.name: row for row in rows}


@whole_film
def test_a_good_film_passes_in_every_row(film: Film) -> None:
    done: list[float] = []
    rows = checks.film(film.path, film.meant, report=done.append)
    assert [row for row in rows if row.verdict != "pass"] == []
    assert {row.group for row in rows} == set(checks.GROUPS) - {"thumbnail"}  # it has none
    assert done == sorted(done)
    assert done[-1] == 1


@whole_film
def test_the_quick_check_says_the_same_of_a_film_not_decoded(film: Film) -> None:
    whole = {row.name: row for row in checks.film(film.path, film.meant, only=("text", "captions"))}
    quick = {row.name: row for row in checks.quick(film.meant)}
    assert {row.verdict for row in quick.values()} == {"pass"}
    assert set(whole) < set(quick)
    contrast = "contrast of captions"
    assert float(quick[contrast].value) == pytest.approx(float(whole[contrast].value), rel=0.1)


@whole_film
@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ("volume=4dB", {"loudness"}),
        ("volume=18dB,alimiter=limit=1:level=0", {"loudness", "true peak"}),
        ("volume=24dB", {"loudness", "true peak", "clipping", "waves cut off, then turned down"}),
        ("volume=0:enable='between(t,2.5,2.62)'", {"digital zero"}),
        ("volume=0:enable='between(t,3,5.2)'", {"digital zero", "sentences heard"}),
        ("volume=0:enable='between(t,2.5,2.54)'", {"digital zero"}),
        ("adelay=200:all=1", {"voice against its captions", "sound and picture end together"}),
        ("adelay=40:all=1", {"voice against its captions", "sound and picture end together"}),
        ("pan=stereo|c0=0*c0|c1=c1", {"left side against right"}),
        ("pan=stereo|c0=c0|c1=-1*c1", {"lost on one loudspeaker", "sentences heard"}),
        ("pan=mono|c0=c0,aresample=44100", {"format of the sound"}),
    ],
)
def test_faults_of_the_sound_are_found(
    film: Film, tmp_path: Path, filters: str, names: set[str]
) -> None:
    path = _films.resounded(film, tmp_path, filters)
    found = failed(path, film.meant, "sound", "offset", "picture")
    secondary = {"true peak", "digital zero", "loudness", "clicks between sentences"}
    secondary |= {"silence where sound is due", "voice as it was spoken"}
    assert names <= set(found) <= names | secondary


@whole_film
def test_a_sound_that_starts_late_is_found(film: Film, tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    late = ("-itsoffset", "0.2", "-i", film.path, "-map", "0:v", "-map", "1:a", "-c", "copy")
    _films.ffmpeg.run(["-i", film.path, *late, "-movflags", "+faststart", path])
    found = failed(path, film.meant, "offset", "picture")
    assert {"sound and picture begin together", "voice against its captions"} <= set(found)
    assert float(found["voice against its captions"].value) == pytest.approx(200, abs=5)


@whole_film
def test_a_sound_that_is_cut_off_is_found(film: Film, tmp_path: Path) -> None:
    tone = "sine=frequency=220:sample_rate=48000"
    path = tmp_path / "cut.mp4"
    sound = (
        "-f",
        "lavfi",
        "-i",
        tone,
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-t",
        f"{film.meant.plan.seconds}",
    )
    _films.ffmpeg.run(["-i", film.path, *sound, "-c:v", "copy", "-c:a", "aac", path])
    assert "last sound before the end" in failed(path, film.meant, "sound")


@whole_film
def test_black_frames_are_found(film: Film, tmp_path: Path) -> None:
    black = "drawbox=color=black:t=fill:enable='eq(n,60)'"
    found = failed(_films.repainted(film, tmp_path, black), film.meant, "picture")
    assert found["black"].value == pytest.approx(1 / 30, abs=0.01)
    assert "0:02.0, in scene s0" in found["black"].says


@whole_film
@pytest.mark.parametrize(
    "filters",
    [
        "drawbox=color=white:t=fill:enable='eq(n,60)'",
        "hue=h=90:enable='between(n,50,60)'",
        "eq=brightness=-0.1",
    ],
)
def test_frames_unlike_their_pictures_are_found(film: Film, tmp_path: Path, filters: str) -> None:
    found = failed(_films.repainted(film, tmp_path, filters), film.meant, "picture")
    assert set(found) == {"frames against their pictures"}
    assert film.meant.plan.size == _films.SIZE


@whole_film
@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("-vf", "scale=320:180"), "size of a frame"),
        (("-vf", "setsar=4/3"), "size of a frame"),
        (("-vf", "setparams=colorspace=smpte170m", "-colorspace", "smpte170m"), "format"),
        (("-pix_fmt", "yuv444p", "-profile:v", "high444"), "format"),
    ],
)
def test_pictures_of_another_form_are_found(
    film: Film, tmp_path: Path, options: tuple[str, ...], name: str
) -> None:
    path = tmp_path / "form.mp4"
    kept = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy", "-movflags", "+faststart")
    _films.ffmpeg.run(["-i", film.path, *kept, *options, path])
    assert set(failed(path, film.meant, "picture")) == {name}


@whole_film
def test_a_damaged_film_is_found_and_one_without_sound_refused(film: Film, tmp_path: Path) -> None:
    path, data = tmp_path / "damaged.mp4", bytearray(film.path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(byte ^ 90 for byte in data[middle : middle + 3000])
    path.write_bytes(data)
    assert "damaged places" in failed(path, film.meant, "picture")
    _films.ffmpeg.run(["-i", film.path, "-an", "-c", "copy", tmp_path / "mute.mp4"])
    with pytest.raises(MediaError, match="has no sound"):
        checks.film(tmp_path / "mute.mp4", film.meant)


@dataclass(frozen=True)
class Shaky(Motion):
    """The same way, but every other frame lies half a pixel aside."""

    def at(self, frame: int) -> Pose:
        pose = super().at(frame)
        return replace(pose, x=pose.x + (frame % 2) * 0.5 / 576)


@whole_film
def test_a_scene_that_stands_still_is_found(film: Film, tmp_path: Path) -> None:
    first, second = film.meant.plan.segments
    still = replace(second.motion, start=second.motion.end)
    plan = replace(film.meant.plan, segments=(first, replace(second, motion=still)))
    found = failed(_films.refilmed(film, tmp_path, plan), film.meant, "picture", "motion")
    assert "scene s1" in found["frozen"].says.lower()


def test_jitter_is_found(meant: Meant) -> None:
    """Half a pixel to and fro is found to be just that; an even way is even."""
    part = meant.plan.segments[1]
    way = part.motion
    shaky = replace(part, motion=Shaky(way.start, way.end, way.frames, way.braking))
    even, rough = (_jitter(meant, drawn) for drawn in (part, shaky))
    assert even.verdict == "pass"
    assert float(even.value) < 0.03
    assert rough.verdict == "fail"
    assert rough.value == pytest.approx(0.5 / 2**0.5, rel=0.05)  # across only, of two axes


def _jitter(meant: Meant, drawn: Segment) -> Row:
    """Measure frames of the second scene that were drawn another way."""
    look, frame = Jitter(meant, Views(meant.plan)), Frame(_films.SIZE)
    compositor = Compositor(
        drawn, size=_films.SIZE, style=meant.style, language="en", captions=True
    )
    for number, data in enumerate(compositor.frames(), drawn.first):
        frame.buffer[:] = np.frombuffer(data, np.uint8)
        if number in look.frames:
            look.see(number, frame)
    return look.rows()[0]


class Seer:
    """Looks at some frames, and remembers which."""

    def __init__(self, frames: Collection[int]) -> None:
        self.frames, self.seen = frames, []

    def see(self, number: int, frame: Frame) -> None:
        self.seen.append((number, frame.buffer.mean()))


@whole_film
def test_many_frames_apart_are_shown_as_they_are(film: Film) -> None:
    """A long film has more of them than FFmpeg takes in a plain sum."""
    apart, every = Seer(range(0, 600, 3)), Seer(range(600))
    for one in (apart, every):
        play(film.path, _films.SIZE, watchers=[one])
    assert len(every.seen) == film.meant.plan.frames
    assert apart.seen == every.seen[::3]


@dataclass(frozen=True)
class Jumping(Motion):
    """The same way, but from the middle on three pixels aside."""

    def at(self, frame: int) -> Pose:
        pose = super().at(frame)
        return replace(pose, x=pose.x + (frame > self.frames // 2) * 3 / 576)


@whole_film
def test_a_picture_that_jumps_aside_and_stays_there_is_found(film: Film, tmp_path: Path) -> None:
    first, second = film.meant.plan.segments
    way = second.motion
    jumping = replace(second, motion=Jumping(way.start, way.end, way.frames, way.braking))
    plan = replace(film.meant.plan, segments=(first, jumping))
    found = failed(_films.refilmed(film, tmp_path, plan), film.meant, "picture")
    assert set(found) == {"pictures off their places"}
    assert "scene s1" in found["pictures off their places"].says


@whole_film
def test_a_cut_at_another_frame_is_found(film: Film, tmp_path: Path) -> None:
    first, second = film.meant.plan.segments
    longer = replace(first, frames=first.frames + 6)
    shorter = replace(second, first=second.first + 6, frames=second.frames - 6)
    plan = replace(film.meant.plan, segments=(longer, shorter))
    found = failed(_films.refilmed(film, tmp_path, plan), film.meant, "offset")
    assert found["cuts against their plan"].value == pytest.approx(200, abs=1)


@whole_film
def test_frames_that_are_missing_or_uneven_are_found(film: Film, tmp_path: Path) -> None:
    path = tmp_path / "uneven.mp4"
    drop = ("-vf", "select='mod(n,10)',setparams=colorspace=unknown", "-fps_mode", "vfr")
    plain = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p", "-c:a", "copy")
    _films.ffmpeg.run(["-i", film.path, *drop, *plain, path])
    rows = {row.name: row for row in checks.film(path, film.meant, only=("picture",))}
    bad = {name for name, row in rows.items() if row.verdict != "pass"}
    assert {"frames", "frame rate", "format", "starts while it loads"} <= bad


def test_captions_that_cannot_be_read_are_found(meant: Meant, tmp_path: Path) -> None:
    text = meant.captions.read_text("utf-8")
    last = meant.plan.cues[-1]

    def with_file(content: str) -> set[str]:
        path = tmp_path / "captions.srt"
        path.write_text(content, encoding="utf-8")
        return {
            row.name for row in words.rows(replace(meant, captions=path)) if row.verdict == "fail"
        }

    start = f"00:00:{last.start:06.3f}".replace(".", ",")
    assert start in text
    assert with_file(text) == set()
    assert with_file(text.replace(start, "00:00:01,000")) == {"overlap", "cues in the file"}
    fast = text.replace(f"00:00:{last.end:06.3f}".replace(".", ","), start[:-3] + "990")
    assert "reading speed" in with_file(fast)
    assert "lines of a cue" in with_file(text.replace("river", "river\nriver\nriver"))
    assert "cues in the file" in with_file("")
    with pytest.raises(MediaError, match=r"captions\.srt"):
        with_file("no captions at all")


def test_a_thumbnail_nobody_can_read_is_found(meant: Meant, tmp_path: Path) -> None:
    path = tmp_path / "thumbnail.jpg"
    title = "Bees"
    facts = thumbnail.draw(path, title=title, language="en", pictures=(), style=meant.style)
    good = poster.rows(replace(meant, thumbnail=(path, facts)))
    assert {row.verdict for row in good} == {"pass"}
    faint = replace(facts, contrast=3.9, letter=5.0, lines=4)
    bad = poster.rows(replace(meant, thumbnail=(path, faint)))
    assert [row.verdict for row in bad] == ["pass", "pass", "fail", "warn", "fail", "pass"]
    altered = poster.rows(replace(meant, thumbnail=(path, None), altered=True))
    assert [row.verdict for row in altered] == ["pass", "fail"]
    path.unlink()
    assert poster.rows(replace(meant, thumbnail=(path, facts)))[0].value == "missing"


def test_captions_over_the_words_of_a_card_are_found(meant: Meant) -> None:
    wide, high = meant.plan.size

    def covered(top: int, *, left: int = wide // 2 - 40) -> Row:
        words_at = Run("tides", "en", "bold", 20)
        sheet = Sheet((Placed(words_at, (left, top), (0, 0, 0)),))
        drawn = ink.Ink(replace(meant, sheets={"s1": sheet}), most=2).rows()
        return next(row for row in drawn if row.name == "cards clear of captions")

    assert covered(high // 2).verdict == "pass"
    found = covered(high - 40)
    assert (found.verdict, found.value) == ("fail", pytest.approx(20, abs=20))
    assert "scene s1" in found.says
    assert covered(high - 40, left=-60).verdict == "pass"


def test_holes_and_clipping_are_found_across_blocks(meant: Meant) -> None:
    random = np.random.default_rng(1)
    sound = random.integers(100, 2000, (3 * 48_000, 2)).astype(np.int16)
    sound[47_000:50_000] = 0
    sound[95_998:96_002, 1] = 32_767
    sound[120_000:120_002] = -32_768  # two are a peak, not a wave cut off
    ear = Ear(replace(meant, music=True))
    for block in np.split(sound, 3):
        ear.hear(block)
    rows = {row.name: row for row in ear.rows()}
    assert (rows["clipping"].value, rows["clipping"].verdict) == (1, "fail")
    assert rows["digital zero"].value == pytest.approx(62.5)
    assert "0:01.0" in rows["digital zero"].says


@pytest.mark.parametrize("ceiling", [0.1, 0.4, 1.0])
def test_waves_cut_off_and_turned_down_are_found(meant: Meant, ceiling: float) -> None:
    """What an encoder makes of a flat top is not flat, but lies around its level all the same."""
    random = np.random.default_rng(5)
    wave = random.laplace(0, 0.12, (96_000, 2)) * (1 + np.sin(np.arange(96_000) / 3000))[:, None]
    flat = np.clip(3 * wave, -1, 1) + random.normal(0, 0.01, wave.shape)
    for sound, verdict in ((wave, "pass"), (flat, "fail")):
        ear = Ear(meant)
        for block in np.split(ceiling * 0.9 * sound / np.abs(sound).max(), 2):
            ear.hear((32_767 * block).astype(np.int16))
        rows = {row.name: row for row in ear.rows()}
        assert rows["waves cut off, then turned down"].verdict == verdict


def test_a_part_of_a_sentence_that_is_heard_twice_is_found(meant: Meant) -> None:
    """The rest is where it was meant to be, so the sentence as a whole is found there."""
    path, at = meant.plan.voice[0]
    spoken = np.repeat(32_767 * tracks.read_voice(path), 2)
    sound = np.zeros((at + len(spoken) + 48_000, 2))
    sound[at : at + len(spoken)] = spoken[:, None]

    def heard(sound: np.ndarray) -> dict[str, Row]:
        lags = Lags(replace(meant, plan=replace(meant.plan, voice=((path, at),))))
        for block in np.split(sound, range(48_000, len(sound), 48_000)):
            lags.hear(block.astype(np.int16))
        return {row.name: row for row in lags.rows()}

    assert {row.verdict for row in heard(sound).values()} == {"pass"}
    twice = sound.copy()
    middle = at + len(spoken) // 2
    twice[middle : middle + 2400] = sound[middle - 2400 : middle]
    found = heard(twice)
    assert {name for name, row in found.items() if row.verdict == "fail"} == {
        "voice as it was spoken"
    }
    assert "0:01.4" in found["voice as it was spoken"].says


def test_strokes_too_thin_to_be_solid_are_not_taken_for_what_is_behind(meant: Meant) -> None:
    size = (270, 270)
    plan = replace(meant.plan, size=size)
    look = ink.Ink(replace(meant, plan=plan, language="zh-TW", burnt=False))
    painter = Painter(style=meant.style, language="zh-TW", size=size)
    drawn = painter.raster(Cue(0, 1, ("遠方的船慢慢靠岸。",), ()), 0.5)
    frame = Frame(size)
    for plane, level in zip(frame.planes, (200, 128, 128), strict=True):
        plane[:] = level
    Overlay(drawn).onto(frame)
    assert look._stands_out(drawn, frame) > 4.5


def _between(meant: Meant, music: float, click: float) -> dict[str, Row]:
    """Hear three sentences with pauses of 0.6 s, `music` dB of noise, and a click in a pause."""
    first = meant.plan.voice[0][0]
    voice = tuple((first, n * 124_800 + 4800) for n in range(4))
    random = np.random.default_rng(3)
    sound = random.standard_normal((500_000, 2)) * 32768 * 10 ** (music / 20)
    sound[110_000:110_030] += click * 32768
    heard = Pauses(replace(meant, music=True, plan=replace(meant.plan, voice=voice)))
    for block in np.array_split(
        sound.clip(-32768, 32767).astype(np.int16), [48_000 * n for n in range(1, 11)]
    ):
        heard.hear(block)
    return {row.name: row for row in heard.rows()}


def test_clicks_and_music_that_is_not_held_down_are_found_between_sentences(meant: Meant) -> None:
    good = _between(meant, -38, 0)
    assert {row.verdict for row in good.values()} == {"pass"}
    assert float(good["music between sentences"].value) == pytest.approx(-41, abs=0.5)  # of the sum
    assert "comes up" in _between(meant, -25, 0)["music between sentences"].says
    assert "No music" in _between(meant, -66, 0)["music between sentences"].says
    clicked = _between(meant, -50, 0.2)["clicks between sentences"]
    assert clicked.verdict == "fail"
    assert "0:02.3" in clicked.says


@whole_film
def test_type_that_is_hard_to_see_is_found(film: Film, tmp_path: Path) -> None:
    pale = replace(_films.STYLE.captions, text=(130, 125, 120), mark=(130, 125, 120))
    style = replace(_films.STYLE, captions=pale)
    meant = replace(film.meant, style=style)
    found = failed(_films.refilmed(film, tmp_path, meant.plan, style), meant, "text")
    assert set(found) == {"contrast of captions"}
    bare = tuple(replace(part, cues=()) for part in film.meant.plan.segments)
    path = _films.refilmed(film, tmp_path, replace(film.meant.plan, segments=bare))
    assert set(failed(path, film.meant, "text")) == {"captions in the picture"}
    late = tuple(
        replace(part, cues=tuple(cue.shifted(0.3) for cue in part.cues))
        for part in film.meant.plan.segments
    )
    path = _films.refilmed(film, tmp_path, replace(film.meant.plan, segments=late))
    assert set(failed(path, film.meant, "text")) == {"captions in the picture"}
    first, *rest = film.meant.plan.cues
    tower = replace(film.meant.plan, cues=(replace(first, lines=("tower",) * 20), *rest))
    assert "captions in the safe area" in failed(path, replace(film.meant, plan=tower), "text")


@whole_film
def test_a_film_longer_than_its_words_or_its_order_is_told(film: Film) -> None:
    seconds = film.meant.plan.seconds
    meant = replace(film.meant, reading=seconds / 1.3, length=seconds / 1.2)
    rows = checks.film(film.path, meant, only=("length",))
    assert [row.verdict for row in rows] == ["pass", "warn", "warn"]
    assert checks.film(film.path, replace(meant, reading=60), only=("length",))[1].verdict == "fail"
    spelt = replace(meant, reading=seconds / 1.9)
    assert checks.film(film.path, spelt, only=("length",))[1].verdict == "warn"
    hanging = replace(meant, reading=seconds / 2.1)
    assert checks.film(film.path, hanging, only=("length",))[1].verdict == "fail"
