from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_clickseg.cli import main
from napari_clickseg.data.annotations import Annotations, ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.pixel_size import PixelSize
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats.annotated import AnnotatedImage, FormatError
from napari_clickseg.formats.measuring import COLUMNS, measured, write_table

CLASSES = ProjectClasses(classes=(ProjectClass(id=1, name="cell"),), ignore=9)


def _image(**fields: object) -> AnnotatedImage:
    labels = np.zeros((40, 50), np.uint32)
    labels[10:20, 5:25] = 3_000_000_000
    labels[30, 30] = 7
    labels[0:3] = 9
    notes = Annotations(classes={3_000_000_000: 1}, objects={7: ObjectNote(score=0.5)})
    said = {"labels": labels, "file": "a.png", "classes": CLASSES, "annotations": notes}
    return AnnotatedImage("a", **{**said, **fields})


def test_a_rectangle_is_measured_as_it_is():
    one_pixel, rectangle = measured(_image(pixel_size=PixelSize(0.5, 0.5)))
    assert (rectangle["id"], rectangle["class"]) == (3_000_000_000, "cell")
    assert (one_pixel["id"], one_pixel["score"], one_pixel["area_px"]) == (7, 0.5, 1)
    assert rectangle["area_px"] == 200
    assert (rectangle["y"], rectangle["x"]) == (14.5, 14.5)
    box = [rectangle[name] for name in ("top", "left", "bottom", "right")]
    assert box == [10, 5, 20, 25]
    assert rectangle["perimeter_px"] == 56
    assert rectangle["solidity"] == 1
    assert (rectangle["unit"], rectangle["area_physical"]) == ("µm", 50)
    assert rectangle["perimeter_physical"] == 28
    assert rectangle["equivalent_diameter_physical"] == pytest.approx(np.sqrt(200 / np.pi))
    assert set(rectangle) == set(COLUMNS)


def test_pixels_that_are_not_square_stretch_the_axes():
    (_, one) = measured(_image(pixel_size=PixelSize(4, 0.5)))
    assert one["area_physical"] == 400
    assert one["perimeter_physical"] is None
    # A rectangle of 40 × 10 µm; its axes are those of the ellipse with the same moments.
    assert one["axis_major_physical"] == pytest.approx(40 * 2 / np.sqrt(3), rel=0.01)
    assert one["axis_minor_physical"] == pytest.approx(10 * 2 / np.sqrt(3), rel=0.01)


def test_intensities_are_those_of_each_channel():
    pixels = np.zeros((40, 50, 2), np.uint16)
    pixels[10:20, 5:25, 1] = np.arange(200).reshape(10, 20)
    (_, one) = measured(_image(), pixels)
    figures = [one[f"intensity_{name}_1"] for name in ("mean", "std", "min", "max")]
    assert figures == pytest.approx([99.5, np.arange(200).std(), 0, 199])
    assert one["intensity_max_0"] == 0
    with pytest.raises(FormatError, match="of the size"):
        list(measured(_image(), pixels[:5]))


def test_a_stack_is_measured_by_planes_or_by_objects():
    labels = np.zeros((4, 20, 30), np.uint8)
    labels[1:3, 5:10, 5:10] = 2
    stack = _image(labels=labels, axes="ZYX", pixel_size=PixelSize(1, 1, "µm", 2))
    assert [(row["plane"], row["area_px"]) for row in measured(stack)] == [("1", 25), ("2", 25)]
    (whole,) = measured(stack, whole=True)
    assert (whole["volume_px"], whole["volume_physical"]) == (50, 100)
    assert (whole["z"], whole["first_plane"], whole["last_plane"]) == (1.5, 1, 2)


def test_a_project_gives_one_table_with_its_groups(tmp_path, capsys):
    writer = ProjectWriter(tmp_path / "project")
    pixels = np.full((20, 30), 5, np.uint8)
    labels = np.zeros((20, 30), np.uint8)
    labels[2:5, 2:5], labels[9:12, 2:6] = 1, 4
    writer.add("a", pixels, labels, group="mouse 1", pixel_size=PixelSize(0.5, 0.5))
    writer.add("b", np.stack([pixels] * 3, -1), labels, group="mouse 2")
    out = tmp_path / "t.csv"
    assert main(["measure", str(writer.folder), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 4 rows of 2 images.\n"
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["group"], row["id"], row["area_px"], row["area_physical"]) for row in rows] == [
        ("mouse 1", "1", "9", "2.25"),
        ("mouse 1", "4", "12", "3"),
        ("mouse 2", "1", "9", ""),
        ("mouse 2", "4", "12", ""),
    ]
    assert rows[0]["intensity_mean_0"] == "5"
    assert (rows[0]["intensity_mean_2"], rows[2]["intensity_mean_2"]) == ("", "5")
    assert main(["measure", str(writer.folder), "--out", str(out)]) == 2
    assert main(["measure", str(writer.folder), "--out", str(tmp_path / "t.xls")]) == 2
    assert "tables are written as .csv or .parquet" in capsys.readouterr().err


def test_parquet_holds_numbers_as_numbers(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert write_table(measured(_image()), tmp_path / "t.parquet") == 2
    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["area_px"] == [1.0, 200.0]
    assert table["id"] == [7, 3_000_000_000]


def test_a_table_of_nothing_has_its_columns(tmp_path):
    write_table([], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().strip().split(",") == list(COLUMNS)
