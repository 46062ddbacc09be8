"""The pages agree with the code and with each other, and lead nowhere that does not exist."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
import yaml
from pydantic.fields import FieldInfo

import app.cli
from _pages import PAGES, READMES, ROOT, anchors, code_spans, commands, fences, links, table
from app import errors, settings
from app.celery_app import QUEUES, _configuration, celery_app
from app.models import FEEDS, Event, ProjectSpec
from app.project import STAGE_ORDER
from app.providers._stock import StockSettings
from app.providers.gemini.config import GeminiSettings
from app.providers.openai import OpenAISettings
from app.providers.youtube.config import YouTubeSettings
from app.tasks import STAGES

OPERATIONS = ROOT / "docs" / "operations.md"
ERRORS = ROOT / "docs" / "errors.md"
DEPENDENCIES = ROOT / "docs" / "dependencies.md"

NAMED_BY_THE_OWNER = (
    "celery", "redis", "google-generativeai", "moviepy", "ffmpeg-python", "pillow",
    "google-api-python-client", "pydantic", "flower", "pytest",
)  # fmt: skip
COMMANDS_OF_THE_OWNER = (
    "pip install -r requirements.txt",
    "celery -A app.celery_app worker --loglevel=info",
    "celery -A app.celery_app worker -Q video_generation -c 2 --loglevel=info",
    "celery -A app.celery_app worker -Q batch_processing -c 1 --loglevel=info",
    "celery -A app.celery_app worker -Q maintenance -c 1 --loglevel=info",
    "celery -A app.celery_app beat --loglevel=info",
    "celery -A app.celery_app flower --port=5555",
)
OUTSIDE_COMMANDS_OF_THE_OWNER = (
    "docker run -d -p 6379:6379 redis:7-alpine",
    "brew services start redis",
    "redis-cli ping",
    "lsof -i :6379",
    "progress:{project_id}",
)


def bare(cell: str) -> str:
    return cell.strip("`")


both = pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


# -- every page


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert unquote(anchor) in anchors(file), target


@every_page
def test_no_page_holds_a_path_of_one_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"/(?:home|root|tmp|work|Users|usr|opt)/\S*", text)


ALSO_ALONE = ("voices",)
"""Commands that others stand below, and that do something without one."""


def command_names() -> dict[str, set[str]]:
    """Return each command of the command line with the commands below it."""
    group: Any = typer.main.get_command(app.cli.app)
    return {name: set(getattr(found, "commands", ())) for name, found in group.commands.items()}


def told_commands(page: Path) -> Iterator[list[str]]:
    for text in (*commands(page), *code_spans(page)):
        if found := re.match(r"(?:\./)?reelchain\s+(.+)", text):
            yield found[1].split()


@every_page
def test_every_command_told_exists(page: Path) -> None:
    known = command_names()
    for words in told_commands(page):
        assert words[0] in known, words
        if known[words[0]] and words[0] not in ALSO_ALONE:
            assert words[1] in known[words[0]], words


def test_every_command_is_told() -> None:
    told = {words[0] for page in READMES[:1] for words in told_commands(page)}
    assert set(command_names()) - told <= {"bench"}


def test_the_picture_of_the_result_is_a_small_jpeg() -> None:
    picture = (ROOT / "docs" / "demo.jpg").read_bytes()
    assert picture[:3] == b"\xff\xd8\xff"
    assert len(picture) <= 400_000


# -- both READMEs


@both
def test_who_knows_the_first_pipeline_finds_its_commands(page: Path) -> None:
    assert set(COMMANDS_OF_THE_OWNER) <= set(commands(page))
    assert set(OUTSIDE_COMMANDS_OF_THE_OWNER) <= set(code_spans(page))


def test_both_readmes_have_the_same_commands() -> None:
    english, chinese = ([re.sub(r'"[^"]*"', '"…"', c) for c in commands(p)] for p in READMES)
    assert english == chinese


def test_both_readmes_have_the_same_snippets() -> None:
    english, chinese = (
        [ast.dump(ast.parse(fence.text)) for fence in fences(page, "python")] for page in READMES
    )
    assert english == chinese
    assert [f.text for f in fences(READMES[0], "env")] == [
        f.text for f in fences(READMES[1], "env")
    ]


def shape(value: Any) -> Any:
    """Return a document with its words taken out."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)


def test_both_readmes_have_the_same_files() -> None:
    told = [[(f.language, f.name) for f in fences(page)] for page in READMES]
    assert told[0] == told[1]
    for english, chinese in zip(*(fences(page, "yaml") for page in READMES), strict=True):
        assert shape(yaml.safe_load(english.text)) == shape(yaml.safe_load(chinese.text))


def test_both_readmes_have_the_same_tables() -> None:
    for heads in (("task", "任務"), ("path", "路徑"), ("setting", "設定")):
        told = [
            [row[head] for row in table(page, head)]
            for page, head in zip(READMES, heads, strict=True)
        ]
        assert told[0]
        assert [re.findall(r"`[^`]+`", cell) for cell in told[0]] == [
            re.findall(r"`[^`]+`", cell) for cell in told[1]
        ]


@both
def test_the_settings_block_is_read_as_it_stands(page: Path, tmp_path: Path) -> None:
    (fence,) = fences(page, "env")
    file = tmp_path / ".env"
    file.write_text(fence.text)
    read = settings.load(settings.Settings, _env_file=file)
    assert {name.upper() for name in read.model_fields_set} >= set(
        re.findall(r"^(\w+)=", fence.text, re.MULTILINE)
    )
    assert read.redis_url == "redis://localhost:6379/0"
    assert read.celery_result_backend is not None
    assert read.celery_result_backend.get_secret_value() == read.redis_url


@both
def test_the_progress_message_is_one_of_ours(page: Path) -> None:
    (fence,) = fences(page, "json")
    event = Event.model_validate(json.loads(fence.text))
    assert event.stage in STAGE_ORDER
    assert set(STAGE_ORDER) <= set(code_spans(page))


@both
def test_tasks_stand_with_their_queues(page: Path) -> None:
    heads = ("task", "queue") if page is READMES[0] else ("任務", "佇列")
    told = {bare(row[heads[0]]): bare(row[heads[1]]) for row in table(page, heads[0])}
    route = celery_app.amqp.router.route
    names = [task.name for task in STAGES]
    names += [
        "app.tasks.batch_processing_task",
        "app.tasks.sync_quotas",
        "app.celery_app.debug_task",
    ]
    assert told == {n.rpartition(".")[2]: route({}, n)["queue"].name for n in names}


@both
def test_its_settings_have_the_defaults_told(page: Path) -> None:
    heads = ("setting", "default") if page is READMES[0] else ("設定", "預設值")
    for row in table(page, heads[0]):
        field = settings.Settings.model_fields[bare(row[heads[0]]).lower()]
        assert bare(row[heads[1]]) == str(field.default)


def test_the_layers_told_are_those_that_are_checked() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    checked = [set(layer.split(" | ")) for layer in contract["contracts"][0]["layers"]]
    rows = table(ROOT / "docs" / "architecture.md", "layer")
    assert [set(re.findall(r"`(\w+)`", row["layer"])) for row in rows] == checked


# -- operations


def test_operations_list_every_setting_with_its_default() -> None:
    rows = [row for row in table(OPERATIONS, "setting") if "default" in row]
    told = {bare(row["setting"]): bare(row["default"]) for row in rows if row["setting"].isupper()}
    kinds = (settings.Settings, GeminiSettings, YouTubeSettings, OpenAISettings, StockSettings)
    fields = {name: field for kind in kinds for name, field in kind.model_fields.items()}
    assert told == {name.upper(): _told_default(field) for name, field in fields.items()}


def _told_default(field: FieldInfo) -> str:
    empty = field.default is None or field.default_factory is not None
    return "" if empty else str(field.default)


def test_operations_list_every_setting_of_a_project_with_its_stage() -> None:
    told = {
        bare(row["setting"]): row["remakes from"]
        for row in table(OPERATIONS, "setting")
        if "remakes from" in row
    }
    short = {
        "script_generation": "script",
        "asset_generation": "assets",
        "video_rendering": "render",
        "youtube_upload": "upload",
        None: "nothing",
    }
    fields = (name for name in ProjectSpec.model_fields if name != "source")
    assert told == {name: short[FEEDS[name]] for name in fields}


def test_operations_list_the_fields_of_a_progress_message() -> None:
    assert {bare(row["field"]) for row in table(OPERATIONS, "field")} == set(Event.model_fields)


def test_operations_list_the_queues() -> None:
    assert tuple(bare(row["queue"]) for row in table(OPERATIONS, "queue")) == QUEUES


def flat(value: Any, names: set[str]) -> set[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            names.add(name)
            flat(inner, names)
    return names


def test_operations_tell_of_celery_settings_that_are_set() -> None:
    known = flat(_configuration(), set())
    rows = [row for row in table(OPERATIONS, "setting") if "why" in row]
    told = {
        part
        for row in rows
        for name in re.findall(r"`([a-z_.]+)`", row["setting"])
        for part in name.split(".")
    }
    assert len(rows) > 10
    assert told <= known


# -- errors


_RAISES = re.compile(r"Error\(|\bRule\(|\brefuse\(|\bcode=")


def raised() -> tuple[dict[str, set[str]], set[str]]:
    """Return code → names of the classes it is raised as, and the patterns of computed codes."""
    classes = {kind.__name__ for kind in errors._subclasses(errors.ReelchainError)}
    found: dict[str, set[str]] = {}
    computed: set[str] = set()
    for path in (ROOT / "backend" / "app").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not _RAISES.search(text):  # most files: no need to take them apart
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                _collect(node, classes, found, computed)
    return found, computed


def _collect(
    call: ast.Call, classes: set[str], found: dict[str, set[str]], computed: set[str]
) -> None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = [k.value for k in call.keywords if k.arg == "code"]
    if name == "Rule":  # of a table: class and code
        name, given = getattr(call.args[0], "id", ""), call.args[1:2]
    elif name in classes or name == "refuse":
        given += call.args[:1]
    elif not (given and name == "inner_path"):
        return
    for code in given:
        if isinstance(code, ast.Constant) and re.fullmatch(r"[a-z][a-z_]+", str(code.value)):
            found.setdefault(str(code.value), set()).add(name if name in classes else "InputError")
        elif isinstance(code, ast.JoinedStr):
            computed.add("".join(map(_pattern, code.values)))


def _pattern(part: ast.expr) -> str:
    return re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[a-z]+"


def test_every_error_code_has_its_row_and_every_row_its_code() -> None:
    found, computed = raised()
    told = {
        bare(row["code"]): set(re.findall(r"`(\w+)`", row["class"]))
        for row in table(ERRORS, "code")
    }
    assert set(found) - set(told) == set(), "not on the page"
    made = {code for code in told if any(re.fullmatch(p, code) for p in computed)}
    assert set(told) - set(found) - made == set(), "on the page only"
    for pattern in computed:
        assert any(re.fullmatch(pattern, code) for code in told), pattern
    for code, kinds in found.items():
        assert kinds <= told[code], code
        assert told[code] - kinds <= ({"InputError"} if code in made else set()), code


@every_page
def test_every_code_told_stands_in_the_table(page: Path) -> None:
    known = {bare(row["code"]) for row in table(ERRORS, "code")}
    told = {m[1] for span in code_spans(page) if (m := re.fullmatch(r"\[([a-z_]+)\]", span))}
    assert told <= known


def test_every_class_of_errors_stands_with_its_exit_code() -> None:
    told = {bare(row["class"]): row["exit code"] for row in table(ERRORS, "class") if row["class"]}
    kinds = errors._subclasses(errors.ReelchainError)
    assert told == {kind.__name__: str(kind.exit_code) for kind in kinds}


# -- dependencies


def required(file: Path) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return {re.split(r"[\[<>=!~ ]", line)[0].lower() for line in lines if line and line[0] != "-"}


def test_every_package_has_a_row_and_a_licence() -> None:
    rows = {row["package"].split(" ")[0].lower(): row for row in table(DEPENDENCIES, "package")}
    files = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt", *(ROOT / "extras").glob("*"))
    wanted = set().union(*map(required, files)) | set(NAMED_BY_THE_OWNER)
    assert set(rows) == wanted
    assert all(row["why"] and row["licence"] for row in rows.values())


def test_shipped_voices_are_credited() -> None:
    text = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    voices = list((ROOT / "backend/app/providers/voices").glob("*.bin"))
    assert voices
    assert all(f"`{voice.stem}`" in text for voice in voices)
