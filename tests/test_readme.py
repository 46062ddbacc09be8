"""Both READMEs are followed word for word, by a reader with a clone of the project."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import pytest

from _pages import READMES, code_spans, fences
from _reader import Reader
from _workers import bench

pytestmark = [
    *(pytest.mark.acceptance, pytest.mark.redis, pytest.mark.ffmpeg, pytest.mark.slow),
    pytest.mark.timeout(600),
]

# -- the reader


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with bench(tmp_path_factory.mktemp("reader")) as made:
        made.start_worker()
        with contextlib.closing(Reader(made)) as one:
            yield one


def states(reader: Reader) -> dict[int, str]:
    rows = json.loads(reader.run("./reelchain ls --json", reader.clone))
    return {row["project_id"]: row["status"] for row in rows}


def test_the_readme_works_as_written(reader: Reader) -> None:
    for fence in fences(READMES[0]):
        if fence.language == "bash":
            reader.follow(fence)
        elif fence.language in ("markdown", "yaml"):
            reader.write(fence)
    assert set(states(reader).values()) == {"completed"}
    reader.python([fence.text for fence in fences(READMES[0], "python")])
    reader.stop()
    assert set(states(reader).values()) == {"completed"}
    for told in code_spans(READMES[0]):
        if re.match(r"data/(projects|published|batches|run)/", told):
            assert (reader.clone / told).exists(), told


def test_the_other_readme_differs_only_in_words_that_work_as_well(reader: Reader) -> None:
    seen = {line for fence in fences(READMES[0], "bash") for line in fence.text.splitlines()}
    for fence in fences(READMES[1]):
        if fence.language in ("markdown", "yaml"):
            reader.write(fence)
            if fence.name == "playlist.yaml":
                reader.run("./reelchain batch new playlist.yaml", reader.clone)
            else:
                reader.run(f"./reelchain new {fence.name}", reader.clone)
        elif fence.language == "bash":
            for line in fence.text.splitlines():
                if line not in seen and not line.startswith("#"):
                    reader.run(line, reader.clone)
    assert "completed" in states(reader).values()
