"""`clickseg report`, as a user types it."""

from __future__ import annotations

import json

import pytest

from napari_clickseg.cli import main


@pytest.fixture
def run(make_project, training_home, tmp_path):
    """A run that was validated on one of two images, with the bundled model as its own."""
    import shutil

    from napari_clickseg.models.registry import find_model

    project = make_project(tmp_path / "mine", 2)
    folder = training_home / "runs" / "first"
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({"project": str(project), "name": "first"}))
    sets = {
        "folder": str(project),
        "training": ["images/0.png"],
        "validation": ["images/1.png"],
        "zoom": 1.0,
    }
    (folder / "split.json").write_text(json.dumps(sets))
    shutil.copy(find_model("default").path, folder / "best.safetensors")
    return folder


def test_a_run_is_drawn_by_its_name_on_the_images_it_was_validated_on(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["report", "first", "--out", str(out), "--clicks", "1"]) == 0
    assert capsys.readouterr().out == f"{out / 'report.html'}: 1 image\n"
    assert [path.name for path in (out / "panels").iterdir()] == ["1.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{0}/mine --out {0}/new", "has no predictions; say --model"),
        ("{0}/mine --out {0}/new --model none", "There is no model 'none'"),
        ("{0}/mine --out {0}/mine --model default", "is not an empty folder"),
        ("{0}/none --out {0}/new", "There is no"),
        ("first --out {0}/new --fps 0", "--fps has to be above 0"),
    ],
)
def test_errors_are_one_line_with_status_2(run, tmp_path, capsys, words, message):
    assert main(["report", *words.format(tmp_path).split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "new").exists()


def test_a_run_without_a_model_says_so(run, tmp_path, capsys):
    (run / "best.safetensors").unlink()
    assert main(["report", str(run), "--out", str(tmp_path / "new")]) == 2
    assert "has no model yet" in capsys.readouterr().err
