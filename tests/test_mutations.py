"""Wrong files, arguments, messages: a clear error or a right result, and nothing else touched.

What the cases are: `_mutations`, `_mutants`, `_messages`. More of them: `./reelchain bench mutations`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import pytest

import _messages
import _mutants
from _messages import Guest
from _mutations import FAMILIES, SECRET, World, case, leaked, repair, snapshot
from _redis import RedisServer
from app import messages, pipeline
from app.errors import InputError, StateError

SEED = 20261122
FILES = 140
"""Ten of each family."""
MESSAGES = 45


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> tuple[World, RedisServer]:
    made = World(tmp_path_factory.mktemp("mutations").resolve() / "world")
    with mock.patch.dict(os.environ, {"CELERY_BROKER_URL": redis_server.url}), made.entered():
        made.build()
    return made, redis_server


@pytest.fixture
def world(built: tuple[World, RedisServer], redis_url: str) -> Iterator[World]:
    made, _ = built
    made.reset()
    with made.entered():
        yield made


@pytest.mark.slow
def test_wrong_files_give_a_clear_error_or_a_right_result(world: World) -> None:
    verdicts = [case(world, SEED, number) for number in range(FILES)]
    bad = [str(verdict) for verdict in verdicts if verdict.outcome == "bad"]
    assert not bad, "\n".join(bad)
    seen = Counter(verdict.outcome for verdict in verdicts)
    # all errors, or all results, would mean that the cases test nothing
    assert min(seen["error"], seen["result"]) >= FILES // 5, seen
    assert {verdict.family for verdict in verdicts} == set(FAMILIES)


@pytest.mark.parametrize("way", ["written", "removed", "inside"])
def test_the_judge_sees_what_it_is_there_for(world: World, way: str) -> None:
    before = snapshot(world.outside)
    if way == "inside":
        (world.victim / "assets" / "notes.txt").write_text(f"x {SECRET}")
        assert leaked(world)
        return
    if way == "written":
        (world.outside / "tmp" / "new").touch()
    else:
        world.secret_story.unlink()
    assert snapshot(world.outside) != before
    repair(world, before)


def test_a_link_out_of_the_project_is_neither_read_nor_written(world: World) -> None:
    story = world.victim / "source" / "story.md"
    story.unlink()
    story.symlink_to(world.secret_story)
    with pytest.raises(InputError, match="links that lead out") as caught:
        _mutants.stage_of("script_generation", 2)
    assert caught.value.code == "path_outside"
    history = world.victim / "events.jsonl"
    history.unlink()
    history.symlink_to(world.log)
    with pytest.raises(OSError, match=r"events\.jsonl"):
        pipeline.open_project(2).log("note")
    assert SECRET in world.log.read_text()
    assert len(world.log.read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["../outside/home/secret.md", "link.md", "/etc/hosts.md"])
def test_a_playlist_names_stories_below_its_own_folder_only(world: World, name: str) -> None:
    (world.inbox / "link.md").symlink_to(world.secret_story)
    path = world.inbox / "playlist.yaml"
    path.write_text(json.dumps({"projects": ["tides", {"story": name}]}))
    with pytest.raises(InputError, match="below the playlist's folder") as caught:
        pipeline.create_batch(path)
    assert caught.value.code == "story_outside"
    assert [row["project_id"] for row in pipeline.listing()] == [1, 2]
    # the caller's own list may name any file of theirs
    assert len(pipeline.create_batch([world.secret_story]).projects) == 1


def test_values_of_a_playlist_mean_what_they_say(world: World) -> None:
    path = world.inbox / "playlist.yaml"
    path.write_text(
        "defaults: {shape: 9:16, captions: no}\nprojects:\n  - topic: 1984\n    length: 20\n"
    )
    number = pipeline.create_batch(path).projects[0]
    spec = pipeline.open_project(number).state().spec
    assert (spec.topic, spec.shape, spec.captions, spec.length) == ("1984", "9:16", False, 20.0)


def test_a_marker_that_is_no_name_of_ours_is_given_anew(world: World) -> None:
    session = world.victim / "private" / "publish-session.json"
    session.write_text(json.dumps({"marker": "../../x", "offset": 5}))
    (world.victim / "publish.json").unlink()
    assert _mutants.stage_of("youtube_upload", 2)["status"] == "completed"
    kept = json.loads(session.read_text())
    assert kept["marker"].startswith("rc-2-")
    assert kept["offset"] == 5


def test_a_story_changed_by_hand_into_another_encoding_names_its_line(world: World) -> None:
    script = world.victim / "script.json"
    script.write_bytes(script.read_bytes().replace(b"wall", b"w\xe4ll"))
    with pytest.raises(InputError) as caught:
        _mutants.stage_of("script_generation", 2)
    assert caught.value.code == "not_text"
    assert "script.json, line" in caught.value.message


def test_half_a_surrogate_pair_in_a_state_can_be_read_by_nobody(world: World) -> None:
    state = world.victim / "project_state.json"
    document = json.loads(state.read_text())
    document["stages"]["script_generation"]["warnings"] = ["\ud800"]
    for name in ("project_state.json", "project_state.previous.json"):
        (world.victim / name).write_bytes(_mutants.checked(document))
    with pytest.raises(StateError, match="surrogates"):
        pipeline.status(2)


def test_a_message_whose_facts_a_state_has_lost_is_told_all_the_same() -> None:
    assert messages.text("script_done", "en") == messages.text("script_done", "en", scenes="?")
    assert "12" in messages.text("script_done", "en", scenes=12)


@pytest.mark.acceptance
@pytest.mark.redis
def test_wrong_messages_end_no_worker(world: World, redis_server: RedisServer) -> None:
    with Guest(world.base, redis_server) as house:
        house.start_worker(app="_cheap_app")
        verdicts = [_messages.case(house, world, SEED, number) for number in range(MESSAGES)]
        bad = [str(verdict) for verdict in verdicts if verdict.outcome == "bad"]
        assert not bad, "\n".join(bad) + house.logs()[-2000:]
        assert "dropped" in house.logs(), "no message was wrong enough"
    seen = Counter(verdict.outcome for verdict in verdicts)
    assert min(seen["error"], seen["result"]) >= MESSAGES // 6, seen
