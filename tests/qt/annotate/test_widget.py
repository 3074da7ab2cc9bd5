from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QWidget

from napari_clickseg._napari.annotate.state import AnnotateState, ClassSpec
from napari_clickseg._napari.viewer.colours import PALETTE
from napari_clickseg._napari.viewer.private import unselected
from tests.qt.layout import until_nothing_is_cut_off

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._qt.annotate.widget import AnnotateWidget

    Open = Callable[..., tuple[Any, AnnotateWidget]]

pytestmark = pytest.mark.gui


def test_the_widget_says_what_to_do_before_and_with_an_image(
    open_annotate: Open, spots: np.ndarray, qtbot: Any
) -> None:
    viewer, widget = open_annotate()
    state = AnnotateState()
    assert widget.objects.number.value == state.object_id
    assert widget.rules.rule.value == state.rule
    assert widget.rules.scheme.value == state.scheme
    assert widget.models.model.value == state.model
    assert widget.models.device.value == state.device
    assert "Open an image" in widget.message.value
    assert not widget.images.start.enabled
    assert not widget.objects.widget.native.isEnabled()
    assert widget.models.widget.native.isEnabled()
    viewer.add_image(spots)
    qtbot.waitUntil(lambda: widget.images.start.enabled)
    assert widget.images.channels.choices == (None,)
    assert widget.images.start.text in widget.message.value
    assert not widget.objects.widget.native.isEnabled()
    assert not any(widget.folds[name].isEnabled() for name in ("Look", "Mask", "Rules"))
    labels = viewer.add_labels(np.zeros(spots.shape, int), name="mine")
    qtbot.waitUntil(lambda: labels in widget.images.labels.box.choices)
    widget.images.labels.layer = labels
    widget.layers.use.native.click()
    assert widget.context.state.annotation == labels


def test_one_button_makes_the_layers_and_lets_the_user_click(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    state = widget.context.state
    companions = (state.annotation, state.positive, state.negative, state.prediction)
    assert all(layer in viewer.layers for layer in companions)
    assert widget.objects.widget.native.isEnabled()
    assert widget.objects.tool.value is True
    assert not widget.images.start.enabled
    assert "Click on an object" in widget.message.value
    assert widget.folds["Stack"].isHidden(), "the image is flat"
    objects = widget.objects
    assert not any(button.enabled for button in (objects.accept, objects.skip, objects.clear))
    assert not objects.undo.enabled
    clicks_are_counted_and_accepting_goes_on_to_the_next_id(widget, qtbot)
    all_is_greyed_out_that_there_is_nothing_to_do_with(widget)
    companions_are_never_offered_as_images(viewer, widget, qtbot)
    viewer.layers.remove(state.annotation)
    assert widget.images.start.enabled
    widget.images.start.native.click()
    assert state.annotation in viewer.layers


def clicks_are_counted_and_accepting_goes_on_to_the_next_id(
    widget: AnnotateWidget, qtbot: Any
) -> None:
    state, objects = widget.context.state, widget.objects
    state.positive.add([26, 32])
    qtbot.waitUntil(lambda: not state.busy and np.asarray(state.prediction.data).any())
    assert "1 positive, 0 negative" in objects.counts.value
    assert objects.undo.enabled
    objects.accept.native.click()
    qtbot.waitUntil(lambda: state.n_objects == 1)
    assert objects.number.value == state.object_id == 2
    assert "1 accepted" in objects.counts.value
    objects.undo.native.click()
    assert objects.redo.enabled
    assert "0 accepted" in objects.counts.value


def all_is_greyed_out_that_there_is_nothing_to_do_with(widget: AnnotateWidget) -> None:
    state, form = widget.context.state, widget.objects
    buttons = (form.accept, form.skip, form.clear)
    form.clear.changed.emit(True)
    assert not state.begun and not any(button.enabled for button in buttons)
    widget.context.controller._clicked((4.0, 4.0), True)
    assert state.begun and all(button.enabled for button in buttons)
    form.clear.changed.emit(True)
    assert not state.begun and not any(button.enabled for button in buttons)


def companions_are_never_offered_as_images(viewer: Any, widget: AnnotateWidget, qtbot: Any) -> None:
    widget.context.state.probability = True
    qtbot.waitUntil(lambda: any("probability" in layer.name for layer in viewer.layers))
    assert widget.images.image.box.choices == (viewer.layers["spots"],)
    assert widget.images.image.layer == viewer.layers["spots"]


def test_clicks_made_while_the_model_loads_are_answered_when_it_is_there(
    open_annotate: Open, spots: np.ndarray, qtbot: Any
) -> None:
    viewer, widget = open_annotate(wait=False)
    state = widget.context.state
    viewer.add_image(spots)
    qtbot.waitUntil(lambda: widget.images.start.enabled)
    widget.images.start.native.click()
    state.positive.add([26, 32])
    qtbot.waitUntil(lambda: np.asarray(state.prediction.data).any(), timeout=30_000)


def test_the_widget_follows_the_image_that_is_selected(
    annotating: Open, spots: np.ndarray, qtbot: Any
) -> None:
    viewer, widget = annotating()
    other = viewer.add_image(spots[::-1].copy(), name="other")
    qtbot.waitUntil(lambda: widget.images.image.layer == other)
    assert widget.images.start.enabled
    viewer.layers.selection.active = viewer.layers["spots"]
    qtbot.waitUntil(lambda: widget.images.image.layer == viewer.layers["spots"])
    assert not widget.images.start.enabled


def test_an_image_that_is_opened_with_its_labels_is_chosen_as_one_without(
    annotating: Open, spots: np.ndarray, qtbot: Any
) -> None:
    """As a project or a sample is opened: the labels are what napari selects."""
    viewer, widget = annotating()
    for name, visible in (("first", True), ("second", False)):
        viewer.add_image(spots, name=name, visible=visible)
        viewer.add_labels(np.zeros(spots.shape, int), name=f"{name} labels", visible=visible)
    qtbot.waitUntil(lambda: widget.images.image.layer.name == "first")
    assert widget.images.start.enabled and "'first'" in widget.message.value
    widget.images.start.native.click()
    assert widget.context.state.image.name == "first"
    with unselected(viewer):  # as what the plugin shows itself
        viewer.add_image(spots, name="shown")
        viewer.add_labels(np.zeros(spots.shape, int), name="shown labels")
    qtbot.wait(60)
    assert widget.images.image.layer.name == "first"


def test_channels_are_offered_for_images_that_may_have_some(
    open_annotate: Open, spots: np.ndarray, qtbot: Any
) -> None:
    viewer, widget = open_annotate()
    viewer.add_image(spots)
    qtbot.waitUntil(lambda: widget.images.image.layer is not None)
    assert widget.images.channels.choices == (None,)
    stack = np.stack([np.stack([spots] * 2)] * 3)
    viewer.add_image(stack, name="stack", axis_labels=("z", "c", "y", "x"))
    qtbot.waitUntil(lambda: widget.images.image.layer.ndim == 4)
    assert widget.images.channels.value == 1, "an axis named c holds channels"
    widget.images.start.native.click()
    state = widget.context.state
    assert (state.channel_axis, state.planes) == (1, 3), state.message
    assert not widget.folds["Stack"].isHidden()


def test_another_images_channels_do_not_disturb_the_one_before(
    annotating: Open, spots: np.ndarray, qtbot: Any
) -> None:
    viewer, widget = annotating(np.stack([spots] * 2))
    state = widget.context.state
    first = state.annotation
    viewer.add_image(np.stack([[spots] * 2] * 3), name="z", axis_labels=("z", "c", "y", "x"))
    qtbot.waitUntil(lambda: widget.images.image.layer.name == "z")
    widget.images.start.native.click()
    assert state.image.name == "z", state.message
    assert first in viewer.layers


def test_every_control_has_a_tooltip(annotating: Open) -> None:
    _, widget = annotating()
    widget.context.controller.add_class("bud")
    kinds = (QAbstractButton, QAbstractSlider, QComboBox)
    own = [
        control
        for control in widget.findChildren(QWidget)
        if isinstance(control, kinds)
        and control.parent() is not None
        and not control.objectName().startswith("qt_")
        and not control.isHidden()
        and "Scroll" not in type(control).__name__
    ]
    assert len(own) > 20
    bare = [control for control in own if not tip(control)]
    assert not bare


def tip(control: QWidget) -> str:
    """Return the tooltip that shows over a control: its own, or that of what it is part of."""
    parent = control.parentWidget()
    return control.toolTip() or (tip(parent) if parent is not None else "")


def test_no_text_is_cut_off_in_a_narrow_dock(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    viewer.window._qt_window.resize(900, 700)
    widget.context.controller.add_class("bud")
    widget.context.state.message = "This says at length what went wrong and what to do next. " * 3
    widget.context.state.model_text = "No model: /a/long/path/to/some/folder/of/models.safetensors"
    for fold in widget.folds.values():
        fold.expand(animate=False)
    dock = widget.parentWidget()
    for theme in ("light", "dark"):
        viewer.theme = theme
        viewer.window._qt_window.resizeDocks([dock], [200], _horizontal())
        qtbot.wait(200)
        qtbot.waitUntil(lambda: widget.width() <= 330)
        until_nothing_is_cut_off(qtbot, widget)


def _horizontal() -> Any:
    from qtpy.QtCore import Qt

    return Qt.Orientation.Horizontal


CHOICES = {
    "threshold": 0.7, "smooth": 2.0, "fill_holes": True, "keep_clicked": True, "opacity": 0.2,
    "shown": "contour", "rule": "overwrite", "scheme": "classes", "swapped": True, "tool": False,
    "object_id": 9, "contrast_from_layer": True, "click_size": 22,
    "classes": (ClassSpec(1, "cell", PALETTE[0]), ClassSpec(2, "bud", PALETTE[1])),
    "n_positive": 3, "n_objects": 12, "message": "Something happened.", "busy": True,
    "model_text": "mine on cuda", "can_undo": True, "begun": True, "editing": True, "plane": 1,
    "planes": 9, "progress": (2, 5),
}  # fmt: skip


def test_showing_a_change_is_quick_and_changes_nothing_else(
    open_viewer: Callable[[], Any], bright_model: None
) -> None:
    """A view that writes back what it was told, or that takes long, makes the window stutter."""
    from napari_clickseg._qt.annotate.widget import AnnotateWidget

    viewer = open_viewer()
    widget = AnnotateWidget(viewer)
    viewer.window.add_dock_widget(widget)
    state = widget.context.state
    viewer.add_image(np.zeros((8, 8)))
    before = {name: getattr(state, name) for name in CHOICES}
    told: list[str] = []
    for name in CHOICES:
        getattr(state.events, name).connect(lambda *_, name=name: told.append(name))
    times: dict[str, list[float]] = {}
    others: dict[str, set[str]] = {}
    for field, choice in CHOICES.items():
        for _ in range(10):
            for value in (choice, before[field]):
                start = perf_counter()
                setattr(state, field, value)
                times.setdefault(field, []).append(perf_counter() - start)
        others[field] = set(told) - {field}
        told.clear()
        assert {name: getattr(state, name) for name in CHOICES} == before, field
    assert {field: names for field, names in others.items() if names} == {}
    assert {field: median(took) for field, took in times.items() if median(took) >= 0.020} == {}


def test_dragging_a_slider_ends_at_its_last_value(annotating: Open, qtbot: Any) -> None:
    _, widget = annotating()
    state = widget.context.state
    seen: list[float] = []
    state.events.threshold.connect(lambda value: seen.append(value))
    for step in range(50):
        widget.mask_form.threshold.value = 0.2 + step / 100
    assert len(seen) <= 2
    qtbot.waitUntil(lambda: state.threshold == pytest.approx(0.69))
    assert len(seen) <= 3


def test_the_state_starts_with_the_users_settings_and_leaves_them_behind(
    annotating: Open, open_annotate: Open
) -> None:
    viewer, widget = annotating()
    widget.context.state.rule = "overwrite"
    viewer.window.remove_dock_widget(widget)
    widget._end()
    _, again = open_annotate()
    assert again.context.state.rule == "overwrite"
