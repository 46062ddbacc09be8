"""Money: every paid call is booked whatever dies when; no budget is passed; the sums are shown."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import Result
from typer.testing import CliRunner

import app.cli
from _crash import Machine
from _finished import finished
from _mutations import stage_of
from _processes import in_processes, killed
from app import (
    batch,
    forecast,
    pipeline,
    playlist,
    prices,
    providers,
    settings,
    spending,
    throttle,
)
from app.errors import BudgetError, Cancelled, InputError, StateError
from app.models import FEEDS, Script
from app.project import STAGE_ORDER, Project, Spend, spend
from app.providers import ScriptRequest
from app.providers.template import TemplateWriter
from app.spending import Usage
from app.tasks import dispatch
from app.tasks._context import inputs_of, is_made
from app.tasks._purse import ProjectPurse

SCRIPT, ASSETS = STAGE_ORDER[:2]
MODEL = "gemini/gemini-3.8-flash"
PICTURE = Usage(service="gemini", model="gemini-3-pro-image", pictures=1)
"""13.4 cents."""


@pytest.fixture(autouse=True)
def autumn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "today", lambda: date(2026, 11, 21))


def words(tokens: int = 1000) -> Usage:
    """A thousand tokens out are 0.375 cents."""
    return Usage(service="gemini", model="gemini-3.8-flash", output_tokens=tokens)


def new(**fields: Any) -> Project:
    return pipeline.create_project({"topic": "Tea", **fields})


@contextlib.contextmanager
def purse_of(project: Project) -> Iterator[ProjectPurse]:
    with ProjectPurse(project, ASSETS) as made, spending.listening(made):
        yield made


def pay(usage: Usage, *, asked: Usage | None = None) -> None:
    with spending.call(asked or usage):
        spending.paid(usage)


def ask(usage: Usage) -> None:
    """Begin a call that comes to nothing."""
    with spending.call(usage):
        pass


def book(project: Project) -> dict[str, Spend]:
    return project.state().spend


def lines(project: Project) -> list[dict[str, Any]]:
    text = (project.folder / "events.jsonl").read_text()
    return [event for event in map(json.loads, text.splitlines()) if event["code"] == "spend"]


def reelchain(*arguments: str) -> Result:
    return CliRunner().invoke(app.cli.app, arguments)


# -- the book


def test_a_paid_call_is_a_line_and_a_sum() -> None:
    project = new()
    with purse_of(project):
        pay(words())
        pay(words(200))
        pay(PICTURE)
    rows = book(project)
    assert rows[MODEL].model_dump() == {
        "calls": 2, "input_tokens": 0, "output_tokens": 1200, "pictures": 0, "characters": 0,
        "untold": 0, "usd": "0.0045",
    }  # fmt: skip
    assert rows["gemini/gemini-3-pro-image"].usd == "0.134"
    told = lines(project)
    assert [event["usd"] for event in told] == ["0.00375", "0.00075", "0.134"]
    assert {event["stage"] for event in told} == {ASSETS}


def test_costs_stay_over_runs_and_over_whatever_is_made_anew() -> None:
    project = new()
    for _ in range(2):
        project.begin_run(STAGE_ORDER)
        with purse_of(project):
            pay(PICTURE)
        project.forget(STAGE_ORDER)
    assert book(project)["gemini/gemini-3-pro-image"].calls == 2


def test_a_call_is_booked_although_its_run_is_over() -> None:
    project = new()
    run = project.begin_run(STAGE_ORDER)
    with project.lock():
        project.claim(run, ASSETS, "task")
        with purse_of(project), spending.call(PICTURE):
            project.cancel()
            spending.paid(PICTURE)
    assert book(project)["gemini/gemini-3-pro-image"].calls == 1
    assert project.state().status == "cancelled"


def test_a_call_that_outlives_its_stage_is_booked_and_no_other_is_begun() -> None:
    made = pipeline.create_batch(["Tea"], budget=5)
    project = pipeline.open_project(made.projects[0])
    asked, over = threading.Event(), threading.Event()
    told: list[type[BaseException]] = []

    def call() -> None:
        with spending.call(PICTURE):
            asked.set()
            over.wait(30)
            spending.paid(PICTURE)
        try:
            ask(PICTURE)
        except Cancelled as error:
            told.append(type(error))

    with purse_of(project):
        thread = threading.Thread(target=copy_context().run, args=(call,))
        thread.start()
        assert asked.wait(30)
    over.set()
    thread.join(30)
    assert told == [Cancelled]
    assert [row.calls for row in book(project).values()] == [1]
    assert list((made.folder / "asked").iterdir()) == []


def test_calls_of_many_threads_are_all_booked() -> None:
    project = new()
    with purse_of(project):
        from contextvars import copy_context

        several = [
            threading.Thread(target=copy_context().run, args=(pay, words())) for _ in range(20)
        ]
        for thread in several:
            thread.start()
        for thread in several:
            thread.join()
    assert (book(project)[MODEL].calls, book(project)[MODEL].usd) == (20, "0.075")
    assert len(lines(project)) == 20


def paid_before() -> Project:
    project = new()
    with purse_of(project):
        pay(words())
    return project


def test_a_kill_anywhere_loses_nothing_that_is_a_line() -> None:
    first = paid_before()
    with Machine().running() as machine, purse_of(first):
        pay(words())
    found: list[int] = []
    for at in range(1, machine.count + 1):
        project = paid_before()

        def work(project: Project = project, at: int = at) -> None:
            with Machine(at, "torn", kill=True).running(), purse_of(project):
                pay(words())

        assert killed(work)
        calls = spend.booked(project.folder, project.state())[MODEL].calls
        found.append(calls)
        assert pipeline.status(project.id)["spend"]["rows"][0]["calls"] == calls
        with purse_of(project):  # the next worker's first call
            pay(words())
        assert book(project)[MODEL].calls == calls + 1
        assert Decimal(book(project)[MODEL].usd or 0) == Decimal("0.00375") * (calls + 1)
    # the line itself is the only moment at which the call in flight is lost
    assert found == [1] + [2] * (machine.count - 1)


def test_a_kill_right_after_the_answer_was_told_loses_nothing() -> None:
    project = new()

    def work() -> None:
        with purse_of(project):
            pay(PICTURE)
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(work)
    assert book(project)["gemini/gemini-3-pro-image"].usd == "0.134"


def test_a_history_that_is_gone_or_strange_takes_nothing_from_the_sums() -> None:
    project = new()
    with purse_of(project):
        pay(PICTURE)
    history = project.folder / "events.jsonl"
    history.write_text('{"code": "spend"}\n{"code": "spend", "calls": -1}\n["spend"]\n"spend\n')
    with purse_of(project):
        pay(PICTURE)
    assert book(project)["gemini/gemini-3-pro-image"].calls == 2
    history.unlink()
    assert pipeline.status(project.id)["spend"]["usd"] == "0.268"


def test_an_answer_that_does_not_say_what_it_used_costs_the_most_it_may() -> None:
    project = new()
    with purse_of(project):
        pay(words(0), asked=words(4000))
    assert book(project)[MODEL].usd == "0.015"


def test_an_unknown_model_costs_unknown_until_somebody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new()
    strange = Usage(service="openai", model="qwen3:8b", input_tokens=500_000)
    with purse_of(project):
        pay(strange)
        pay(PICTURE)
    told = pipeline.status(project.id)["spend"]
    assert (told["usd"], told["known_usd"], told["unknown"]) == (None, "0.134", ["openai/qwen3:8b"])
    (tmp_path / "prices.yaml").write_text("models: {openai/*: {input: 0.2}}")
    monkeypatch.setenv("PRICES_FILE", str(tmp_path / "prices.yaml"))
    settings.get.cache_clear()
    assert pipeline.status(project.id)["spend"]["usd"] == "0.234"


def test_a_call_that_nobody_can_count_stays_unknown() -> None:
    project = new()
    with purse_of(project):
        spending.paid(words(0))
        pay(words())
    assert pipeline.status(project.id)["spend"]["unknown"] == [MODEL]


# -- budgets


def test_no_call_is_begun_that_may_pass_the_budget() -> None:
    project = new(budget=0.3)
    with purse_of(project):
        pay(PICTURE)
        pay(PICTURE)
        with pytest.raises(BudgetError) as caught:
            ask(PICTURE)
        ask(words())
    error = caught.value
    assert (error.code, error.exit_code) == ("budget_reached", 13)
    assert "has cost $0.2680 of its budget of $0.30" in error.message
    assert "the next call (gemini/gemini-3-pro-image) may cost $0.1340" in error.message
    assert error.hint.endswith(f"./reelchain run {project.id} --budget 0.60")


def test_a_budget_may_be_spent_to_the_last_digit() -> None:
    project = new(budget=0.402)
    with purse_of(project):
        for _ in range(3):
            pay(PICTURE)
        with pytest.raises(BudgetError):
            ask(words(1))


def test_calls_at_once_share_what_is_left() -> None:
    project = new(budget=0.5)
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def call(purse: ProjectPurse) -> None:
        barrier.wait(10)
        try:
            purse.ask(PICTURE)
            outcomes.append("asked")
        except BudgetError as error:
            outcomes.append(error.code)
        barrier.wait(10)  # all of them are on their way

    with purse_of(project) as purse:
        several = [threading.Thread(target=call, args=(purse,)) for _ in range(8)]
        for thread in several:
            thread.start()
        for thread in several:
            thread.join()
        assert sorted(outcomes) == ["asked"] * 3 + ["budget_reached"] * 5
        for _ in range(3):  # what dead threads asked for is free again
            pay(PICTURE)


def test_a_thread_left_behind_in_the_line_for_a_call_leaves_it() -> None:
    project = new()
    outcomes: list[str] = []
    waits = threading.Event()

    def call() -> None:
        waits.set()
        try:
            with throttle.slot("service", at_once=1, patience=600):
                outcomes.append("called")
        except Cancelled as error:
            outcomes.append(error.code)

    with throttle.slot("service", at_once=1):
        with purse_of(project):
            left = threading.Thread(target=copy_context().run, args=(call,))
            left.start()
            assert waits.wait(10)
        left.join(10)
        assert not left.is_alive()
    assert outcomes == ["cancelled"]


def test_a_call_that_came_to_nothing_keeps_nothing() -> None:
    project = new(budget=0.2)
    with purse_of(project):
        for _ in range(4):  # a 503 each, and no answer to pay for
            ask(PICTURE)
        pay(PICTURE)
    assert book(project)["gemini/gemini-3-pro-image"].calls == 1


def test_an_idle_thread_keeps_nothing_of_a_call_that_was_refused() -> None:
    made = playlist.create_batch([{"topic": "a"}, {"topic": "b"}], budget=0.2)
    one, two = (pipeline.open_project(number) for number in made.projects)
    refused, over = threading.Event(), threading.Event()

    def call() -> None:
        with contextlib.suppress(ConnectionError), spending.call(PICTURE):
            raise ConnectionError
        refused.set()
        over.wait(30)

    with purse_of(one):
        thread = threading.Thread(target=copy_context().run, args=(call,))
        thread.start()
        assert refused.wait(30)
        ask(PICTURE)
        with purse_of(two):
            pay(PICTURE)
    assert list((made.folder / "asked").iterdir()) == []
    over.set()
    thread.join(30)


def test_a_stage_that_a_refused_call_ended_keeps_nothing_of_its_batch() -> None:
    made = playlist.create_batch([{"topic": "a"}], budget=0.2)
    with (
        pytest.raises(ConnectionError) as caught,
        purse_of(pipeline.open_project(made.projects[0])),
        spending.call(PICTURE),
    ):
        raise ConnectionError
    assert caught.value.__traceback__  # the stage's frames are still held
    assert list((made.folder / "asked").iterdir()) == []


def test_more_is_allowed_as_soon_as_somebody_says_so() -> None:
    project = new(budget=0)
    with purse_of(project):
        with pytest.raises(BudgetError):
            ask(PICTURE)
        pipeline._allow(project, 1)
        pay(PICTURE)


def test_what_costs_nothing_is_never_refused() -> None:
    project = new(budget=0)
    with purse_of(project):
        pay(Usage(service="pexels", model="", pictures=1))
        pay(Usage(service="kokoro", model="", characters=100))
    assert pipeline.status(project.id)["spend"]["usd"] == "0"


def test_with_a_budget_nothing_may_have_an_unknown_price(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Usage(service="openai", model="qwen3:8b", input_tokens=5)
    project = new()
    with purse_of(project):
        pay(strange)
        monkeypatch.setenv("PROJECT_BUDGET", "5")
        settings.get.cache_clear()
        for asked in (strange, PICTURE):
            with pytest.raises(BudgetError) as caught:
                ask(asked)
            assert caught.value.code == "price_unknown"
            assert "openai/qwen3:8b" in caught.value.message
            assert "PRICES_FILE" in caught.value.hint


def test_the_projects_own_budget_wins_over_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_BUDGET", "0.01")
    settings.get.cache_clear()
    with purse_of(new(budget=1)):
        pay(PICTURE)
    with purse_of(new()), pytest.raises(BudgetError):
        ask(PICTURE)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), 100_001, True, "lots", [5]])
def test_a_wrong_budget_is_refused_and_changes_nothing(wrong: Any) -> None:
    project = new(budget=2)
    with pytest.raises(InputError) as caught:
        pipeline._allow(project, wrong)
    assert caught.value.code == "budget_invalid"
    with pytest.raises(InputError):
        playlist.create_batch({"projects": [{"topic": "a"}], "budget": wrong})
    assert project.state().spec.budget == 2


# -- a batch's budget


def test_a_batchs_budget_is_of_all_its_projects_together() -> None:
    made = playlist.create_batch([{"topic": "a"}, {"topic": "b"}], budget=0.3)
    one, two = (pipeline.open_project(number) for number in made.projects)
    with purse_of(one):
        pay(PICTURE)
    with purse_of(two):
        pay(PICTURE)
        with pytest.raises(BudgetError) as caught:
            ask(PICTURE)
        assert caught.value.message.startswith("Batch 1 has cost $0.2680")
        assert "./reelchain batch run 1 --budget 0.60" in caught.value.hint
        batch.allow(made.batch_id, 1)
        pay(PICTURE)
    assert not list((made.folder / "asked").iterdir())
    told = playlist.status(made.batch_id)["spend"]
    assert (told["usd"], told["budget"], told["rows"][0]["calls"]) == ("0.402", 1, 3)


def test_processes_of_one_batch_do_not_pass_its_budget_together() -> None:
    made = playlist.create_batch([{"topic": str(n)} for n in range(6)], budget=0.5)
    together = multiprocessing.get_context("fork").Barrier(6)

    def work(number: int) -> str:
        with purse_of(pipeline.open_project(made.projects[number])):
            together.wait(30)
            try:
                with spending.call(PICTURE):
                    together.wait(30)
                    spending.paid(PICTURE)
            except BudgetError as error:
                together.wait(30)
                return error.code
            return "paid"

    outcomes = in_processes(6, work)
    assert sorted(outcomes) == ["budget_reached"] * 3 + ["paid"] * 3
    assert playlist.status(made.batch_id)["spend"]["usd"] == "0.402"


def test_what_a_killed_process_asked_for_is_free_again() -> None:
    made = playlist.create_batch([{"topic": "a"}, {"topic": "b"}], budget=0.2)
    one, two = (pipeline.open_project(number) for number in made.projects)

    def work() -> None:
        with purse_of(one), spending.call(PICTURE):
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(work)
    with purse_of(two):
        pay(PICTURE)
    assert not list((made.folder / "asked").iterdir())


def test_a_line_of_a_dead_sibling_counts_before_its_sum_does() -> None:
    made = playlist.create_batch([{"topic": "a"}, {"topic": "b"}], budget=0.2)
    one, two = (pipeline.open_project(number) for number in made.projects)
    one.log(spend.CODE, stage=ASSETS, run=1, **spend.line(PICTURE, Decimal("0.134")))
    with purse_of(two), pytest.raises(BudgetError):
        ask(PICTURE)


def test_a_sibling_whose_state_is_damaged_counts_by_its_history() -> None:
    made = playlist.create_batch([{"topic": "a"}, {"topic": "b"}], budget=0.3)
    one, two = (pipeline.open_project(number) for number in made.projects)
    with purse_of(one):
        pay(PICTURE)
    for path in one.folder.glob("project_state*.json"):
        path.write_text("{")
    with pytest.raises(StateError):
        one.state()
    with purse_of(two):
        pay(PICTURE)
        with pytest.raises(BudgetError):
            ask(PICTURE)


def test_a_playlist_says_its_budget_and_an_option_wins(tmp_path: Path) -> None:
    path = tmp_path / "playlist.yaml"
    path.write_text("budget: 12.5\ndefaults: {budget: 2}\nprojects:\n  - topic: Tea\n")
    assert json.loads(reelchain("batch", "new", str(path), "--json").stdout)["budget"] == 12.5
    told = json.loads(reelchain("batch", "new", str(path), "--budget", "3", "--json").stdout)
    assert told["budget"] == 3
    assert pipeline.open_project(1).state().spec.budget == 2
    assert batch.load(1).budget == 12.5
    assert reelchain("batch", "new", str(path), "--budget", "-3").exit_code != 0


# -- what a budget does to what is made


def test_a_change_of_the_budget_leaves_a_finished_project_finished() -> None:
    project = finished()
    before = project.state()
    assert FEEDS["budget"] is None
    outcome = pipeline.start(project.id, budget=7).get(timeout=5)
    state = project.state()
    assert (outcome["status"], state.spec.budget) == ("completed", 7)
    assert state.stages == before.stages
    assert dispatch.first_to_make(project, state) is None
    assert pipeline.finished(project.id) is not None


def test_only_fields_that_feed_a_stage_count_for_it() -> None:
    project = finished()
    state = project.state()
    digests = {stage: inputs_of(project, state, stage) for stage in STAGE_ORDER}
    state.spec = state.spec.model_copy(update={"budget": 3.0})
    assert {stage: inputs_of(project, state, stage) for stage in STAGE_ORDER} == digests
    state.spec = state.spec.model_copy(update={"music": "none"})
    made = [stage for stage in STAGE_ORDER if is_made(project, state, stage)]
    assert made == [SCRIPT, ASSETS]


def test_a_budget_holds_until_another_is_said(tmp_path: Path) -> None:
    path = tmp_path / "tea.md"
    path.write_text("# Tea\n\nBoil it.\n")
    made = json.loads(reelchain("new", str(path), "--budget", "2", "--json").stdout)["project_id"]
    pipeline.update_project(made, path)
    assert pipeline.open_project(made).state().spec.budget == 2
    pipeline.update_project(made, path, overrides={"budget": 3})
    assert pipeline.open_project(made).state().spec.budget == 3
    path.write_text("---\nbudget: 4.5\n---\n# Tea\n\nBoil it.\n")
    pipeline.update_project(made, path)
    assert pipeline.open_project(made).state().spec.budget == 4.5


# -- a stage


class PaidWriter:
    name: ClassVar[str] = "paid"
    version: ClassVar[str] = "1"
    after: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    def write(self, request: ScriptRequest) -> Script:
        pay(words(), asked=words(8000))
        type(self).after()
        return TemplateWriter().write(request)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> type[PaidWriter]:
    monkeypatch.setitem(providers.TABLE["script"], "paid", "nowhere.PaidWriter")
    monkeypatch.setitem(providers._made, ("script", "paid"), PaidWriter())
    monkeypatch.setenv("SCRIPT_PROVIDER", "paid")
    settings.get.cache_clear()
    return PaidWriter


@pytest.mark.redis
def test_a_stage_that_reaches_its_budget_fails_and_goes_on_with_more(
    redis_url: str, writer: type[PaidWriter]
) -> None:
    project = new(budget=0.02)
    with pytest.raises(BudgetError) as caught:
        stage_of(SCRIPT, project.id)
    assert caught.value.code == "budget_reached"
    state = project.state()
    fact = state.failure()
    assert fact is not None
    assert (state.status, fact.code, state.spend) == ("failed", "budget_reached", {})
    pipeline._allow(project, 0.05)
    assert stage_of(SCRIPT, project.id)["status"] == "completed"
    assert book(project)[MODEL].calls == 1
    assert [event["stage"] for event in lines(project)] == [SCRIPT]


@pytest.mark.redis
def test_an_answer_that_is_worth_nothing_is_booked_all_the_same(
    redis_url: str, writer: type[PaidWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    def worthless() -> None:
        raise InputError("script_invalid", "No script at all.")

    monkeypatch.setattr(writer, "after", staticmethod(worthless))
    project = new()
    with pytest.raises(InputError):
        stage_of(SCRIPT, project.id)
    assert book(project)[MODEL].usd == "0.00375"


# -- shown


def test_show_says_what_each_model_was_used_for_and_the_whole() -> None:
    project = new(budget=1)
    with purse_of(project):
        pay(words(1200))
        pay(PICTURE)
    said = reelchain("show", str(project.id))
    assert said.exit_code == 0, said.output
    row = next(line for line in said.stdout.splitlines() if MODEL in line)
    assert row.split() == [MODEL, "1", "1200", "$0.0045"]
    assert "cost          $0.1385 (budget $1.00)" in said.stdout
    told = json.loads(reelchain("show", str(project.id), "--json").stdout)["spend"]
    assert (told["usd"], told["budget"]) == ("0.1385", 1)
    assert [row["model"] for row in told["rows"]] == ["gemini/gemini-3-pro-image", MODEL]


def test_show_says_unknown_and_how_much_is_known() -> None:
    project = new()
    with purse_of(project):
        pay(Usage(service="openai", model="m", input_tokens=7))
        pay(PICTURE)
    said = reelchain("show", str(project.id)).stdout
    assert "unknown: at least $0.1340, and what openai/m costs" in said


def test_a_project_without_costs_and_budget_has_no_table_of_them() -> None:
    assert "cost" not in reelchain("show", str(new().id)).stdout


def test_batch_show_has_the_whole() -> None:
    made = playlist.create_batch([{"topic": "a"}, {"topic": "b"}])
    for number in made.projects:
        with purse_of(pipeline.open_project(number)):
            pay(PICTURE)
    assert "cost          $0.2680" in reelchain("batch", "show", "1").stdout
    told = json.loads(reelchain("batch", "show", "1", "--json").stdout)
    assert told["spend"]["usd"] == "0.268"


# -- estimates


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, chain in (
        ("SCRIPT_PROVIDER", "gemini,template"),
        ("SPEECH_PROVIDER", "kokoro"),
        ("IMAGE_PROVIDER", "gemini, pexels"),
        ("GEMINI_API_KEY", "k"),
        ("PEXELS_API_KEY", "k"),
        ("GEMINI_IMAGE_MODEL", "gemini-3-pro-image"),
    ):
        monkeypatch.setenv(name, chain)
    settings.get.cache_clear()


def test_an_estimate_says_how_many_calls_are_paid_and_how_much(chains: None) -> None:
    story = {"text": "# T\n\n## One\n\nHello there.\n\n## Two\n\nGood bye.\n"}
    told = playlist.preview([story])["estimate"]
    assert told["paid_calls"] == 2
    assert Decimal("0.268") < Decimal(told["usd"]) < Decimal("0.27")
    told = playlist.preview([story, {"topic": "Tea", "length": 80}])["estimate"]
    assert told["paid_calls"] == 2 + 1 + 10
    assert (told["usd_note"], told["prices_of"]) == (None, "2026-11-21")
    assert Decimal("1.608") < Decimal(told["usd"]) < Decimal("1.70")


def test_an_estimate_does_not_guess_what_nobody_knows(
    chains: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_IMAGE_MODEL", "gemini-9-image")
    settings.get.cache_clear()
    told = forecast.estimate([forecast.Job("t", "en", "x", 40.0, to_draw=5)])
    assert (told["paid_calls"], told["usd"]) == (5, None)
    assert "gemini/gemini-9-image" in told["usd_note"]
    said = reelchain("make", "Tea", "--dry-run").stdout
    assert "cost unknown (no price is known of gemini/gemini-9-image)" in said


def test_what_is_made_costs_nothing_more(chains: None) -> None:
    job = forecast.Job("t", "en", "x", 40.0, done=(SCRIPT, ASSETS), topic=True, to_draw=5)
    told = forecast.estimate([job])
    assert (told["paid_calls"], told["usd"]) == (0, "0")


def test_the_dry_run_of_a_batch_says_the_costs(chains: None, tmp_path: Path) -> None:
    path = tmp_path / "playlist.yaml"
    path.write_text("projects:\n  - {topic: Tea, length: 80}\n")
    said = reelchain("batch", "new", str(path), "--dry-run").stdout
    assert "about 11 paid calls, about $1.3" in said
    assert "prices of 2026-11-21" in said
