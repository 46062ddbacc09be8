"""The plan of a video: which picture, which movement, which words, on which frame and sample.

A segment (one scene) depends on nothing but itself and the picture before it: neither on where it
stands nor on how long its neighbours are. So an edit of a sentence draws one segment anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

from app.media import captions
from app.media.captions import Cue
from app.media.faces import Region
from app.media.pictures import OVERSCAN
from app.media.styles import Style, TransitionKind
from app.models import Language, Speech

SAMPLE_RATE = 48_000
"""Of the finished sound; 1600 samples a frame at 30 frames per second."""

OPENING = 0.4
"""Seconds before the first word of a video."""
GAP = 0.3
"""Seconds between two sentences of a scene: a breath."""
TAIL = 0.3
"""Seconds of a scene after its last word."""
CLOSING = 1.2
"""The same in the last scene, fade-out included."""
FADE_OUT = 0.5
SHORTEST = 1.0
"""Seconds a scene lasts at least; one without a sound to it lasts `SILENT`."""
SILENT = 3.0

TRAVEL_SECONDS = 8.0
"""A scene this long uses the whole way of its motion; a shorter one starts nearer its end."""
SWEEP_SECONDS = 5.0
"""The same of a view that travels: 0.13 of a frame a second at most, below the seventh that films
keep to for a pan; what it passes on its way is seen in a scene of a few seconds, too."""
BRAKING_SECONDS = 1.2
SETTLING_SECONDS = 0.8
"""A card comes to rest while it appears, and then stands still: its text must be crisp."""

NATIVE = OVERSCAN
"""The zoom at which a canvas pixel is a frame pixel; beyond it pictures would be blown up."""

PASSING = 1.08
"""The zoom, over that of all of a canvas' shorter way, of a view that travels: pixels of the canvas
are still a tenth smaller than those of the frame, so nothing shimmers, and a hair is left beside."""
_MIDDLE = 0.04
"""Share of a canvas off its middle from which on a view ends on the side of what it is about."""

_HAIR = 0.004
"""Share of a canvas' side; see `_keeping`."""

Kind = Literal["picture", "card"]


@dataclass(frozen=True)
class Take:
    """A spoken sentence: its text as written, its sound, its words' times."""

    text: str
    wav: Path
    speech: Speech
    span: tuple[int, int] | None = None
    """Its place in the scene's narration."""


@dataclass(frozen=True)
class SceneTake:
    """A scene with everything made that it needs. `picture` is a canvas (`pictures.canvas`).

    Attributes:
        steps: Canvases that take the picture's place one after the other, each with its SHA-256
            and the number of the sentence it comes with.
        keep: What of the canvas stays in sight whatever moves: faces. None is its middle only.
        spread: How much wider and higher than usual the canvas is; see `framing.Plan`.
    """

    id: str
    picture: Path
    picture_sha256: str
    kind: Kind
    sentences: tuple[Take, ...]
    steps: tuple[tuple[Path, str, int], ...] = ()
    keep: Region | None = None
    spread: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Pose:
    """What of the canvas is seen: its width over `zoom`, around (`x`, `y`) as shares of it."""

    zoom: float
    x: float = 0.5
    y: float = 0.5


@dataclass(frozen=True)
class Motion:
    """A way from one pose to another: even speed, then braking to rest.

    Attributes:
        frames: Frames it takes; then it rests at `end`.
        braking: The last frames of it, over which the speed falls to zero.
    """

    start: Pose
    end: Pose
    frames: int
    braking: int

    def at(self, frame: int) -> Pose:
        """Return the pose of frame `frame` (0 is the first)."""
        if frame >= self.frames - 1:
            return self.end
        length, braking = self.frames - 1, min(self.braking, self.frames - 1)
        left = max(0, frame - (length - braking))
        covered = frame - left**2 / (2 * braking) if braking else float(frame)
        done = covered / (length - braking / 2)
        return Pose(
            self.start.zoom + done * (self.end.zoom - self.start.zoom),
            self.start.x + done * (self.end.x - self.start.x),
            self.start.y + done * (self.end.y - self.start.y),
        )


@dataclass(frozen=True)
class Still:
    """A canvas held at one pose: what a transition starts from."""

    picture: Path
    sha256: str
    pose: Pose


@dataclass(frozen=True)
class Step:
    """A canvas that takes the place of the one before, from frame `frame` of the scene on."""

    picture: Path
    sha256: str
    frame: int


@dataclass(frozen=True)
class Segment:
    """One scene on its own clock, which starts with its first frame.

    Attributes:
        first: Its first frame in the video.
        frames: How many it has.
        previous: What the scene before ends on; None at the start of the video.
        transition: Frames over which it takes the place of `previous`.
        fade_out: Last frames, over which it fades to black.
        steps: What a card that builds up becomes, in order.
    """

    id: str
    first: int
    frames: int
    fps: int
    picture: Path
    picture_sha256: str
    motion: Motion
    previous: Still | None
    transition: int
    fade_out: int
    cues: tuple[Cue, ...]
    transition_kind: TransitionKind = "fade"
    steps: tuple[Step, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return all its pixels depend on, as JSON values without paths or its place."""
        facts = asdict(self)
        del facts["id"], facts["first"], facts["picture"]
        if self.previous is not None:
            del facts["previous"]["picture"]
        facts["steps"] = [[step.sha256, step.frame] for step in self.steps]
        if not self.steps:
            del facts["steps"]
        return facts


@dataclass(frozen=True)
class Timeline:
    """A whole video. `voice` holds each sound file and the 48 kHz sample it starts at."""

    size: tuple[int, int]
    fps: int
    segments: tuple[Segment, ...]
    cues: tuple[Cue, ...]
    voice: tuple[tuple[Path, int], ...]
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.fps


def plan(
    scenes: Sequence[SceneTake],
    *,
    fps: int,
    size: tuple[int, int],
    style: Style,
    language: Language,
    pause: float = 1.0,
) -> Timeline:
    """Lay the scenes out in time.

    Args:
        scenes: In order, at least one.
        fps: Frames per second; divides 48,000.
        size: Of the frame in pixels.
        style: Gives the transitions and the amount of motion.
        language: Decides where captions break.
        pause: Length of the silences between sentences and scenes, 1.0 the usual.
    """
    segments: list[Segment] = []
    voice: list[tuple[Path, int]] = []
    for number, scene in enumerate(scenes):
        before = segments[-1] if segments else None
        made, starts = _segment(
            scene,
            before,
            last=number == len(scenes) - 1,
            fps=fps,
            size=size,
            style=style,
            language=language,
            pause=pause,
        )
        sample = made.first * (SAMPLE_RATE // fps)
        voice += [(t.wav, sample + at) for t, at in zip(scene.sentences, starts, strict=True)]
        segments.append(made)
    cues = tuple(cue.shifted(part.first / fps) for part in segments for cue in part.cues)
    frames = sum(part.frames for part in segments)
    return Timeline(size, fps, tuple(segments), cues, tuple(voice), frames)


def _segment(
    scene: SceneTake,
    before: Segment | None,
    *,
    last: bool,
    fps: int,
    size: tuple[int, int],
    style: Style,
    language: Language,
    pause: float,
) -> tuple[Segment, list[int]]:
    """Return the scene's segment, and the sample each sentence starts at on its clock."""
    change = style.transition
    transition = round(change.seconds * fps) if before and change.kind != "cut" else 0
    lead = max(transition, round((TAIL * pause if before else OPENING) * fps))
    tail = CLOSING if last else TAIL * pause
    starts, frames = _laid_out(scene, lead=lead, gap=GAP * pause, tail=tail, fps=fps)
    cues = [
        cue.shifted(start / SAMPLE_RATE)
        for take, start in zip(scene.sentences, starts, strict=True)
        for cue in captions.cut(
            take.text, take.speech.words, take.speech.seconds, language=language, size=size
        )
    ]
    made = Segment(
        id=scene.id,
        first=before.first + before.frames if before else 0,
        frames=frames,
        fps=fps,
        picture=scene.picture,
        picture_sha256=scene.picture_sha256,
        steps=tuple(
            Step(picture, sha256, starts[sentence] * fps // SAMPLE_RATE)
            for picture, sha256, sentence in scene.steps
        ),
        motion=moved(
            scene.kind,
            scene.picture_sha256,
            frames,
            fps=fps,
            amount=style.motion,
            keep=scene.keep,
            spread=scene.spread,
        ),
        previous=_end(before) if before else None,
        transition=transition,
        fade_out=round(FADE_OUT * fps) if last else 0,
        cues=captions.timed(cues, language=language, until=frames / fps, fps=fps),
        transition_kind=change.kind,
    )
    return made, starts


def _end(segment: Segment) -> Still:
    if segment.steps:
        last = segment.steps[-1]
        return Still(last.picture, last.sha256, segment.motion.end)
    return Still(segment.picture, segment.picture_sha256, segment.motion.end)


def _laid_out(
    scene: SceneTake, *, lead: int, gap: float, tail: float, fps: int
) -> tuple[list[int], int]:
    """Return each sentence's first sample on the scene's clock, and the scene's frames."""
    per_frame = SAMPLE_RATE // fps
    at = lead * per_frame
    starts: list[int] = []
    for take in scene.sentences:
        if starts:
            at += round(gap * SAMPLE_RATE)
        starts.append(at)
        at += ceil(take.speech.samples * SAMPLE_RATE / take.speech.sample_rate)
    at += round((tail if starts else SILENT) * SAMPLE_RATE)
    return starts, max(ceil(at / per_frame), lead + ceil(SHORTEST * fps))


def moved(
    kind: Kind,
    sha256: str,
    frames: int,
    *,
    fps: int,
    amount: float,
    keep: Region | None = None,
    spread: tuple[float, float] = (1.0, 1.0),
) -> Motion:
    """Choose the motion of a picture by its digest, so that it stays the same wherever it stands.

    The end never depends on the length, as the next scene fades in over it. What of a canvas is
    frame-safe (its middle, 1/1.2 of each side) stays in sight all the way, unless something to
    `keep` lies outside of it: then that does.

    Args:
        kind: A card only settles while it appears.
        sha256: Of the canvas file, hexadecimal.
        frames: Of the scene.
        fps: Frames per second.
        amount: How much of the room to use, 0-1; a longer canvas has the room it needs.
        keep: What of the canvas stays in sight all the way, in shares of it.
        spread: How much wider and higher than usual the canvas is; the view travels that way.
    """
    if kind == "card":
        settling = min(frames, round(SETTLING_SECONDS * fps))
        start = Pose(NATIVE / (1 + 0.03 * amount))
        return Motion(start, Pose(NATIVE), settling, settling)
    digest = bytes.fromhex(sha256[:8])
    still = spread == (1.0, 1.0)
    way = _way(digest, amount) if still else _travelled(digest, spread, keep)
    far, end = (_keeping(pose, keep, spread) for pose in way)
    share = min(1.0, frames / ((TRAVEL_SECONDS if still else SWEEP_SECONDS) * fps))
    start = Pose(
        end.zoom + share * (far.zoom - end.zoom),
        end.x + share * (far.x - end.x),
        end.y + share * (far.y - end.y),
    )
    braking = min(frames // 2, round(BRAKING_SECONDS * fps))
    return Motion(start, end, frames, braking)


def _way(digest: bytes, amount: float) -> tuple[Pose, Pose]:
    """Return the poses a picture moves between: in, out, or across."""
    middle = (1 + NATIVE) / 2
    wide = middle - amount * (NATIVE - 1) * 0.4
    close = middle + amount * (NATIVE - 1) * 0.4
    aside = amount if digest[1] & 1 else -amount
    upward = amount * ((digest[2] / 255) - 0.5)
    match digest[0] % 4:
        case 0 | 1:
            return _posed(wide, 0, 0), _posed(close, 0.6 * aside, upward)
        case 2:
            return _posed(close, 0.6 * aside, upward), _posed(wide, 0, 0)
        case _:
            return _posed(middle, -aside, -upward), _posed(middle + 0.02 * amount, aside, upward)


def _posed(zoom: float, aside: float, upward: float) -> Pose:
    """Return a pose off centre by shares of the room that the frame-safe middle leaves."""
    room = min(0.5 - 0.5 / zoom, 0.5 / zoom - 0.5 / OVERSCAN)
    return Pose(zoom, 0.5 + aside * room, 0.5 + upward * room)


def _travelled(
    digest: bytes, spread: tuple[float, float], keep: Region | None
) -> tuple[Pose, Pose]:
    """Return the poses between which a view travels across a long canvas, ending near `keep`."""
    zoom = spread[0] * PASSING
    rooms = (0.5 - 0.5 / zoom, 0.5 - 0.5 * spread[0] / (spread[1] * zoom))
    long = 0 if spread[0] > spread[1] else 1
    middles = ((keep.left + keep.right) / 2, (keep.top + keep.bottom) / 2) if keep else (0.5, 0.5)
    aside = middles[long] - 0.5
    forward = aside > 0 if abs(aside) > _MIDDLE else bool(digest[1] & 1)
    reach = rooms[long] * (1 if forward else -1)
    ends = (
        Pose(zoom, *((0.5 + at, 0.5) if long == 0 else (0.5, 0.5 + at))) for at in (-reach, reach)
    )
    return next(ends), next(ends)


def _keeping(pose: Pose, keep: Region | None, spread: tuple[float, float] = (1.0, 1.0)) -> Pose:
    """Return the pose nearest to `pose` that shows all of `keep`, with a hair to spare.

    The hair covers what poses between two such ones miss: an edge's way is slightly bent.
    """
    if keep is None:
        return pose
    left, top = max(0.0, keep.left - _HAIR), max(0.0, keep.top - _HAIR)
    right, bottom = min(1.0, keep.right + _HAIR), min(1.0, keep.bottom + _HAIR)
    upright = spread[0] / spread[1]
    zoom = max(spread[0], min(pose.zoom, 1 / (right - left), upright / (bottom - top)))
    wide, high = 0.5 / zoom, 0.5 * upright / zoom
    x = min(max(pose.x, wide, right - wide), 1 - wide, left + wide)
    y = min(max(pose.y, high, bottom - high), 1 - high, top + high)
    return Pose(zoom, x, y)
