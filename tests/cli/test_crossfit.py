from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from napari_clickseg.cli import main
from tests.crossfit.conftest import NETWORK, write_project
from tests.training.quick_reports import few_clicks, no_curves

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = [
    part
    for key, value in NETWORK.items()
    for part in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")
]


def test_a_project_becomes_a_click_trained_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few_clicks(monkeypatch)
    no_curves(monkeypatch)
    project, out = write_project(tmp_path / "project"), tmp_path / "out"
    more = ["--set", "noc_clicks=1", "--set", "clicks=fixed", "--set", "final=false"]
    asked = [str(project), "--out", str(out), "--folds", "2", *SETTINGS, *more]
    assert main(["crossfit", *asked, "--until", "clicks"]) == 0
    assert "Paused; go on with: clickseg crossfit --resume" in capsys.readouterr().out
    assert main(["crossfit", *asked]) == 2
    assert "holds a cross-fitting already" in capsys.readouterr().err
    assert main(["crossfit", "--resume", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["problems"] == [] and said["model"] is None
    assert said["figures"]["images"] == 6 and set(said["figures"]["folds"]) == {"1", "2"}
    assert main(["crossfit", "--resume", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "baseline: IoU" in text and "clicks obeyed" in text and "report.md" in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Give the folder of a project"),
        (["nowhere"], "There is no folder"),
        (["p", "--set", "folds"], "write key=value"),
        (["p", "--set", "fold=x"], "fold: "),
        (["p", "--folds", "1"], "folds: "),
        (["p", "--set", "task=binary"], "task: "),
        (["--resume"], "is not a cross-fitting"),
        (["--resume", "--folds", "3"], "leave all others out"),
        (["--baselines", "nowhere"], "is not a cross-fitting"),
        (["p", "--baselines", "nowhere"], "leave PROJECT"),
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
    assert main(["crossfit", *arguments, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crossfit", "--out", "x", "--schema"]) == 0
    assert "training" in json.loads(capsys.readouterr().out)["properties"]
