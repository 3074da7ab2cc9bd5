"""Which image is annotated, and with which layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Points

from napari_clickseg._napari.viewer.label_matching import clicks_of
from napari_clickseg._qt.parts.controls import button, choice, form, timer
from napari_clickseg._qt.parts.layer_choice import LayerChoice

if TYPE_CHECKING:
    from napari.layers.base import Layer

    from napari_clickseg._qt.annotate.form_context import FormContext

_ASK = object()  # stands for labels that the user has yet to choose
_CHANNEL_NAMES = {"c", "ch", "channel", "channels"}


class ImageForm:
    """Chooses an image and sets it up for annotating."""

    def __init__(self, context: FormContext) -> None:
        self._context, self._state = context, context.state
        self._asked = False  # which labels belong to the image is for the user to say
        self._picked: tuple[Any, Any] | None = None  # what the user said, and of which image
        self.image = LayerChoice(
            context.viewer,
            Image,
            "Image",
            "The image to annotate; it is never changed.",
            wanted=lambda layer: not context.is_companion(layer),
        )
        self.channels = choice(
            "Channels",
            "The axis of the image that holds channels, which the model sees all at once. "
            "'none' for a stack of planes or time points.",
            self._axes,
        )
        self.labels = LayerChoice(
            context.viewer,
            Labels,
            "Labels",
            "The labels layer that accepted objects are written into: a new one, or one that "
            "belongs to the image and is gone on with, ids and classes included.",
            wanted=self._may_be_written,
            first=self._first_labels,
        )
        self.start = button(
            "Annotate this image",
            "Makes the layers for annotating it: positive and negative clicks, the prediction, "
            "and labels where none are chosen. An image that has them already is returned to.",
            self.adopt,
        )
        self.widget = form(self.image.box, self.channels, self.labels.box, self.start)
        self._came: list[Any] = []  # layers, since the last look
        self._later = timer(self.widget.native, self._follow_active, 0, once=True)
        self._later_labels = timer(self.widget.native, self._show_labels, 0, once=True)
        self.image.box.changed.connect(self._image_chosen, max_args=0)
        self.image.box.changed.connect(self._bring, max_args=0)
        self.labels.box.changed.connect(self._labels_picked, max_args=0)
        self.channels.changed.connect(self._axis_chosen, max_args=0)
        context.viewer.layers.selection.events.active.connect(self._active_changed)
        self._follow_active()
        self._image_chosen()
        context.ties.show(
            self._show_start, "image", "annotation", "positive", "negative", "prediction"
        )
        context.ties.show(self._show_annotated, "image")
        context.ties.show(self._show_labels, "annotation")
        context.ties.show(self.image.refresh_soon, "image", "probability")
        events = context.viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            event.connect(self._layers_changed)
        events.inserted.connect(self._inserted)

    def release(self) -> None:
        """Stop watching the viewer."""
        self.image.release()
        self.labels.release()
        self._context.viewer.layers.selection.events.active.disconnect(self._active_changed)
        events = self._context.viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            event.disconnect(self._layers_changed)
        events.inserted.disconnect(self._inserted)

    def adopt(self, **layers: Any) -> None:
        """Annotate the chosen image, with the given layers where there are any."""
        image, chosen = self.image.layer, self.labels.layer
        if image is None:
            return
        if chosen is _ASK:
            self._context.controller.set_up(image)  # which asks
            return
        before = self._state.channel_axis
        self._set_axis(self.channels.value)
        for positive in (True, False):
            points = clicks_of(image, self._context.viewer.layers, positive=positive)
            layers.setdefault("positive" if positive else "negative", points)
        self._context.controller.adopt(image, annotation=chosen, afresh=chosen is None, **layers)
        if self._state.image != image:  # it could not be used, and the message says why
            self._set_axis(before)

    def _bring(self) -> None:
        """Show the image that was chosen; clicks go to it, or to none until it is set up."""
        if self.image.layer is not None:
            self._context.controller.choose(self.image.layer)

    def _labels_picked(self) -> None:
        self._picked = self.image.layer, self.labels.layer
        self._show_start()

    def _may_be_written(self, layer: Layer) -> bool:
        companion = self._context.is_companion(layer)
        pairings = self._context.controller.pairings.values()
        return not companion or any(layer == pairing.annotation for pairing in pairings)

    def _first_labels(self) -> list[tuple[str, Any]]:
        return [("choose …", _ASK)] * self._asked + [("a new layer", None)]

    def _layers_changed(self, _: object = None) -> None:
        self._later_labels.start()  # when it is known what a new layer is for

    def _show_labels(self) -> None:
        """Offer the labels that clearly belong to the image; where none do, the user chooses."""
        image = self.image.layer
        wanted: Any = None
        self._asked = False
        if image is not None and image == self._state.image:
            wanted, self._picked = self._state.annotation, None
        elif image is not None:
            match = self._context.controller.images.matching_labels(image)
            self._asked = bool(match.possible)
            wanted = _ASK if self._asked else match.labels
            if self._picked is not None and self._picked[0] == image:
                wanted = self._picked[1]
        with self.labels.box.changed.blocked():
            self.labels.refresh()
            self.labels.layer = wanted
        self._show_start()

    def _axes(self, _: object) -> list[tuple[str, Any]]:
        image = self.image.layer
        if image is None or image.rgb or image.ndim < 3:
            return [("none", None)]
        named = [
            (
                f"axis {axis} ({length} × {label})"
                if label.isalpha()
                else f"axis {axis} ({length})",
                axis,
            )
            for axis, (length, label) in enumerate(
                zip(image.data.shape, image.axis_labels, strict=True)
            )
        ]
        return [("none", None), *named]

    def _image_chosen(self) -> None:
        image = self.image.layer
        with self.channels.changed.blocked():
            self.channels.reset_choices()
            self.channels.value = self._likely_axis(image)
        self._show_channels()
        self._show_labels()

    def _likely_axis(self, image: Any) -> int | None:
        if image is None:
            return None
        if image == self._state.image:
            return self._state.channel_axis
        offered = [axis for axis in self.channels.choices if axis is not None]
        named = [a for a in offered if image.axis_labels[a].lower() in _CHANNEL_NAMES]
        return named[0] if named else None

    def _axis_chosen(self) -> None:
        if self.image.layer is None or self.image.layer != self._state.image:
            return
        self._state.channel_axis = self.channels.value
        pairing = self._context.controller.pairing
        if pairing is not None and pairing.channel_axis != self._state.channel_axis:
            self._set_axis(pairing.channel_axis)  # that axis can't be used
            self._image_chosen()

    def _set_axis(self, axis: int | None) -> None:
        """Choose channels for an image other than the one being annotated, which goes on."""
        with self._state.events.channel_axis.blocked():
            self._state.channel_axis = axis

    def _show_channels(self) -> None:
        # Its place is kept: what is below must not move when another image is chosen.
        self.channels.enabled = len(self.channels.choices) > 1

    def _active_changed(self, _: object = None) -> None:
        self._later.start()  # when it is known whether a new layer is a companion

    def _inserted(self, event: Any) -> None:
        self._came.append(event.value)
        self._later.start()

    def _follow_active(self) -> None:
        """Choose the image that was selected, or that was opened with what is selected."""
        self.image.refresh()
        active = self._context.viewer.layers.selection.active
        came, self._came = self._came, []
        seen = [layer for layer in came if isinstance(layer, Image) and layer.visible]
        if isinstance(active, Image):
            self.image.layer = active
        elif seen and active in came and not self._context.is_companion(active):
            self.image.layer = seen[0]

    def _show_annotated(self) -> None:
        if self._state.image is not None:
            self.image.refresh()  # it may be offered later only, as one that Review has opened
            self.image.layer = self._state.image
            self._image_chosen()

    def _show_start(self) -> None:
        state, chosen = self._state, self.image.layer
        there = (state.annotation, state.positive, state.negative, state.prediction)
        set_up = chosen is not None and chosen == state.image and None not in there
        set_up = set_up and self.labels.layer == state.annotation
        self.start.enabled = chosen is not None and not set_up


class LayersForm:
    """Picks the layers of the pairing from what is open.

    Parameters
    ----------
    images : ImageForm
        Knows the chosen image.
    """

    def __init__(self, context: FormContext, images: ImageForm) -> None:
        self._context, self._state, self._images = context, context.state, images
        new = "make a new one"
        self.positive = LayerChoice(
            context.viewer, Points, "Positive", "The points layer of positive clicks.", none=new
        )
        self.negative = LayerChoice(
            context.viewer, Points, "Negative", "The points layer of negative clicks.", none=new
        )
        self.use = button(
            "Use these layers",
            "Annotates the image with the labels chosen above and the points chosen here.",
            self._adopt,
        )
        self._choices = {"positive": self.positive, "negative": self.negative}
        boxes = [each.box for each in self._choices.values()]
        self.widget = form(*boxes, self.use)
        context.ties.show(self._show_layers, *self._choices)
        images.image.box.changed.connect(self._show_use, max_args=0)
        self._show_use()

    def release(self) -> None:
        """Stop watching the viewer."""
        for each in self._choices.values():
            each.release()

    def _adopt(self) -> None:
        self._images.adopt(**{name: each.layer for name, each in self._choices.items()})

    def _show_layers(self) -> None:
        for name, each in self._choices.items():
            each.refresh()
            each.layer = getattr(self._state, name)

    def _show_use(self) -> None:
        self.use.enabled = self._images.image.layer is not None
