"""What Python callers were promised, word for word, against real workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _workers import Bench, bench, story

pytestmark = [pytest.mark.acceptance, pytest.mark.redis, pytest.mark.ffmpeg]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("contract")) as made:
        made.start_worker()
        yield made


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One slot: what is sent next waits behind what was sent before."""
    with bench(tmp_path_factory.mktemp("narrow")) as made:
        made.start_worker(concurrency=1)
        yield made


def new(house: Bench, text: str | None = None) -> int:
    path = story(house.folder, text) if text else story(house.folder)
    return int(house.call(f"tell(create_project({str(path)!r}).id)"))


def test_the_chain_makes_a_published_video(house: Bench) -> None:
    number = new(house)
    result = house.call(
        f"""
        result = chain(generate_script_task.s(project_id={number}), generate_assets_task.s(), render_video_task.s(),
                       generate_thumbnail_task.s(), upload_to_youtube_task.s()).apply_async()
        tell(result.get(timeout=1800))
        """,
    )
    assert set(result) == {
        "project_id", "run", "stage", "status", "artifacts", "seconds", "video", "video_url", "warnings",
    }  # fmt: skip
    assert (result["project_id"], result["stage"], result["status"]) == (
        number,
        "youtube_upload",
        "completed",
    )
    folder = house.data / "projects" / str(number)
    for name in (
        "video.mp4",
        "captions.srt",
        "captions.vtt",
        "captions.ass",
        "thumbnail.jpg",
        "publish.json",
    ):
        assert (folder / name).stat().st_size > 0, name
    published = Path(result["video_url"].removeprefix("file://"))
    assert published.read_bytes() == (folder / "video.mp4").read_bytes()
    state = json.loads((folder / "project_state.json").read_text())
    assert state["status"] == "completed"
    assert state["run"]["stages"] == list(state["stages"])


def test_a_second_run_makes_nothing_again(house: Bench) -> None:
    number = new(house)
    first = house.call(f"tell(video_pipeline({number}).apply_async().get(timeout=120))")
    folder = house.data / "projects" / str(number)
    before = {
        p: p.stat().st_mtime_ns for p in folder.rglob("*.*") if p.suffix in {".wav", ".mp4", ".png"}
    }
    published = house.data / "published" / str(number) / "video.mp4"
    when = published.stat().st_mtime_ns
    second = house.call(f"tell(video_pipeline({number}).apply_async().get(timeout=120))")
    assert second["video_url"] == first["video_url"]
    assert second["run"] == first["run"] + 1
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert published.stat().st_mtime_ns == when


def test_one_changed_sentence_remakes_one_scene(house: Bench) -> None:
    number = new(house)
    house.call(f"tell(start({number}).get(timeout=120))")
    folder = house.data / "projects" / str(number)
    kept = {p.name for p in folder.glob("render/segment/*.mp4")} | {
        p.name for p in folder.glob("assets/*/*.*")
    }
    changed = (folder / "source" / "story.md").read_text().replace("It was blue.", "It was red.")
    house.call(
        f"""
        from app.pipeline import update_project
        update_project({number}, {str(story(house.folder, changed))!r})
        tell(start({number}).get(timeout=120))
        """,
    )
    now = {p.name for p in folder.glob("render/segment/*.mp4")} | {
        p.name for p in folder.glob("assets/*/*.*")
    }
    assert len([n for n in now - kept if n.endswith(".mp4")]) == 1
    assert len([n for n in now - kept if n.endswith(".wav")]) == 1
    assert len([n for n in now - kept if n.endswith(".png")]) == 0
    assert len(kept - now) == len(now - kept)


def test_every_stage_task_runs_alone(house: Bench) -> None:
    number = new(house)
    result = house.call(f"tell(generate_script_task.delay(project_id={number}).get(timeout=60))")
    assert result["stage"] == "script_generation"
    assert result["video"] is None
    state = house.state(number)
    assert state["status"] == "pending"
    assert state["run"]["stages"] == ["script_generation"]
    result = house.call(f"tell(generate_assets_task.delay(project_id={number}).get(timeout=60))")
    assert result["artifacts"] == {"assets": "assets/assets.json"}


def test_a_stage_out_of_order_names_the_one_to_run(house: Bench) -> None:
    number = new(house)
    error = house.call(
        f"""
        from app.errors import InputError
        try:
            render_video_task.delay(project_id={number}).get(timeout=60)
        except InputError as error:
            tell([error.code, error.message, error.hint, type(error).__name__])
        """,
    )
    assert error[0] == "stage_order"
    assert "generate_script_task" in error[2]


@pytest.mark.parametrize(
    ("project_id", "code", "kind"),
    [
        ("999", "project_not_found", "NotFoundError"),
        ("0", "project_id_invalid", "InputError"),
        ("'../x'", "project_id_invalid", "InputError"),
        ("None", "project_id_invalid", "InputError"),
    ],
)
def test_a_wrong_id_is_a_clear_error(house: Bench, project_id: str, code: str, kind: str) -> None:
    told = house.call(
        f"""
        from app.errors import ReelchainError
        try:
            generate_script_task.delay(project_id={project_id}).get(timeout=60)
        except ReelchainError as error:
            tell([error.code, type(error).__name__])
        """,
    )
    assert told == [code, kind]


def test_progress_starts_with_the_latest_and_ends_by_itself(house: Bench) -> None:
    number = new(house)
    events = house.call(
        f"""
        video_pipeline({number}).apply_async()
        tell(list(subscribe_progress(project_id={number})))
        """,
    )
    assert [e["seq"] for e in events] == sorted({e["seq"] for e in events})
    percents = [e["progress"] for e in events]
    assert percents == sorted(percents)
    assert percents.count(100) == 1
    assert percents[-1] == 100
    assert events[-1]["status"] == "completed"
    assert {e["stage"] for e in events} >= {
        "script_generation",
        "video_rendering",
        "youtube_upload",
    }
    for event in events:
        assert {"project_id", "stage", "progress", "message", "timestamp"} <= set(event)


def test_a_partial_run_ends_pending(house: Bench) -> None:
    number = new(house)
    events = house.call(
        f"""
        generate_script_task.delay(project_id={number})
        tell(list(subscribe_progress(project_id={number})))
        """,
    )
    assert events[-1]["status"] == "pending"
    assert events[-1]["final"] is True


def test_a_failed_run_ends_the_subscription_with_its_error(house: Bench) -> None:
    number = new(house)
    house.call(f"tell(generate_script_task.delay(project_id={number}).get(timeout=60))")
    (house.data / f"projects/{number}/script.json").write_text('{"title": "x",\n "scenes": []}')
    told = house.call(
        f"""
        from app.errors import InputError
        result = video_pipeline({number}).apply_async()
        events = list(subscribe_progress(project_id={number}))
        try:
            result.get(timeout=60)
        except InputError as error:
            tell([events[-1], error.code])
        """,
    )
    assert told[0]["status"] == "failed"
    assert told[0]["error"]["code"] == told[1]


def test_a_change_of_the_script_by_hand_is_adopted(house: Bench) -> None:
    number = new(house)
    house.call(f"tell(generate_script_task.delay(project_id={number}).get(timeout=60))")
    path = house.data / f"projects/{number}/script.json"
    path.write_text(path.read_text().replace("It was blue.", "It was painted green."))
    house.call(f"tell(start({number}).get(timeout=120))")
    assert "painted green" in path.read_text()
    assert "painted green" in (path.parent / "captions.srt").read_text()


def test_the_same_project_started_twice_gives_both_the_same_outcome(house: Bench) -> None:
    number = new(house)
    told = house.call(
        f"""
        first, second = video_pipeline({number}).apply_async(), video_pipeline({number}).apply_async()
        tell([first.get(timeout=120), second.get(timeout=120)])
        """,
    )
    assert told[0]["video_url"] == told[1]["video_url"]
    assert {t["status"] for t in told} == {"completed"}
    history = (house.data / f"projects/{number}/events.jsonl").read_text()
    overlapping = _overlaps([json.loads(line) for line in history.splitlines()])
    assert not overlapping


def _overlaps(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return stage starts that came while another stage of the project was at work."""
    busy, found = False, []
    for event in events:
        if event["code"] == "stage_started":
            found += [event] if busy else []
            busy = True
        elif event["code"] in ("stage_completed", "stage_failed"):
            busy = False
    return found


def test_two_projects_at_once(house: Bench) -> None:
    one, two = new(house), new(house)
    told = house.call(
        f"""
        runs = [start({one}), start({two})]
        tell([run.get(timeout=120)["project_id"] for run in runs])
        """,
    )
    assert told == [one, two]


def test_a_batch_tells_each_projects_outcome_and_raises_for_none(house: Bench) -> None:
    good = str(story(house.folder))
    told = house.call(
        f"""
        batch = create_batch([{good!r}, {good!r}, {{"text": "# T\\n\\nHello there."}}], title="Doors")
        import pathlib
        broken = pathlib.Path({str(house.data)!r}) / "projects" / str(batch.projects[1]) / "source" / "story.md"
        broken.write_bytes(b"\\xff\\xfe\\x00broken\\x81")
        tell(batch_processing_task.delay(batch_id=batch.batch_id).get(timeout=5400))
        """,
    )
    assert told["status"] == "partial"
    assert told["counts"] == {"completed": 2, "failed": 1}
    assert [p["status"] for p in told["projects"]] == ["completed", "failed", "completed"]
    assert told["projects"][1]["error"]["code"]
    again = house.call(
        f"tell(batch_processing_task.delay(batch_id={told['batch_id']}).get(timeout=600))"
    )
    assert again["counts"] == told["counts"]


def test_debug_task_and_quotas(house: Bench) -> None:
    told = house.call(
        "tell([debug_task.delay().get(timeout=30), sync_quotas.delay().get(timeout=30)])"
    )
    assert told[0]["queue"] == "maintenance"
    assert told[0]["redis_version"]
    assert told[1]["closed"] == []


def test_names_routes_and_limits(house: Bench) -> None:
    told = house.call(
        """
        from app.tasks import STAGES
        router = celery_app.amqp.router
        def facts(task):
            return [task.name, router.route({}, task.name)["queue"].name, task.soft_time_limit, task.time_limit]
        tell([facts(t) for t in (*STAGES, batch_processing_task, sync_quotas, debug_task)])
        """,
    )
    assert told == [
        ["app.tasks.generate_script_task", "video_generation", 300, 360],
        ["app.tasks.generate_assets_task", "video_generation", 3600, 3660],
        ["app.tasks.render_video_task", "video_generation", 21600, 21660],
        ["app.tasks.generate_thumbnail_task", "video_generation", 300, 360],
        ["app.tasks.upload_to_youtube_task", "video_generation", 21600, 21660],
        ["app.tasks.batch_processing_task", "batch_processing", 300, 360],
        ["app.tasks.sync_quotas", "maintenance", 300, 360],
        ["app.celery_app.debug_task", "maintenance", 300, 360],
    ]


def test_a_finished_project_is_known_without_celery_until_something_changes(house: Bench) -> None:
    number = new(house)
    assert house.call(f"from app.pipeline import finished; tell(finished({number}))") is None
    first = house.call(f"tell(start({number}).get(timeout=120))")
    assert house.call(f"from app.pipeline import finished; tell(finished({number}))") == first
    thumbnail = house.data / f"projects/{number}/thumbnail.jpg"
    whole = thumbnail.read_bytes()
    thumbnail.write_bytes(whole[:-1] + b"?")
    assert house.call(f"from app.pipeline import finished; tell(finished({number}))") is None
    house.call(f"start({number}).get(timeout=120)")
    assert thumbnail.read_bytes() == whole


def test_a_start_that_joins_a_lone_task_still_makes_the_whole_video(narrow: Bench) -> None:
    number = new(narrow)
    narrow.call(f"generate_script_task.delay(project_id={number}).get(timeout=60)")
    told = narrow.call(
        f"""
        import time
        from app.pipeline import open_project
        lone = generate_assets_task.delay(project_id={number})
        while not open_project({number}).locked() and not lone.ready():
            time.sleep(0.005)
        whole, chained = start({number}), video_pipeline({number}).apply_async()
        tell([r.get(timeout=120)["stage"] for r in (lone, whole, chained)])
        """
    )
    assert told == ["asset_generation", "youtube_upload", "youtube_upload"]


def test_a_lone_task_between_a_pipelines_links_costs_neither_its_outcome(narrow: Bench) -> None:
    number = new(narrow)
    told = narrow.call(
        f"""
        whole = video_pipeline({number}).apply_async()
        lone = generate_script_task.delay(project_id={number})
        tell([r.get(timeout=120)["stage"] for r in (lone, whole)])
        """
    )
    assert told == ["script_generation", "youtube_upload"]


def test_a_premature_task_harms_nobody_elses_run(narrow: Bench) -> None:
    number = new(narrow)
    told = narrow.call(
        f"""
        from app.errors import InputError
        whole = video_pipeline({number}).apply_async()
        early = upload_to_youtube_task.delay(project_id={number})
        try:
            early = early.get(timeout=60)["stage"]
        except InputError as error:
            early = error.code
        tell([early, whole.get(timeout=120)["stage"]])
        """
    )
    assert told == ["stage_order", "youtube_upload"]


def test_a_caller_may_hand_on_a_result_himself(house: Bench) -> None:
    number = new(house)
    told = house.call(
        f"""
        script = generate_script_task.delay(project_id={number}).get(timeout=60)
        first = generate_assets_task.delay(script).get(timeout=60)
        again = generate_assets_task.delay(script).get(timeout=60)
        tell([first["run"] - script["run"], again["run"] - script["run"], status({number})["status"]])
        """
    )
    assert told == [1, 2, "pending"]


def test_from_a_stage_does_not_pull_the_ground_from_under_a_run(narrow: Bench) -> None:
    number = new(narrow)
    told = narrow.call(
        f"""
        from app.errors import InputError
        whole = start({number})
        try:
            start({number}, from_stage="script_generation")
            code = "started"
        except InputError as error:
            code = error.code
        tell([code, whole.get(timeout=120)["status"]])
        """
    )
    assert told == ["project_running", "completed"]


def test_an_edit_at_the_moment_of_the_start_is_waited_for(house: Bench) -> None:
    number = new(house)
    told = house.call(
        f"""
        import threading
        from app.pipeline import open_project
        from app.project import EDIT
        held, over = threading.Event(), threading.Event()
        def edit():
            with open_project({number}).lock(purpose=EDIT):
                held.set()
                over.wait(3)
        thread = threading.Thread(target=edit)
        thread.start()
        held.wait()
        result = video_pipeline({number}).apply_async()
        over.wait(1.5)
        over.set()
        thread.join()
        tell(result.get(timeout=120)["status"])
        """
    )
    assert told == "completed"


def test_no_secret_of_an_error_reaches_anybody(house: Bench) -> None:
    number = new(house)
    told = house.call(
        """
        from app.errors import PermanentError
        from app.tasks import _execution
        error = _execution._named(PermanentError("x", "GET /v1?key=SECRET1 failed", "see redis://:SECRET2@h/0"), None)
        tell([str(error), list(error.args)])
        """
    )
    assert "SECRET" not in json.dumps(told)
    assert number
