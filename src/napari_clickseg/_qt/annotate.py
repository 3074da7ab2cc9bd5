"""The Annotate widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_clickseg._qt.binding import Ties
from napari_clickseg._qt.desk import Desk
from napari_clickseg._qt.image_form import ImageForm, LayersForm
from napari_clickseg._qt.look_form import LookForm, MaskForm
from napari_clickseg._qt.model_form import ModelForm, StatusLine
from napari_clickseg._qt.object_form import ObjectForm, hint
from napari_clickseg._qt.parts import Fold, align_labels, breakable, note
from napari_clickseg._qt.rules_form import RulesForm
from napari_clickseg._qt.shared import lease
from napari_clickseg._qt.stack_form import StackForm
from napari_clickseg._qt.stillness import Stillness

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent

__all__ = ["AnnotateWidget"]


class AnnotateWidget(QWidget):
    """Segments by clicking: shows the state of a viewer's annotation and calls its controller.

    A class and not a function, because napari gives the viewer to classes only.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._lease = lease(napari_viewer)
        self._ties = Ties(self._lease.controller.state)
        self.desk = Desk(napari_viewer, self._lease.controller, self._ties)
        self._make_forms()
        self._lay_out()
        self._stillness = Stillness(self, self.desk)
        self._stillness.watch(self._ties)
        self._ties.show(self._show_ready, "image")
        self._ties.show(
            self._show_message,
            *("message", "image", "tool", "model_status", "n_positive", "n_negative"),
        )
        self.images.image.box.changed.connect(self._show_message, max_args=0)
        self._end_with_the_widget()

    def event(self, a0: QEvent | None) -> bool:
        """Notice when napari takes the widget out of its dock: there is no close event."""
        if a0 is not None and a0.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._end_if_taken_out)
        return super().event(a0)

    def showEvent(self, a0: QShowEvent | None) -> None:
        """Fit to what could not be measured before the theme was known."""
        super().showEvent(a0)
        align_labels(self)
        content, bar = self._scroll.widget(), self._scroll.verticalScrollBar()
        assert content is not None and bar is not None
        self._scroll.setMinimumWidth(content.minimumSizeHint().width() + bar.sizeHint().width())

    def sizeHint(self) -> QSize:
        """Return a size that shows the form without scrolling, its groups folded."""
        content = self._scroll.widget()
        assert content is not None
        return content.sizeHint().expandedTo(QSize(300, 500))

    def _make_forms(self) -> None:
        desk = self.desk
        self.status = StatusLine(desk)
        self.models = ModelForm(desk)
        self.images = ImageForm(desk)
        self.layers = LayersForm(desk, self.images)
        self.objects = ObjectForm(desk)
        self.look_form, self.mask_form = LookForm(desk), MaskForm(desk)
        self.rules = RulesForm(desk)
        self.stack = StackForm(desk)
        self.message = note("What to do next, or what went wrong.", lines=2)
        self.folds = {
            "Model": Fold("Model", self.models.widget.native, "The model and its device."),
            "Layers": Fold(
                "Layers", self.layers.widget.native, "Use layers that are open already."
            ),
            "Look": Fold("Look", self.look_form.widget.native, "How the prediction is drawn."),
            "Mask": Fold("Mask", self.mask_form.widget.native, "From probability to mask."),
            "Rules": Fold(
                "Rules", self.rules.widget.native, "Overlap, ids, classes, and where to start."
            ),
            "Stack": Fold("Stack", self.stack.widget.native, "Going from plane to plane."),
        }

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setSpacing(8)
        folds = self.folds
        self._working = [
            self.objects.widget.native,
            *(folds[name] for name in ("Look", "Mask", "Rules", "Stack")),
        ]
        for part in (
            self.status,
            folds["Model"],
            self.images.widget.native,
            folds["Layers"],
            self.objects.widget.native,
            self.message.native,
            *self._working[1:],
        ):
            column.addWidget(part)
        column.addStretch(1)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._scroll)

    def _show_ready(self) -> None:
        image = self.desk.state.image
        for part in self._working:
            part.setEnabled(image is not None)
        self.folds["Stack"].setVisible(image is not None and image.ndim > 2)

    def _show_message(self) -> None:
        state = self.desk.state
        images_open = self.images.image.layer is not None
        text = (state.message if images_open else "") or hint(state, images_open)
        self.message.value = breakable(text)

    def _end_with_the_widget(self) -> None:
        """Have everything end with the widget, whichever way that happens."""
        forms = (self.images, self.layers, self.rules)
        ends = [self._stillness.end, *(form.release for form in forms)]
        ties, right = self._ties, self._lease

        def end() -> None:
            ties.cut()
            while ends:
                ends.pop()()
            right.end()

        self._end = end
        self.destroyed.connect(end)

    def _end_if_taken_out(self) -> None:
        if self.parent() is None:
            self._end()
            self.deleteLater()
