from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_clickseg.data.project import read_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg._qt.formats.widget import FilesWidget

pytestmark = pytest.mark.gui


@pytest.fixture
def opened(make_napari_viewer: Callable[..., Any], qtbot: Any) -> tuple[Any, FilesWidget]:
    """Open the widget beside an image with two objects, 0.5 µm a pixel."""
    viewer = make_napari_viewer(show=True)
    place = {"scale": (0.5, 0.5), "units": ("µm", "µm")}
    image = np.zeros((40, 50), np.uint8)
    labels = np.zeros((40, 50), np.uint16)
    labels[5:15, 5:25], labels[20:22, 30:40] = 3, 7
    image[labels > 0] = 100
    viewer.add_image(image, name="dish", **place)
    viewer.add_labels(labels, name="dish annotation", **place)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Files")
    qtbot.waitUntil(dock.isVisible)
    return viewer, widget


def _press(qtbot: Any, widget: FilesWidget, button: Any) -> str:
    qtbot.waitUntil(lambda: button.native.isVisible() and button.native.height() > 10)
    qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.state.busy, timeout=60_000)
    return str(widget.state.message)


def test_what_is_annotated_goes_out_and_comes_in(opened: Any, tmp_path: Path, qtbot: Any) -> None:
    viewer, widget = opened
    widget.form.value, widget.out.value = "geojson", str(tmp_path / "dish.geojson")
    assert "1 image written as GeoJSON" in _press(qtbot, widget, widget.export)
    features = json.loads((tmp_path / "dish.geojson").read_text())["features"]
    measured = [one["properties"]["measurements"] for one in features]
    assert [one["Area µm^2"] for one in measured] == [50, 5]
    assert "--overwrite" in _press(qtbot, widget, widget.export)
    widget.overwrite.value = True
    assert "1 image written" in _press(qtbot, widget, widget.export)

    images = tmp_path / "images"
    images.mkdir()
    from PIL import Image

    Image.fromarray(viewer.layers["dish"].data).save(images / "dish.png")
    widget.source.value, widget.images.value = str(tmp_path / "dish.geojson"), str(images)
    widget.into.value = str(tmp_path / "project")
    before = len(viewer.layers)
    widget.folds["Import"].expand(animate=False)
    assert "1 image with 2 objects came in" in _press(qtbot, widget, widget.bring_in)
    assert len(read_project(tmp_path / "project").records) == 1
    assert len(viewer.layers) == before + 2
    assert (viewer.layers[-1].data == viewer.layers["dish annotation"].data).all()


def test_objects_are_measured_into_a_table_and_into_the_layer(
    opened: Any, tmp_path: Path, qtbot: Any
) -> None:
    viewer, widget = opened
    widget.out.value = str(tmp_path / "t.csv")
    assert "2 objects measured" in _press(qtbot, widget, widget.measure)
    assert (tmp_path / "t.csv").read_text().count("\n") == 3
    layer = viewer.layers["dish annotation"]
    viewer.layers.selection = {viewer.layers["dish"]}
    assert "Select the labels layer" in _press(qtbot, widget, widget.measure_layer)
    viewer.layers.selection = {layer}
    assert "2 objects of 'dish annotation'" in _press(qtbot, widget, widget.measure_layer)
    assert layer.features["index"].tolist() == [3, 7]
    assert layer.features["area_physical"].tolist() == [50, 5]


def test_what_goes_wrong_is_said_in_the_widget(opened: Any, tmp_path: Path, qtbot: Any) -> None:
    viewer, widget = opened
    assert "Choose where it goes" in _press(qtbot, widget, widget.export)
    widget.folds["Import"].expand(animate=False)
    assert "Choose what comes in" in _press(qtbot, widget, widget.bring_in)
    widget.source.value, widget.into.value = str(tmp_path / "no.json"), str(tmp_path / "p")
    assert "There is no file" in _press(qtbot, widget, widget.bring_in)
    viewer.layers.clear()
    widget.out.value = str(tmp_path / "a.json")
    assert "No image with labels is open" in _press(qtbot, widget, widget.export)


def test_the_plugin_has_a_menu_of_its_own(make_napari_viewer: Callable[..., Any]) -> None:
    from napari._app_model import get_app_model

    make_napari_viewer()
    menus = get_app_model().menus
    found = [getattr(item, "submenu", None) for item in menus.get_menu("napari/file/io_utilities")]
    assert "napari-clickseg/menu" in found
    listed = {item.command.id for item in menus.get_menu("napari-clickseg/menu")}
    names = ("annotate", "train", "review", "files", "ask_project")
    assert listed == {f"napari-clickseg.{name}" for name in names}


def test_the_sample_project_can_be_trained_on_and_reviewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_clickseg._napari.project.samples import project
    from napari_clickseg.data.inspection.findings import inspect_project

    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path))
    layers = project()
    assert [kind for _, _, kind in layers] == ["image", "labels"]
    made = read_project(tmp_path / "sample project")
    assert (len(made.records), len(made.unannotated)) == (10, 4)
    assert not inspect_project(made).problems
    assert len(project()) == len(layers), "it is made once"
