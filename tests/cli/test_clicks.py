"""`clickseg clicks`: the clicks of `core.regions`, as a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_clickseg.cli import main
from napari_clickseg.core.regions import ClickSpec, place_clicks

TRUTH = np.zeros((64, 80), np.uint8)
TRUTH[:30, :30] = 1
TRUTH[40:60, 40:70] = 2
PREDICTION = np.zeros((64, 80), np.uint8)
PREDICTION[:20, :60] = 1


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images; one is predicted as it should be."""
    monkeypatch.chdir(tmp_path)
    for part in ("squares/images", "squares/masks", "found"):
        (tmp_path / part).mkdir(parents=True)
    for name, prediction in (("bad", PREDICTION), ("good", TRUTH)):
        iio.imwrite(f"squares/images/{name}.png", TRUTH)
        iio.imwrite(f"squares/masks/{name}.png", TRUTH)
        iio.imwrite(f"found/{name}.png", prediction)
    return tmp_path / "squares"


def rows(name: str = "clicks.csv") -> list[tuple[str, float, float, str, int]]:
    with open(name, newline="") as file:
        table = list(csv.DictReader(file))
    return [
        (row["image"], float(row["y"]), float(row["x"]), row["kind"], int(row["region"]))
        for row in table
    ]


def expected(prediction: np.ndarray, truth: np.ndarray, **options: object) -> list[tuple]:
    clicks = place_clicks(prediction, truth, **options)
    return [("images/bad.png", one.y, one.x, one.kind, one.region) for one in clicks]


def clicks(*options: str) -> int:
    return main(["clicks", "squares", "found", "--out", "clicks.csv", *options])


def test_the_table_has_the_clicks_that_python_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert clicks() == 0
    assert rows() == expected(PREDICTION > 0, TRUTH > 0)
    assert capsys.readouterr().out == f"clicks.csv: {len(rows())} clicks on 1 of 2 images\n"


def test_anchors_a_class_and_another_way_of_spreading_can_be_asked_for() -> None:
    assert clicks("--anchors", "--class", "1", "--method", "anneal", "--seed", "3") == 0
    spec = ClickSpec(anchors=True, method="anneal")
    assert rows() == expected(PREDICTION == 1, TRUTH == 1, spec=spec, seed=3)
    assert {row[3] for row in rows()} == {"tp", "fp", "fn"}


def test_what_the_project_ignores_gets_no_clicks(project: Path) -> None:
    (project / "classes.json").write_text(json.dumps({"schema_version": 1, "ignore": 2}))
    assert clicks() == 0
    assert rows() == expected(PREDICTION > 0, TRUTH == 1, ignore=TRUTH == 2)


PROBABILITY = np.full((64, 80), 20, np.uint8)  # foreground nowhere, though it is not 0
PROBABILITY[:20, :60] = 128


@pytest.fixture
def crossfit(project: Path) -> Path:
    """A cross-fitting that was to find id 1, in one of the images."""
    from napari_clickseg.crossfit.folder import CrossfitFolder, FoldRow
    from napari_clickseg.crossfit.spec import read_crossfit_spec
    from napari_clickseg.data.masks import write_mask

    folder = CrossfitFolder(project.parent / "out")
    spec = read_crossfit_spec(None, project=str(project), classes=[1])
    folder.write(folder.path / "spec.json", spec.to_json())
    folder.write_rows(folder.path / "folds.csv", [FoldRow("images/bad.png", "", 1, "bad-1.tif")])
    folder.predictions.mkdir()
    write_mask(folder.predictions / "bad-1.tif", PROBABILITY)
    return folder.path


@pytest.mark.parametrize("there", ["out", "out/predictions"])
def test_predictions_of_a_cross_fitting_are_cut_at_a_half(crossfit: Path, there: str) -> None:
    assert main(["clicks", "squares", there, "--out", "clicks.csv"]) == 0
    assert rows() == expected(PREDICTION > 0, TRUTH == 1)


def test_a_cross_fitting_that_has_not_come_so_far_is_named(
    crossfit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (crossfit / "predictions" / "bad-1.tif").unlink()
    assert main(["clicks", "squares", "out", "--out", "clicks.csv"]) == 2
    assert "out has no prediction of images/bad.png yet" in capsys.readouterr().err
    (crossfit / "folds.csv").write_text("image,group,fold,prediction\n")
    assert main(["clicks", "squares", "out", "--out", "clicks.csv"]) == 2
    assert "out is a cross-fitting of other images" in capsys.readouterr().err


def test_other_probabilities_are_cut_at_a_threshold() -> None:
    for name in ("bad", "good"):
        Path(f"found/{name}.png").unlink()
        iio.imwrite(f"found/{name}.tif", (PROBABILITY / 255).astype(np.float32))
    assert clicks("--threshold", "0.5", "--class", "1") == 0
    bad = [row for row in rows() if row[0] == "images/bad.png"]
    assert bad == expected(PREDICTION > 0, TRUTH == 1)


def test_nothing_is_replaced_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert clicks() == 0
    before = rows()
    assert clicks("--anchors") == 2
    assert "is there already" in capsys.readouterr().err
    assert rows() == before
    assert clicks("--anchors", "--overwrite") == 0
    assert len(rows()) > len(before)


def test_what_is_missing_is_said_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error() -> str:
        assert clicks() == 2
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        return text

    iio.imwrite("found/bad.tif", PREDICTION)
    assert "found has 2 predictions for images/bad.png; put one there" in error()
    for path in project.parent.glob("found/bad.*"):
        path.unlink()
    assert "found has no predictions for images/bad.png" in error()
    iio.imwrite("found/bad.png", PREDICTION[:-1])
    assert "images/bad.png: A prediction of shape (63, 80) cannot be compared" in error()
    (project / "images" / "more").mkdir()
    (project / "images" / "bad.png").rename(project / "images" / "more" / "good.png")
    lines = ["image,mask,group", "images/good.png,masks/good.png,"]
    lines += ["images/more/good.png,masks/bad.png,"]
    (project / "index.csv").write_text("\n".join(lines))
    assert "images/good.png and images/more/good.png would have one prediction, good" in error()
    for path in project.parent.glob("found/*"):
        path.unlink()
    (project.parent / "found").rmdir()
    assert "There is no folder found" in error()
    assert not (project.parent / "clicks.csv").exists()
