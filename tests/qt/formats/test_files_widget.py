from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QApplication

from napari_clickseg._qt.formats.widget import FilesWidget
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats import exporting
from tests.qt.layout import until_still

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    assert f"tick “{widget.overwrite.text}”" in _press(qtbot, widget, widget.export)
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
    widget.import_form.value, widget.by_folder.value = "geojson", True
    assert "1 image with 2 objects came in" in _press(qtbot, widget, widget.bring_in)
    assert read_project(tmp_path / "project").records[0].group == "images"
    assert len(read_project(tmp_path / "project").records) == 1
    assert len(viewer.layers) == before + 2
    assert (viewer.layers[-1].data == viewer.layers["dish annotation"].data).all()


def test_every_format_goes_out_by_the_button(opened: Any, tmp_path: Path, qtbot: Any) -> None:
    _, widget = opened
    for name, form in exporting.FORMATS.items():
        out = tmp_path / name if form.kind == "folder" else tmp_path / f"{name}{form.suffix}"
        widget.form.value, widget.out.value = name, str(out)
        said = _press(qtbot, widget, widget.export)
        if name == "dicomseg":  # what is open is no DICOM file
            assert "belongs to a DICOM file" in said
        else:
            assert f"1 image written as {form.title}" in said
            assert out.exists(), said


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
    (tmp_path / "no.json").write_text("{}")
    assert f"under “{widget.import_form.label}”" in _press(qtbot, widget, widget.bring_in)
    viewer.layers.clear()
    widget.out.value = str(tmp_path / "a.json")
    assert "No image with labels is open" in _press(qtbot, widget, widget.export)


def _three_images(folder: Path) -> Path:
    writer = ProjectWriter(folder)
    for name in "abc":
        writer.add(name, np.zeros((20, 30), np.uint8), np.ones((20, 30), np.uint8))
    return folder


def test_long_work_shows_how_far_it_is_and_can_be_stopped_without_anything_moving(
    opened: Any, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, widget = opened
    gate, calls = threading.Event(), []
    real = exporting.annotated_record

    def held_up(*given: Any) -> Any:
        calls.append(given)
        assert len(calls) == 1 or gate.wait(20)
        return real(*given)

    monkeypatch.setattr(exporting, "annotated_record", held_up)
    widget.project.value = str(_three_images(tmp_path / "p"))
    widget.out.value = str(tmp_path / "out.json")
    places = until_still(
        qtbot, lambda: {one: one.mapTo(widget, one.rect().topLeft()) for one in _buttons(widget)}
    )
    qtbot.mouseClick(widget.export.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.state.progress == (1, 3), timeout=20_000)
    assert widget.bar.isVisible()
    assert (widget.bar.value(), widget.bar.maximum()) == (1, 3)
    assert not widget.export.enabled
    qtbot.mouseClick(widget.cancel.native, Qt.MouseButton.LeftButton)
    assert "Stopping" in widget.state.message
    assert not widget.cancel.enabled
    assert places == {one: one.mapTo(widget, one.rect().topLeft()) for one in places}
    gate.set()
    qtbot.waitUntil(lambda: not widget.state.busy, timeout=20_000)
    assert widget.state.message == "Stopped; nothing was written."
    assert not (tmp_path / "out.json").exists()
    assert not widget.bar.isVisible()
    qtbot.wait(50)
    assert places == {one: one.mapTo(widget, one.rect().topLeft()) for one in places}
    assert "3 images written as COCO" in _press(qtbot, widget, widget.export)


def _buttons(widget: FilesWidget) -> list[QAbstractButton]:
    inside = widget._scroll
    return [one for one in inside.findChildren(QAbstractButton) if one.isVisible()]


def test_the_menu_goes_to_the_parts_of_the_widget_and_gathers(
    opened: Any, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari._app_model import get_app_model

    from napari_clickseg._qt.formats import menu

    viewer, widget = opened
    commands = get_app_model().commands
    widget.folds["Import"].collapse(animate=False)
    commands.execute_command("napari-clickseg.import").result()
    assert widget.folds["Import"].isExpanded()
    widget.folds["Export"].collapse(animate=False)
    commands.execute_command("napari-clickseg.export").result()
    assert widget.folds["Export"].isExpanded()
    folder = tmp_path / "gathered"
    monkeypatch.setattr(menu, "choose_or_make_folder", lambda *_: str(folder))
    commands.execute_command("napari-clickseg.gather").result()
    qtbot.waitUntil(lambda: not widget.state.busy, timeout=30_000)
    assert "1 image gathered" in widget.state.message
    (record,) = read_project(folder).records
    assert record.pixel_size is not None
    assert widget.project.value == str(folder), "what goes out next"
    monkeypatch.setattr(menu.QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    before = len(viewer.layers)
    commands.execute_command("napari-clickseg.ask_project").result()
    assert len(viewer.layers) == before + 2


def test_each_widget_has_a_button_that_leads_to_exporting_what_it_is_about(
    open_viewer: Callable[[], Any],
    training_home: Any,
    bright_model: None,
    tmp_path: Path,
    qtbot: Any,
) -> None:
    viewer = open_viewer()
    viewer.add_image(np.zeros((20, 30), np.uint8))
    project = str(_three_images(tmp_path / "p"))
    for name in ("Annotate", "Train", "Review"):
        leads_to_exporting(viewer, name, project, qtbot)
        viewer.window.remove_dock_widget("all")


def leads_to_exporting(viewer: Any, name: str, project: str, qtbot: Any) -> None:
    dock, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", name)
    qtbot.waitUntil(dock.isVisible)
    if name == "Train":
        widget.context.state.source, widget.context.state.project = "project", project
    elif name == "Review":
        qtbot.waitUntil(lambda: widget.context.controller.looker.idle, timeout=30_000)
        widget.context.controller.choose_project(project)
        qtbot.waitUntil(lambda: widget.context.state.project == project, timeout=30_000)
    before = QApplication.focusWidget()
    native = widget.export.native
    widget._scroll.ensureWidgetVisible(native)
    qtbot.wait(50)
    qtbot.mouseClick(native, Qt.MouseButton.LeftButton)
    (files,) = (
        each.inner_widget()
        for each in viewer.window._wrapped_dock_widgets.values()
        if isinstance(each.inner_widget(), FilesWidget)
    )
    qtbot.waitUntil(files.isVisible)
    assert files.project.value == ("" if name == "Annotate" else project)
    assert files.folds["Export"].isExpanded()
    focused = QApplication.focusWidget()
    assert focused is before or not (files.isAncestorOf(focused) or widget.isAncestorOf(focused))


def test_the_plugin_has_a_menu_of_its_own(make_napari_viewer: Callable[..., Any]) -> None:
    from napari._app_model import get_app_model

    make_napari_viewer()
    menus = get_app_model().menus
    submenus = [
        getattr(item, "submenu", None) for item in menus.get_menu("napari/file/io_utilities")
    ]
    assert "napari-clickseg/menu" in submenus
    listed = {item.command.id for item in menus.get_menu("napari-clickseg/menu")}
    names = (
        "annotate", "train", "review", "ask_project", "open_sample_project", "gather", "export",
        "import", "measure", "pictures", "pack", "unpack", "add_model", "models",
    )  # fmt: skip
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
