"""A writer may be killed at any moment: the project is what it was before, or what it is after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from napari_clickseg.data.project import read_project
from tests.data.killing import CHANGES, begin, content

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes can't be forked")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old") / "project"
    begin(folder)
    return folder


def outcomes(project: Path, place: Path, change: str, every: int) -> list[str]:
    """Kill a change at every so many points at which it touches a file; say what came of it."""
    program = Path(__file__).with_name("killing.py")
    command = [sys.executable, "-W", "error", str(program), change, str(project), str(place)]
    done = subprocess.run(
        [*command, str(every)], capture_output=True, text=True, check=True, timeout=600
    )
    lines = done.stdout.splitlines()
    assert "ended after" in lines
    return lines


def assert_whole(lines: list[str]) -> None:
    allowed = {f"killed {state}" for state in ("before", "after", "twice before", "twice after")}
    assert set(lines) - {"ended after"} <= allowed
    assert lines.count("killed before") > 2


def test_a_kill_within_a_step_of_several_files_leaves_no_mixture(
    project: Path, tmp_path: Path
) -> None:
    assert_whole(outcomes(project, tmp_path / "p", "another mask, without clicks", 4))


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_at_any_moment_leaves_no_mixture_nor_does_one_while_that_is_mended(
    project: Path, tmp_path: Path, change: str
) -> None:
    lines = outcomes(project, tmp_path / "p", change, 1)
    assert_whole(lines)
    assert "killed after" in lines
    assert ("killed twice before" in lines) == (change != "classes")  # which is one file


def test_a_note_that_names_files_elsewhere_moves_and_removes_nothing(
    project: Path, tmp_path: Path
) -> None:
    place = tmp_path / "project"
    shutil.copytree(project, place)
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (place / "link").symlink_to(tmp_path)
    for name in ("../victim.txt", "link/victim.txt", str(victim)):
        change = {"name": name, "kept": None}
        note = {"version": 1, "process": "x", "changes": [change]}
        (place / ".unfinished.json").write_text(json.dumps(note))
        assert len(read_project(place).records) == 3
        assert victim.read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', "\0"])
def test_a_note_that_makes_no_sense_is_put_aside(project: Path, tmp_path: Path, text: str) -> None:
    place = tmp_path / "project"
    shutil.copytree(project, place)
    (place / ".unfinished.json").write_text(text)
    assert len(read_project(place).records) == 3
    assert (place / ".unfinished.broken").read_text() == text
    assert content(place) == content(project) | {".unfinished.broken": text.encode()}
