from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from napari_clickseg.cli import main
from tests.comparing.conftest import SETTINGS
from tests.crossfit.conftest import write_project
from tests.training.quick_reports import no_curves

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = [
    part
    for key, value in SETTINGS.items()
    for part in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")
]


def test_a_project_is_compared_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_curves(monkeypatch)
    project, out = write_project(tmp_path / "project"), tmp_path / "out"
    asked = ["compare", str(project), "--out", str(out), *GIVEN, "--vary", "ema=0,0.5"]
    kept = tmp_path / "figures.json"
    assert main([*asked, "--json", str(kept)]) == 0
    text = capsys.readouterr().out
    assert "IoU image-wise" in text and "|  | 0 | 0.5 |" in text and "report.md" in text
    assert kept.read_text() == (out / "comparison.json").read_text()
    assert main(asked) == 2
    assert "holds a comparison already" in capsys.readouterr().err
    assert main(["compare", "--resume", "--out", str(out)]) == 0
    assert "report.md" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Give the folder of a project"),
        (["p"], "Nothing varies"),
        (["nowhere", "--vary", "ema=0,1e-1"], "There is no folder"),
        (["p", "--vary", "ema"], "write key=value"),
        (["p", "--vary", "ema=0,0.1", "--vary", "ema=0.2"], "comes twice"),
        (["p", "--vary", "ema=0,x"], "ema: "),
        (["p", "--vary", "ema=0.1"], "one combination only"),
        (["p", "--vary", "ema=0,0.1", "--seeds", "a"], "whole number"),
        (["p", "--vary", "ema=0,0.1", "--set", "epoch=3"], "epoch: "),
        (["--resume"], "is not a comparison"),
        (["--resume", "--vary", "ema=0,0.1"], "leave all others out"),
    ],
)
def test_mistakes_are_said_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path / "p", 3, per_group=1)
    assert main(["compare", *arguments, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--out", "x", "--schema"]) == 0
    assert {"training", "vary", "seeds"} <= set(json.loads(capsys.readouterr().out)["properties"])
