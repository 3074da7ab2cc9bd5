"""How the prediction looks, and how it becomes a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, FloatSlider, Slider

from napari_clickseg._napari.viewer.actions import Action, tooltip
from napari_clickseg._qt.parts.controls import choice, form, key_text

if TYPE_CHECKING:
    from napari_clickseg._qt.annotate.form_context import FormContext


class DisplayForm:
    """Chooses how the prediction and the clicks are drawn."""

    def __init__(self, context: FormContext) -> None:
        styles = ("fill", "contour", "hidden")
        self.shown = choice("Draw", tooltip(Action.SHOW), [(style, style) for style in styles])
        self.opacity = _slider("Opacity", "Opacity of the prediction.", 0, 1, 0.05)
        self.size = Slider(
            label="Click size",
            min=2,
            max=60,
            tooltip="Diameter of a click on the screen, in pixels.",
        )
        self.previews = CheckBox(
            text="Preview under the pointer",
            tooltip="Where the pointer rests, outline what a click there would give.",
        )
        self.crosshair = CheckBox(
            text=f"Crosshair ({key_text(Action.CROSSHAIR)})", tooltip=tooltip(Action.CROSSHAIR)
        )
        self.probability = CheckBox(
            text=f"Probability ({key_text(Action.PROBABILITY)})",
            tooltip=tooltip(Action.PROBABILITY),
        )
        self.widget = form(
            self.shown, self.opacity, self.size, self.previews, self.crosshair, self.probability
        )  # fmt: skip
        context.ties.tie(self.shown, "shown")
        context.ties.tie(self.opacity, "opacity", drag=True)
        context.ties.tie(self.size, "click_size", drag=True)
        context.ties.tie(self.previews, "previews")
        context.ties.tie(self.crosshair, "crosshair")
        context.ties.tie(self.probability, "probability")


class MaskForm:
    """Chooses how the probability becomes a mask."""

    def __init__(self, context: FormContext) -> None:
        self.threshold = _slider(
            "Threshold",
            "Probability above which a pixel belongs to the object; needs no new run of the model.",
            0.01,
            0.99,
            0.01,
        )
        self.smooth = _slider(
            "Smooth", "Smoothing of the outline, in pixels; 0 is none.", 0, 10, 0.25
        )
        self.holes = CheckBox(
            text="Fill holes", tooltip="Fill holes in the mask that hold no negative click."
        )
        self.parts = CheckBox(
            text="Keep only clicked parts",
            tooltip="Drop parts of the mask that hold no positive click.",
        )
        self.widget = form(self.threshold, self.smooth, self.holes, self.parts)
        context.ties.tie(self.threshold, "threshold", drag=True)
        context.ties.tie(self.smooth, "smooth", drag=True)
        context.ties.tie(self.holes, "fill_holes")
        context.ties.tie(self.parts, "keep_clicked")


def _slider(label: str, tip: str, low: float, high: float, step: float) -> FloatSlider:
    return FloatSlider(label=label, min=low, max=high, step=step, tooltip=tip)
