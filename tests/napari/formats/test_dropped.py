"""Files of other programs, and of microscopes, dropped into the viewer."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image

from napari_clickseg._napari.formats.dropped import _open
from napari_clickseg._napari.formats.scans import SLIDER, scan_layers
from napari_clickseg._napari.viewer.features import saved_notes
from napari_clickseg._napari.viewer.metadata import saved_classes
from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import Annotations, ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.formats.annotated import AnnotatedImage, FormatError
from napari_clickseg.formats.exporting import FORMATS, ExportSource, export
from tests.data.microscope_writers import DATA, write_czi, write_lif
from tests.formats.label_maps import hard_labels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.gui
CLASSES = ProjectClasses(classes=(ProjectClass(id=4, name="cell", colour="#ff0000"),))
NOTES = Annotations(classes={3: 4, 12: 4}, objects={3: ObjectNote(score=0.75)})


def _written(folder: Path, to: str) -> Path:
    image = AnnotatedImage(
        "dish", hard_labels(), file="dish.png", classes=CLASSES, annotations=NOTES
    )
    out = folder / f"dish{FORMATS[to].suffix}"
    export([ExportSource("dish", lambda: image)], to, out)
    return out


def _drop(viewer: Any, path: Path) -> Any:
    """Do what napari does when a file is dropped: nobody says which plugin opens it."""
    viewer.window._qt_viewer._qt_open([str(path)], stack=False)
    return viewer.layers[-1]


def test_annotations_of_other_programs_are_dropped_as_labels_with_classes(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    image = np.zeros((60, 81), np.uint8)
    viewer.add_image(image, name="dish", scale=(0.5, 0.25), translate=(7, 8), units=("µm", "µm"))
    for to in ("coco", "geojson", "roi", "labelme"):
        layer = _drop(viewer, _written(tmp_path, to))
        assert layer.name.startswith("dish annotation")
        assert (layer.data == hard_labels()).all(), to
        assert saved_classes(layer)[0] == CLASSES
        assert saved_classes(layer)[1].of_ids == NOTES.classes
        assert saved_notes(layer.metadata)[3].score == 0.75
        assert layer.features.set_index("index")["class"][12] == "cell"
        assert layer.scale.tolist() == [0.5, 0.25]
        assert layer.translate.tolist() == [7, 8]
        (tmp_path / f"dish{FORMATS[to].suffix}").unlink()
    np.save(tmp_path / "dish_seg.npy", {"masks": hard_labels()}, allow_pickle=True)
    # napari claims all .npy as well, and asks who opens it; here it is said.
    viewer.open(tmp_path / "dish_seg.npy", plugin="napari-clickseg")
    assert (viewer.layers[-1].data == hard_labels()).all()
    assert viewer.layers[-1].name.startswith("dish annotation")


def test_without_an_image_labels_reach_as_far_as_their_objects(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    layer = _drop(viewer, _written(tmp_path, "geojson"))
    assert layer.name == "dish annotation"
    assert (layer.data == hard_labels()).all(), "which touch the last row and column"


def test_what_cannot_be_used_is_said_and_left_out(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    from napari.utils.notifications import notification_manager

    viewer = make_napari_viewer()
    ring = [[2, 2], [9, 2], [9, 9], [2, 9], [2, 2]]
    kinds = ({"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon", "coordinates": [ring]})
    features = [{"type": "Feature", "geometry": kind} for kind in kinds]
    (tmp_path / "a.geojson").write_text(json.dumps(features))
    layer = _drop(viewer, tmp_path / "a.geojson")
    assert (layer.data > 0).sum() == 49
    assert "its geometry is Point" in notification_manager.records[-1].message


def test_an_archive_without_regions_makes_no_layer(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((60, 81), np.uint8), name="dish")
    with zipfile.ZipFile(tmp_path / "rois.zip", "w"):
        pass
    with pytest.raises(FormatError, match=r"rois\.zip holds nothing that can be shown"):
        _open(str(tmp_path / "rois.zip"))


@pytest.mark.parametrize("text", ["{", "[]x", '{"a": 1}', ""])
def test_other_json_and_archives_are_left_to_others(tmp_path: Path, text: str) -> None:
    from npe2 import PluginManager

    from napari_clickseg._napari.formats.dropped import get_reader

    for name in ("a.json", "a_seg.npy"):
        (tmp_path / name).write_text(text)
        assert get_reader(str(tmp_path / name)) is None
    manager = PluginManager.instance()
    manager.discover()
    readers = manager.iter_compatible_readers([str(tmp_path / "a.json")])
    assert [one.plugin_name for one in readers] == ["napari-clickseg"], "napari claims none of them"


@pytest.mark.parametrize("to", ["yolo", "cellpose", "nnunet", "geojson"])
def test_a_folder_that_another_program_learns_from_is_filled_in_to_be_imported(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, to: str
) -> None:
    pixels = tmp_path / "dish.tif"
    tifffile.imwrite(pixels, np.zeros(hard_labels().shape, np.uint8))
    image = AnnotatedImage("dish", hard_labels(), pixels, "dish.tif")
    folder = tmp_path / "theirs"
    export([ExportSource("dish", lambda: image)], to, folder)
    viewer = make_napari_viewer()
    viewer.open(folder, plugin="napari-clickseg")
    assert not viewer.layers
    widget = open_widget(viewer, "Files")
    assert widget.source.value == str(folder)
    assert widget.folds["Import"].isExpanded()
    assert widget.images.value == (str(folder / "images") if to == "yolo" else "")


def test_projects_and_folders_of_images_are_no_folders_of_other_programs(tmp_path: Path) -> None:
    from napari_clickseg._napari.formats.dropped import get_reader
    from napari_clickseg.data.writer import ProjectWriter

    labels = np.ones((9, 9), np.uint8)
    ProjectWriter(tmp_path / "project").add("a", labels, labels)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", labels)
    (tmp_path / "images" / "notes.json").write_text('{"camera": 3}')
    for name in ("project", "images"):
        assert get_reader(str(tmp_path / name)) is None


def test_channels_of_a_microscope_are_dropped_as_layers_that_are_read_plane_by_plane(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    _drop(viewer, write_czi(tmp_path / "a.czi"))
    assert [layer.name for layer in viewer.layers] == ["a [DAPI]", "a [FITC]"]
    for at, layer in enumerate(viewer.layers):
        assert isinstance(layer, Image)
        assert layer.axis_labels == ("t", "z", "y", "x")
        assert (np.asarray(layer.data)[0] == DATA[:, at]).all()
        assert layer.data.chunksize[:2] == (1, 1)
        assert layer.scale.tolist() == pytest.approx([1, 2, 0.25, 0.5])
        assert [str(unit) for unit in layer.units[1:]] == ["micrometer"] * 3
        assert layer.blending == "additive"
    assert len({layer.colormap.name for layer in viewer.layers}) == 2


def test_a_channel_alone_or_all_on_a_slider_by_choice(tmp_path: Path) -> None:
    path = write_lif(tmp_path / "a.lif", {"small": DATA[:1, :1, :9, :9], "one": DATA})
    (alone,) = scan_layers(path, 1, 1)
    assert alone[1]["name"] == "a one [Red]"
    assert (np.asarray(alone[0]) == DATA[:, 1]).all()
    (both,) = scan_layers(path, None, SLIDER)
    assert both[1]["axis_labels"] == ("z", "c", "y", "x")
    assert both[1]["scale"].tolist() == pytest.approx([2, 1, 0.25, 0.5])
    assert [meta["colormap"] for _, meta, _ in scan_layers(path)] == ["green", "red"]
    (small,) = scan_layers(path, 0)
    assert small[1]["name"] == "a small"
    with pytest.raises(ImageError, match="has no channel 7"):
        scan_layers(path, 1, 7)


def test_a_package_that_lacks_is_named_when_an_image_is_dropped(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE" + bytes(400))
    monkeypatch.setitem(sys.modules, "pylibCZIrw.czi", None)
    viewer = make_napari_viewer()
    with pytest.raises(ImageError, match=r"pip install 'napari-clickseg\[microscopes\]'"):
        viewer.open(tmp_path / "a.czi", plugin="napari-clickseg")
    tifffile.imwrite(tmp_path / "b.czi", np.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match="is a TIFF by another name"):
        viewer.open(tmp_path / "b.czi", plugin="napari-clickseg")
