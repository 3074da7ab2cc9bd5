from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_clickseg.data.pixel_size import PixelSize, read_pixel_size
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter

PLANE = np.zeros((8, 9), np.uint8)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0.5 0.25 µm", PixelSize(0.5, 0.25, "µm")),
        ("0.5 × 0.25 um", PixelSize(0.5, 0.25, "µm")),
        ("2, 0.5, 0.25, microns", PixelSize(0.5, 0.25, "µm", 2)),
        ("3 3 nm", PixelSize(3, 3, "nm")),
    ],
)
def test_a_size_is_read_as_people_write_it(text, size):
    assert PixelSize.parse(text) == size
    assert PixelSize.parse(str(size)) == size


@pytest.mark.parametrize("text", ["", "µm", "0.5 µm", "0 1 µm", "1 1 parsec", "nan 1 µm", "a b µm"])
def test_what_is_no_size_is_said_in_one_line(text):
    with pytest.raises(ValueError, match="is not a pixel size"):
        PixelSize.parse(text)


def test_tiffs_say_it_in_many_ways(tmp_path):
    ways = {
        "cm": {"resolution": (40_000, 20_000), "resolutionunit": "CENTIMETER"},
        "imagej": {"imagej": True, "resolution": (4, 2), "metadata": {"unit": "micron"}},
        "ome": {"metadata": {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}},
        "svs": {"description": "Aperio Image Library|AppMag = 20|MPP = 0.5", "metadata": None},
    }
    for name, options in ways.items():
        path = tmp_path / (f"{name}.ome.tif" if name == "ome" else f"{name}.tif")
        tifffile.imwrite(path, PLANE, **options)
        size = read_pixel_size(path)
        assert size is not None, name
        expected = (0.5, 0.5) if name == "svs" else (0.5, 0.25)
        assert (size.within("µm").y, size.within("µm").x) == pytest.approx(expected), name


def test_inches_say_how_large_a_picture_is_printed(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PLANE, resolution=(72, 72), resolutionunit="INCH")
    assert read_pixel_size(tmp_path / "a.tif") is None


def test_ome_zarr_says_it_by_its_scale(tmp_path):
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    change = {"type": "scale", "scale": [2, 0.5, 0.25]}
    data = {"path": "0", "coordinateTransformations": [change]}
    said = {"multiscales": [{"axes": axes, "datasets": [data]}]}
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/.zattrs").write_text(json.dumps(said))
    assert read_pixel_size(tmp_path / "a.zarr") == PixelSize(0.5, 0.25, "µm", 2)


@pytest.mark.parametrize("text", ["{", "[]", '{"multiscales": [{"axes": [], "datasets": [{}]}]}'])
def test_a_broken_file_says_nothing(tmp_path, text):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/.zattrs").write_text(text)
    assert read_pixel_size(tmp_path / "a.zarr") is None


def test_a_project_keeps_it_with_each_image_and_masks_carry_it(tmp_path):
    writer = ProjectWriter(tmp_path)
    size = PixelSize(0.5, 0.25, "µm")
    writer.add("a", PLANE, PLANE + 300 * np.uint16(1), pixel_size=size)
    writer.add("b", PLANE, PLANE + 1)
    first, second = read_project(tmp_path).records
    assert (first.pixel_size, second.pixel_size) == (size, None)
    assert read_pixel_size(first.mask) == size
    writer.add("a", PLANE, PLANE + 301 * np.uint16(1))  # which does not say it again
    assert read_project(tmp_path).records[0].pixel_size == size


def test_a_project_without_sizes_has_no_column_for_them(tmp_path):
    ProjectWriter(tmp_path).add("a", PLANE, PLANE + 1)
    assert (tmp_path / "index.csv").read_text().splitlines()[0] == "image,mask,group,split"


def test_a_size_that_makes_no_sense_is_named_and_counts_as_not_known(tmp_path):
    ProjectWriter(tmp_path).add("a", PLANE, PLANE + 1, pixel_size=PixelSize(1, 1))
    index = tmp_path / "index.csv"
    index.write_text(index.read_text().replace("1 1 µm", "1 1 ell"))
    project = read_project(tmp_path)
    assert project.records[0].pixel_size is None
    assert project.left_out == (
        "index.csv, line 2: '1 1 ell' is not a pixel size; write its height, width and unit, "
        "such as 0.5 0.5 µm; it counts as not known.",
    )


def test_how_objects_came_about_stays_as_long_as_they_are_there(tmp_path):
    from napari_clickseg.data.annotations import ObjectNote, read_clicks
    from napari_clickseg.data.masks import file_digest

    writer = ProjectWriter(tmp_path)
    labels = np.array([[1, 2, 3]], np.uint8)
    notes = {1: ObjectNote(score=0.5), 2: ObjectNote(model="default"), 3: ObjectNote()}
    record = writer.add("a", labels, labels, objects=notes)
    assert read_clicks(record.clicks).objects == {1: notes[1], 2: notes[2]}
    labels = np.array([[1, 0, 3]], np.uint8)
    record = writer.annotate(record.name, labels, replacing=file_digest(record.mask))
    assert read_clicks(record.clicks).objects == {1: notes[1]}
