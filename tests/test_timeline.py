"""The plan of a video: exact clocks, motion that rests, and segments that mind their own business."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.media import styles, timeline
from app.media.faces import Region
from app.media.timeline import Pose, SceneTake, Segment, Take, Timeline
from app.models import Speech, Word

SIZE = (320, 180)
SENTENCES = ("The river turns south.", "Nobody hurries, and the mist stays.", "Then it is noon.")


def take(text: str, seconds: float = 1.9) -> Take:
    starts = [at for at in range(len(text)) if at == 0 or text[at - 1] == " "]
    share = (seconds - 0.2) / len(starts)
    words = tuple(
        Word(
            text=word,
            start=0.1 + number * share,
            end=0.1 + (number + 1) * share,
            span=(at, at + len(word)),
        )
        for number, (at, word) in enumerate(zip(starts, text.split(" "), strict=True))
    )
    speech = Speech(
        text=text,
        voice="v",
        provider="p",
        sample_rate=24_000,
        samples=round(seconds * 24_000),
        words=words,
    )
    return Take(text, Path(f"/{hashlib.sha256(text.encode()).hexdigest()}.wav"), speech)


def scene(name: str, *texts: str, kind: timeline.Kind = "picture") -> SceneTake:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return SceneTake(name, Path(f"/{name}.jpg"), digest, kind, tuple(map(take, texts)))


def plan(*scenes: SceneTake, fps: int = 30) -> Timeline:
    style = styles.load("paper")
    return timeline.plan(scenes, fps=fps, size=SIZE, style=style, language="en")


STORY = tuple(scene(name, *SENTENCES) for name in "abcd")


def test_segments_follow_one_another_frame_for_frame() -> None:
    made = plan(*STORY)
    at = 0
    for segment in made.segments:
        assert segment.first == at
        assert segment.frames > segment.transition + segment.fade_out
        at += segment.frames
    assert made.frames == at
    assert made.seconds == pytest.approx(at / 30)


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_voice_lies_on_exact_samples_and_never_overlaps(fps: int) -> None:
    made = plan(*STORY, fps=fps)
    takes = [sentence for story in STORY for sentence in story.sentences]
    ends = [
        start + sentence.speech.samples * 2
        for (_, start), sentence in zip(made.voice, takes, strict=True)
    ]
    starts = [start for _, start in made.voice]
    assert [path for path, _ in made.voice] == [sentence.wav for sentence in takes]
    assert all(
        end + 0.25 * 48_000 <= following for end, following in zip(ends, starts[1:], strict=False)
    )
    assert ends[-1] <= made.frames * 48_000 // fps - 48_000


def test_captions_are_where_the_words_are() -> None:
    made = plan(*STORY)
    takes = [sentence for story in STORY for sentence in story.sentences]
    for (_, sample), sentence in zip(made.voice, takes, strict=True):
        words = sentence.speech.words
        said = [
            cue
            for cue in made.cues
            if sample / 48_000 <= cue.start < sample / 48_000 + sentence.speech.seconds
        ]
        assert said[0].said[0] == pytest.approx(sample / 48_000 + words[0].start, abs=1e-9)
        assert said[-1].said[1] == pytest.approx(sample / 48_000 + words[-1].end, abs=1e-9)
    assert sum(len(segment.cues) for segment in made.segments) == len(made.cues)


def facts(made: Timeline) -> list[str]:
    return [json.dumps(segment.facts(), sort_keys=True) for segment in made.segments]


def changed(before: Timeline, after: Timeline) -> list[int]:
    pairs = zip(facts(before), facts(after), strict=True)
    return [number for number, (old, new) in enumerate(pairs) if old != new]


@pytest.mark.parametrize("number", range(4))
def test_another_sentence_changes_one_segment(number: int) -> None:
    edited = list(STORY)
    edited[number] = scene("abcd"[number], *SENTENCES[:2], "Then, all at once, it is evening.")
    longer = replace(edited[number], sentences=(*edited[number].sentences, take("The end.", 4.0)))
    assert changed(plan(*STORY), plan(*edited)) == [number]
    edited[number] = longer
    assert changed(plan(*STORY), plan(*edited)) == [number]


def test_another_picture_changes_its_segment_and_the_one_that_fades_in_over_it() -> None:
    edited = (STORY[0], scene("z", *SENTENCES), *STORY[2:])
    assert changed(plan(*STORY), plan(*edited)) == [1, 2]


def test_a_new_scene_leaves_those_before_and_after_its_neighbour_alone() -> None:
    before, after = plan(*STORY), plan(*STORY[:2], scene("new", "Hello."), *STORY[2:])
    old, new = facts(before), facts(after)
    assert old[:2] == new[:2]
    assert old[3] == new[4]


def test_where_files_lie_is_no_fact_of_a_segment() -> None:
    moved = tuple(replace(part, picture=Path("/elsewhere") / part.picture.name) for part in STORY)
    assert changed(plan(*STORY), plan(*moved)) == []


def speeds(segment: Segment) -> list[float]:
    """Return how far the corner of the view moves from frame to frame, in shares of the canvas."""

    def corner(pose: Pose) -> float:
        return pose.x - 0.5 / pose.zoom

    at = [corner(segment.motion.at(frame)) for frame in range(segment.frames)]
    return [abs(after - before) for before, after in itertools.pairwise(at)]


def test_pictures_come_to_rest_and_never_jerk() -> None:
    for segment in plan(*(scene(f"{n}", *SENTENCES) for n in range(40))).segments:
        speed = speeds(segment)
        assert speed[-1] < max(speed) / 20
        assert max(abs(b - a) for a, b in itertools.pairwise(speed)) < max(speed) / 20
        assert max(speed) > 0
        assert max(speed) * SIZE[0] * 1.2 * 6 < 2  # below two pixels a frame at 1920


def test_the_pose_at_the_end_depends_on_the_picture_alone() -> None:
    for number in range(40):
        digest = hashlib.sha256(bytes([number])).hexdigest()
        poses = [
            timeline.moved("picture", digest, frames, fps=30, amount=0.7).at(frames - 1)
            for frames in (31, 100, 5000)
        ]
        assert poses[0] == poses[1] == poses[2]


@pytest.mark.parametrize("amount", [0, 0.3, 0.7, 1])
def test_the_frame_safe_middle_is_always_in_sight(amount: float) -> None:
    low, high = 0.5 - 0.5 / 1.2, 0.5 + 0.5 / 1.2
    for number in range(60):
        digest = hashlib.sha256(bytes([number])).hexdigest()
        motion = timeline.moved("picture", digest, 200, fps=30, amount=amount)
        for frame in range(0, 200, 11):
            pose = motion.at(frame)
            for centre in (pose.x, pose.y):
                assert -1e-9 <= centre - 0.5 / pose.zoom <= low + 1e-9
                assert high - 1e-9 <= centre + 0.5 / pose.zoom <= 1 + 1e-9


def test_a_view_travels_evenly_across_a_long_canvas_and_ends_near_what_matters() -> None:
    for axis, spread in enumerate(((1.7, 1.0), (1.0, 1.7))):
        for at, sign in ((0.4, -1), (0.6, 1)):
            point = (at, 0.5) if axis == 0 else (0.5, at)
            keep = Region(*point, *point)
            motion = timeline.moved(
                "picture", "ab" * 32, 240, fps=30, amount=1, keep=keep, spread=spread
            )
            way = np.array([(pose.x, pose.y) for pose in map(motion.at, range(240))])
            steps = np.diff(way[:, axis])
            assert np.allclose(way[:, 1 - axis], 0.5)
            assert sign * (way[-1, axis] - way[0, axis]) > 0.2
            assert np.allclose(steps[:200], steps[0], atol=1e-9)
            assert (sign * steps >= -1e-12).all()
            view = 0.5 / (1.7 * timeline.PASSING)
            assert (abs(way[:, axis] - at) <= view).all()


def test_pictures_differ_in_how_they_move() -> None:
    digests = [hashlib.sha256(bytes([number])).hexdigest() for number in range(40)]
    motions = [timeline.moved("picture", d, 200, fps=30, amount=0.7) for d in digests]
    zooms = [motion.end.zoom - motion.start.zoom for motion in motions]
    assert any(zoom > 0.05 for zoom in zooms)
    assert any(zoom < -0.05 for zoom in zooms)
    assert any(abs(zoom) < 0.02 for zoom in zooms)


def test_a_card_settles_and_then_stands_still_pixel_for_pixel() -> None:
    made = plan(scene("a", *SENTENCES, kind="card"), STORY[1])
    motion = made.segments[0].motion
    assert motion.start != motion.end
    assert motion.at(24) == motion.at(1000) == Pose(1.2)


def test_without_motion_nothing_moves() -> None:
    for kind in ("picture", "card"):
        motion = timeline.moved(kind, "ab" * 32, 100, fps=30, amount=0)
        assert motion.at(0) == motion.at(99)


def test_first_and_last_scene() -> None:
    made = plan(*STORY)
    first, *_, last = made.segments
    assert first.previous is None
    assert first.transition == 0
    assert [segment.fade_out for segment in made.segments] == [0, 0, 0, 15]
    assert last.previous is not None
    assert last.previous.pose == made.segments[2].motion.end


def test_a_scene_without_a_sound_still_lasts() -> None:
    made = plan(STORY[0], scene("quiet"), STORY[1])
    assert made.segments[1].frames >= 90
    assert made.segments[1].cues == ()


def test_many_scenes_stay_exact() -> None:
    made = plan(*(STORY * 50))
    assert made.frames == sum(segment.frames for segment in made.segments)
    assert made.cues == tuple(sorted(made.cues, key=lambda cue: cue.start))


@pytest.mark.parametrize("pause", [0.3, 2.5])
def test_pauses_between_sentences_and_scenes_grow_alike(pause: float) -> None:
    style = styles.load("paper")
    usual = timeline.plan(STORY, fps=30, size=SIZE, style=style, language="en")
    made = timeline.plan(STORY, fps=30, size=SIZE, style=style, language="en", pause=pause)

    def silences(one: Timeline) -> list[int]:
        spoken = [take for story in STORY for take in story.sentences]
        ends = [at + 2 * t.speech.samples for (_, at), t in zip(one.voice, spoken, strict=True)]
        return [later - end for (_, later), end in zip(one.voice[1:], ends, strict=False)]

    per_scene = len(SENTENCES)
    for number, (before, after) in enumerate(zip(silences(usual), silences(made), strict=True), 1):
        within = number % per_scene != 0
        if within:
            assert after == round(pause * timeline.GAP * timeline.SAMPLE_RATE)
        else:
            assert after > before if pause > 1 else after <= before
