"""How the prediction looks, and how it becomes a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, FloatSlider, Slider
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_clickseg._napari.actions import Action, tooltip
from napari_clickseg._qt.parts import choice, form, key_text

if TYPE_CHECKING:
    from napari_clickseg._qt.desk import Desk

__all__ = ["look_form", "mask_form"]


def look_form(desk: Desk) -> QWidget:
    """Make the form of how the prediction is drawn."""
    styles = ("fill", "contour", "hidden")
    shown = choice("Draw", tooltip(Action.SHOW), [(style, style) for style in styles])
    opacity = _slider("Opacity", "Opacity of the prediction.", 0, 1, 0.05)
    size = Slider(
        label="Click size",
        min=2,
        max=60,
        tooltip="Diameter of new points layers' clicks on the screen, in pixels.",
    )
    size.native.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    probability = CheckBox(
        text=f"Probability ({key_text(Action.PROBABILITY)})", tooltip=tooltip(Action.PROBABILITY)
    )
    desk.ties.tie(shown, "shown")
    desk.ties.tie(opacity, "opacity", drag=True)
    desk.ties.tie(size, "click_size", drag=True)
    desk.ties.tie(probability, "probability")
    return _native(form(shown, opacity, size, probability))


def mask_form(desk: Desk) -> QWidget:
    """Make the form of how the probability becomes a mask."""
    threshold = _slider(
        "Threshold",
        "Probability above which a pixel belongs to the object; needs no new run of the model.",
        0.01,
        0.99,
        0.01,
    )
    smooth = _slider("Smooth", "Smoothing of the outline, in pixels; 0 is none.", 0, 10, 0.25)
    holes = CheckBox(
        text="Fill holes", tooltip="Fill holes in the mask that hold no negative click."
    )
    parts = CheckBox(
        text="Keep only clicked parts",
        tooltip="Drop parts of the mask that hold no positive click.",
    )
    desk.ties.tie(threshold, "threshold", drag=True)
    desk.ties.tie(smooth, "smooth", drag=True)
    desk.ties.tie(holes, "fill_holes")
    desk.ties.tie(parts, "keep_clicked")
    return _native(form(threshold, smooth, holes, parts))


def _slider(label: str, tip: str, low: float, high: float, step: float) -> FloatSlider:
    made = FloatSlider(label=label, min=low, max=high, step=step, tooltip=tip)
    made.native.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


def _native(widget: Any) -> QWidget:
    native = widget.native
    assert isinstance(native, QWidget)
    return native
