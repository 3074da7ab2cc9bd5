"""`clickseg project`, as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_clickseg.cli import main
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.models.registry import find_model


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path / "home"))
    writer = ProjectWriter(tmp_path / "mine")
    writer.add("a", np.zeros((9, 12), np.uint8), np.eye(9, 12, dtype=np.uint8) * 3)
    run = tmp_path / "home/runs/first"
    run.mkdir(parents=True)
    for name in ("spec.json", "last.ckpt"):
        (run / name).write_text("{}")
    return writer.folder


def test_a_project_is_handed_on_with_a_model_and_a_run(project, tmp_path, capsys):
    bundle, out = tmp_path / "b.zip", tmp_path / "new"
    more = ["--model", "default", "--run", "first"]
    assert main(["project", "pack", str(project), str(bundle), *more]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{bundle}: 1 image, 1 mask, 1 model, 1 run; ")
    assert "1 file of the run first stayed behind (last.ckpt)" in said.err
    assert main(["project", "unpack", str(bundle), "--out", str(out), "--json"]) == 0
    came = json.loads(capsys.readouterr().out)
    assert (came["images"], came["runs"]) == (1, [str(out / "runs/first")])
    assert len(read_project(out).records) == 1
    default = find_model("default").path
    assert (out / "models/default.safetensors").read_bytes() == default.read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pack {0}/mine {0}/b.zip --model none", "There is no model 'none'"),
        ("pack {0}/mine {0}/b.zip --run {0}/mine", "is no run"),
        ("pack {0}/none {0}/b.zip", "There is no folder"),
        ("pack {0}/mine {0}/mine", "is there already"),
        ("unpack {0}/mine/index.csv --out {0}/new", "no bundle"),
        ("unpack {0}/none.zip --out {0}/new", "No such file"),
        ("unpack {0}/none.zip --out {0}/mine", "is there already"),
    ],
)
def test_errors_are_one_line_with_status_2_and_nothing_is_left(
    project, tmp_path, capsys, words, message
):
    assert main(["project", *words.format(tmp_path).split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert {path.name for path in tmp_path.iterdir()} == {"home", "mine"}
