"""Sources: what the writer of a topic works from, from the user's file to the script that cites it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import _openai
from _workers import bench
from app import draft, pipeline, playlist
from app.cli import app
from app.errors import InputError, PermanentError
from app.project import Project
from app.story import material
from app.tasks import generate_script_task

WORDS = "Rivers carry sand to the sea."


def pdf(*pages: str, lock: str | None = None) -> bytes:
    """Return a PDF with a page for each text."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(width=300, height=300)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode() if text else b"")
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = writer._add_object(content)
    if lock is not None:
        writer.encrypt(lock, "owner", algorithm="RC4-128")
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def saved(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# -- reading ----------------------------------------------------------------------------------


def test_text_markdown_and_pdf_are_read(tmp_path: Path) -> None:
    paths = [
        saved(tmp_path, "a.txt", f"\ufeff{WORDS}\r\n"),
        saved(tmp_path, "b.md", f"# Rivers\n\n{WORDS}\n"),
        saved(tmp_path, "c.PDF", pdf(WORDS, "A second page.")),
        saved(tmp_path, "d.pdf", pdf(WORDS, lock="")),
    ]
    found = material.read(paths)
    assert [name for name, _ in found.texts] == ["a.txt", "b.md", "c.PDF", "d.pdf"]
    assert all(WORDS in text for _, text in found.texts)
    assert "A second page." in found.texts[2][1]
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.docx", b"PK", "source_format"),
        ("a.txt", b"", "source_empty"),
        ("a.md", b"---\n", "source_empty"),
        ("a.txt", b"\xff\x00\x80abc", "not_text"),
        ("a.pdf", b"", "source_empty"),
        ("a.pdf", b"no pdf", "source_broken"),
        ("a.pdf", b"%PDF-1.7\n" + b"\x00" * 5000, "source_broken"),
        ("a.txt", b"word " * 4_000_001, "source_too_large"),
    ],
)
def test_what_can_not_be_read_is_said(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        material.read([saved(tmp_path, name, content)])
    assert caught.value.code == code
    assert name in caught.value.message
    assert caught.value.hint


def test_a_pdf_that_is_locked_scanned_cut_or_endless_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "MOST_PAGES", 3)
    whole = pdf(WORDS, WORDS)
    for content, code in (
        (pdf(WORDS, lock="secret"), "source_encrypted"),
        (pdf("", ""), "source_without_text"),
        (pdf(*[WORDS] * 4), "source_too_large"),
        (whole[: len(whole) // 3], "source_broken"),
    ):
        with pytest.raises(InputError) as caught:
            material.read([saved(tmp_path, "a.pdf", content)])
        assert caught.value.code == code


def test_a_missing_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        material.read([tmp_path / "none.md"])
    assert caught.value.code == "source_missing"


def test_what_does_not_fit_is_told_and_short_files_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "MOST_CHARACTERS", 100)
    paths = [saved(tmp_path, f"{n}.txt", "a" * n) for n in (20, 300, 200)]
    found = material.read(paths)
    assert [len(text) for _, text in found.texts] == [20, 40, 40]
    assert [w.split()[0] for w in found.warnings] == ["300.txt", "200.txt"]
    assert "first 40 of 300 characters" in found.warnings[0]


def packed(operators: bytes, pages: int) -> bytes:
    """Return a PDF whose pages all show one packed stream."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import NameObject, StreamObject

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(*["x"] * pages))))
    stream = StreamObject()
    stream.set_data(b"BT /F1 9 Tf " + operators + b" ET")
    shared = writer._add_object(stream.flate_encode())
    for page in writer.pages:
        page[NameObject("/Contents")] = shared
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


@pytest.mark.parametrize(
    ("limit", "most"),
    [("MOST_SECONDS", 0.2), ("_MOST_OPERANDS", 1000), ("_MOST_UNPACKED", 10_000)],
    ids=["time", "a page", "a stream"],
)
def test_a_small_pdf_that_unpacks_to_endless_work_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: float
) -> None:
    bomb = packed(b"(a) Tj " * 3000, 100)
    assert len(bomb) < 200_000
    monkeypatch.setattr(material, limit, most)
    before = time.process_time()
    with pytest.raises(InputError) as caught:
        material.text(saved(tmp_path, "a.pdf", bomb))
    assert caught.value.code == "source_too_large"
    assert time.process_time() - before < 4


def test_of_a_long_pdf_no_more_pages_are_read_than_the_writer_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material, "MOST_CHARACTERS", 100)
    path = saved(tmp_path, "a.PDF", pdf(*[f"{n:03} {'y' * 40}" for n in range(5)]))
    found = material.read([path])
    assert len(found.texts[0][1]) == 100
    assert "first 100 of more than 100 characters" in found.warnings[0]
    assert "003" not in material.text(path)


# -- from the user's file into the project ---------------------------------------------------


def source(project: Project) -> dict[str, str]:
    folder = project.folder / "source"
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_topic_takes_sources_from_anywhere_each_under_a_name_of_its_own(tmp_path: Path) -> None:
    one = saved(tmp_path, "x/notes.md", "One.")
    two = saved(tmp_path, "y/notes.md", "Two.")
    odd = saved(tmp_path, "a\nb:c?.txt", "Three.")
    project = pipeline.create_project({"topic": "Rivers", "sources": [one, str(two), odd]})
    names = ("sources/notes.md", "sources/notes-2.md", "sources/a_b_c_.txt")
    assert project.state().spec.sources == names
    assert source(project) == dict(zip(names, ("One.", "Two.", "Three."), strict=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("idea.yaml", "topic: Rivers\nnotes: Say wet.\nsources:\n- in/a.md\n- b.txt\n"),
        ("idea.md", "---\ntopic: Rivers\nnotes: Say wet.\nsources: in/a.md, b.txt\n---\n"),
    ],
)
def test_a_file_names_sources_beside_it(tmp_path: Path, name: str, text: str) -> None:
    saved(tmp_path, "in/a.md", "A.")
    saved(tmp_path, "b.txt", "B.")
    project = pipeline.create_project(saved(tmp_path, name, text))
    spec = project.state().spec
    assert spec.sources == ("sources/a.md", "sources/b.txt")
    assert spec.notes == "Say wet."
    assert {"sources/a.md", "sources/b.txt"} <= set(source(project))
    other = saved(tmp_path, "c.md", "C.")
    pipeline.update_project(project.id, tmp_path / name, overrides={"sources": [str(other)]})
    assert project.state().spec.sources == ("sources/c.md",)


@pytest.mark.parametrize(
    ("named", "code"), [("../a.md", "source_outside"), ("none.md", "source_missing")]
)
def test_a_file_names_no_source_elsewhere(tmp_path: Path, named: str, code: str) -> None:
    saved(tmp_path, "a.md", "A.")
    story = saved(tmp_path, "in/idea.yaml", f"topic: Rivers\nsources: [{named}]\n")
    with pytest.raises(InputError) as caught:
        pipeline.create_project(story)
    assert caught.value.code == code
    assert "line 2" in caught.value.message


def test_a_broken_source_is_said_before_a_project_is_made(tmp_path: Path, data_dir: Path) -> None:
    broken = saved(tmp_path, "a.pdf", b"no pdf")
    with pytest.raises(InputError) as caught:
        pipeline.create_project({"topic": "Rivers", "sources": str(broken)})
    assert caught.value.code == "source_broken"
    assert not (data_dir / "projects" / "1").exists()
    with pytest.raises(InputError):
        pipeline.create_project({"topic": "Rivers", "sources": [3]})


def test_a_playlist_s_sources_stay_in_its_folder(tmp_path: Path) -> None:
    saved(tmp_path, "in/a.md", "A.")
    text = "title: T\ndefaults: {sources: [a.md], tone: calm}\nprojects: [Rivers, Lakes]\n"
    batch = playlist.create_batch(saved(tmp_path, "in/list.yaml", text))
    for number in batch.projects:
        spec = pipeline.open_project(number).state().spec
        assert (spec.sources, spec.tone) == (("sources/a.md",), "calm")
    saved(tmp_path, "b.md", "B.")
    with pytest.raises(InputError) as caught:
        playlist.create_batch(saved(tmp_path, "in/list.yaml", text.replace("a.md", "../b.md")))
    assert caught.value.code == "story_outside"


def test_the_command_line_takes_them(tmp_path: Path) -> None:
    one, two = saved(tmp_path, "a.md", "A."), saved(tmp_path, "b.txt", "B.")
    options = ["--source", str(one), "--source", str(two), "--audience", "pupils"]
    result = CliRunner().invoke(app, ["new", "Rivers", *options, "--tone", "calm", "--notes", "n"])
    assert result.exit_code == 0, result.output
    spec = pipeline.open_project(1).state().spec
    assert spec.sources == ("sources/a.md", "sources/b.txt")
    assert (spec.audience, spec.tone, spec.notes) == ("pupils", "calm", "n")


def test_one_source_given_as_text_is_one_file(tmp_path: Path) -> None:
    path = saved(tmp_path, "a, b.md", "A.")
    spec, _, _ = draft.prepare({"topic": "Rivers", "sources": str(path)}, {})
    assert spec.sources == ("sources/a, b.md",)


# -- the stage ------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[_openai.OpenAI]:
    monkeypatch.setenv("SCRIPT_PROVIDER", "openai")
    with _openai.OpenAI() as made:
        for name, value in _openai.environment(made).items():
            monkeypatch.setenv(name, value)
        yield made
    assert made.violations == []


def script(project: Project) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((project.folder / "script.json").read_text())
    return made


def test_a_topic_with_sources_becomes_a_script_that_cites_them(
    server: _openai.OpenAI, tmp_path: Path
) -> None:
    paths = [saved(tmp_path, "rivers.pdf", pdf(WORDS)), saved(tmp_path, "b.md", "Lakes.")]
    wishes = {"notes": "Mention sand.", "audience": "pupils", "tone": "calm"}
    project = pipeline.create_project({"topic": "Rivers", "sources": paths, **wishes})
    result = generate_script_task(project_id=project.id)
    order = server.bodies[0]["messages"][1]["content"]
    assert all(told in order for told in (WORDS, "Lakes.", *wishes.values()))
    made = script(project)
    assert made["origin"] == "openai (tiny-1)"
    assert made["description"].endswith("Sources: rivers.pdf")
    assert result["warnings"] == []
    generate_script_task(project_id=project.id)
    assert len(server.bodies) == 1


def test_each_answer_is_paid_for_once_whatever_ends_the_stage(server: _openai.OpenAI) -> None:
    project = pipeline.create_project({"topic": "Rivers"})
    server.answers = ["nothing"]
    server.fault = lambda n, body: "400" if n == 2 else None
    with pytest.raises(PermanentError):
        generate_script_task(project_id=project.id)
    generate_script_task(project_id=project.id)
    assert [len(body["messages"]) for body in server.bodies] == [2, 4, 4]
    assert script(project)["scenes"]


def test_answers_that_are_no_use_are_asked_for_anew_by_the_next_run(
    server: _openai.OpenAI,
) -> None:
    project = pipeline.create_project({"topic": "Rivers"})
    server.answers = ["no"] * 3
    with pytest.raises(PermanentError) as caught:
        generate_script_task(project_id=project.id)
    assert caught.value.code == "script_unusable"
    assert not list((project.folder / "writing").glob("*"))
    generate_script_task(project_id=project.id)
    assert len(server.bodies) == 4


def test_a_writer_that_can_not_is_followed_by_the_next_and_that_is_told(
    server: _openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPT_PROVIDER", "openai, template")
    server.fault = lambda n, body: "401"
    project = pipeline.create_project({"topic": "Rivers"})
    result = generate_script_task(project_id=project.id)
    assert script(project)["origin"] == "template writer"
    assert any("by template in place of openai" in warning for warning in result["warnings"])
    assert len(server.bodies) == 1
    strict = pipeline.create_project({"topic": "Rivers", "strict": True})
    with pytest.raises(PermanentError) as caught:
        generate_script_task(project_id=strict.id)
    assert caught.value.code == "openai_key_refused"


def test_hostile_words_name_no_file_of_the_project(server: _openai.OpenAI) -> None:
    project = pipeline.create_project({"topic": "Rivers", "length": 20})
    text = "The slow river turns around the old stone town and carries its boats to the sea. " * 2
    hostile = {"heading": "../../own <b>", "narration": text, "id": "../x", "path": "/etc/passwd"}
    server.answers = [
        json.dumps({"title": "../../../own.mp4", "scenes": [hostile] * 2, "tags": ["a/../b"]})
    ]
    generate_script_task(project_id=project.id)
    made = script(project)
    assert [scene["id"] for scene in made["scenes"]] == ["s001", "s002"]
    assert {scene["visual"]["path"] for scene in made["scenes"]} == {None}
    names = [path.name for path in project.folder.rglob("*")]
    assert not [name for name in names if "own" in name or "passwd" in name]


def test_a_story_of_its_own_words_says_that_wishes_are_not_used(
    tmp_path: Path, redis_url: str
) -> None:
    saved(tmp_path, "a.md", "A.")
    story = saved(tmp_path, "s.md", "---\nsources: a.md\ntone: calm\n---\n# T\n\nWater flows.\n")
    project = pipeline.create_project(story)
    result = generate_script_task(project_id=project.id)
    assert result["warnings"] == ["The story has its own words; not used: tone, sources."]


def test_a_script_that_misses_its_length_says_so(server: _openai.OpenAI) -> None:
    project = pipeline.create_project({"topic": "Rivers", "length": 40})
    text = "The slow river turns around the old stone town and carries its boats to the sea. "
    short = json.dumps({"title": "T", "scenes": [{"narration": text}] * 7})
    server.answers = [short] * 3
    result = generate_script_task(project_id=project.id)
    (warning,) = result["warnings"]
    assert "40 s were asked" in warning


# -- kill -9 ----------------------------------------------------------------------------------------


@pytest.mark.acceptance
@pytest.mark.redis
def test_kill_9_while_it_waits_costs_the_question_in_flight_and_no_other(tmp_path: Path) -> None:
    """The worker dies while the second question is on its way; the first one is not asked again."""
    asked = threading.Event()

    def fault(number: int, _body: dict[str, Any]) -> str | None:
        if number != 2:
            return None
        asked.set()
        return "slow:30"

    with _openai.OpenAI() as server, bench(tmp_path) as house:
        server.answers = ["nothing"]
        server.fault = fault
        house.environment |= {**_openai.environment(server), "SCRIPT_PROVIDER": "openai"}
        worker = house.start_worker()
        number = house.call("tell(create_project({'topic': 'Rivers'}).id)")
        house.call(f"tell(generate_script_task.delay(project_id={number}).id)")
        assert asked.wait(60)
        house.kill_worker(worker)
        house.start_worker()
        code = f"tell(generate_script_task.delay(project_id={number}).get(timeout=60)['status'])"
        assert house.call(code) == "completed"
        assert [len(body["messages"]) for body in server.bodies] == [2, 4, 4]
        assert server.violations == []
        assert server.key not in house.logs()
        state = (house.data / f"projects/{number}/project_state.json").read_text()
        assert (
            server.key not in state + (house.data / f"projects/{number}/events.jsonl").read_text()
        )
