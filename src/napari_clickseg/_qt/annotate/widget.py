"""The Annotate widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_clickseg._qt.annotate.all_objects_form import AllObjectsForm
from napari_clickseg._qt.annotate.class_list import ClassList
from napari_clickseg._qt.annotate.display_form import DisplayForm, MaskForm
from napari_clickseg._qt.annotate.folder_form import FolderForm
from napari_clickseg._qt.annotate.form_context import FormContext
from napari_clickseg._qt.annotate.image_form import ImageForm, LayersForm
from napari_clickseg._qt.annotate.lease import lease
from napari_clickseg._qt.annotate.model_form import ModelForm, StatusLine
from napari_clickseg._qt.annotate.object_form import ObjectForm, hint
from napari_clickseg._qt.annotate.object_list_form import ObjectListForm
from napari_clickseg._qt.annotate.one_repaint import OneRepaint
from napari_clickseg._qt.annotate.rules_form import RulesForm
from napari_clickseg._qt.annotate.stack_form import StackForm
from napari_clickseg._qt.annotate.unsaved_work_form import UnsavedWorkForm
from napari_clickseg._qt.parts.binding import Ties
from napari_clickseg._qt.parts.controls import breakable, note
from napari_clickseg._qt.parts.dock import Dock
from napari_clickseg._qt.parts.files_widget import export_button
from napari_clickseg._qt.parts.folds import Fold

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent


_FOLDS = ("Classes", "All objects", "Object list", "Look", "Mask", "Rules", "Stack")


class AnnotateWidget(Dock):
    """Segments by clicking: shows the state of a viewer's annotation and calls its controller.

    A class and not a function, because napari gives the viewer to classes only.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._viewer = napari_viewer
        self._lease = lease(napari_viewer)
        self._ties = Ties(self._lease.controller.state)
        self._folder_ties = Ties(self._lease.folder.state)
        self.context = FormContext(napari_viewer, self._lease.controller, self._ties)
        self._make_forms()
        self._lay_out()
        self._one_repaint = OneRepaint(self, self.context)
        self._one_repaint.watch(self._ties)
        self._ties.show(self._show_ready, "image")
        self._folder_ties.show(self._show_choice, "current")
        self.images.image.box.changed.connect(self._show_choice, max_args=0)
        self._ties.show(
            self._show_message,
            *("message", "image", "tool", "model_status", "n_positive", "n_negative"),
            *("crosshair", "drawing"),
        )
        self.images.image.box.changed.connect(self._show_message, max_args=0)
        forms = (self.images, self.layers, self.rules)
        self.at_end(
            self._ties.cut,
            self._stop_listing,
            self._folder_ties.cut,
            self._one_repaint.end,
            *(form.release for form in forms),
            self._lease.end,
        )

    def _make_forms(self) -> None:
        context = self.context
        self.status = StatusLine(context)
        self.models = ModelForm(context)
        self.folder = FolderForm(self._lease.folder, self._folder_ties)
        self.images = ImageForm(context)
        self.layers = LayersForm(context, self.images)
        self.objects = ObjectForm(context)
        self.look_form, self.mask_form = DisplayForm(context), MaskForm(context)
        self.classes = ClassList(context)
        self.rules = RulesForm(context)
        self.all_objects = AllObjectsForm(context)
        self.listed = ObjectListForm(context)
        self.stack = StackForm(context)
        self.message = note("What to do next, or what went wrong.", lines=2)
        self.unsaved_work = UnsavedWorkForm(context)
        self.folds = {
            "Folder": Fold("Folder", self.folder, "A folder of images, one after the other."),
            "Model": Fold("Model", self.models.widget.native, "The model and its device."),
            "Layers": Fold(
                "Layers", self.layers.widget.native, "Use layers that are open already."
            ),
            "Classes": Fold(
                "Classes", self.classes.widget.native, "Names and colours of the classes."
            ),
            "All objects": Fold(
                "All objects", self.all_objects.widget.native, "Found at once, each its own."
            ),
            "Object list": Fold(
                "Object list", self.listed, "The objects of the displayed plane, one by one."
            ),
            "Look": Fold("Look", self.look_form.widget.native, "How the prediction is drawn."),
            "Mask": Fold("Mask", self.mask_form.widget.native, "From probability to mask."),
            "Rules": Fold("Rules", self.rules.widget.native, "Overlap, ids, and where to start."),
            "Stack": Fold("Stack", self.stack.widget.native, "Going from plane to plane."),
        }

    def _lay_out(self) -> None:
        self.folds["Classes"].expand(animate=False)
        self.folds["Object list"].toggled.connect(self.listed.follow)
        folds = self.folds
        self._working = [
            self.objects.widget.native,
            *(folds[name] for name in _FOLDS),
        ]
        self.export = export_button(self._viewer, lambda: "")
        self.fill(
            self.status,
            folds["Model"],
            folds["Folder"],
            self.images.widget.native,
            folds["Layers"],
            self.objects.widget.native,
            *self._working[1:-1],
            self.export.native,  # above what comes with a stack
            folds["Stack"],
            foot=self._foot(),
        )

    def _foot(self) -> QWidget:
        """Put unsaved work above the message, which stays where it is."""
        foot = QWidget()
        layout = QVBoxLayout(foot)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.unsaved_work)
        layout.addWidget(self.message.native)
        return foot

    def showEvent(self, a0: QShowEvent | None) -> None:
        """Leave room for the list of a folder, once the font is known."""
        super().showEvent(a0)
        self.folder.list.fit()

    def taken_out(self) -> None:
        """Save the image of the folder that is open, and end."""
        if self._lease.last:
            self._lease.folder.leave()
        super().taken_out()

    def _stop_listing(self) -> None:
        self.context.state.listing = False  # others may have the controller still

    def _show_ready(self) -> None:
        image = self.context.state.image
        for part in self._working:
            part.setEnabled(image is not None)
        self.folds["Stack"].setVisible(image is not None and image.ndim > 2)

    def _show_choice(self) -> None:
        """Offer a choice of image and layers, unless the folder has the only image there is."""
        chosen = bool(self._lease.folder.state.current) and len(self.images.image.box.choices) < 2
        self.images.widget.native.setVisible(not chosen)
        self.folds["Layers"].setVisible(not chosen)

    def _show_message(self) -> None:
        state = self.context.state
        images_open = self.images.image.layer is not None
        text = (state.message if images_open else "") or hint(state, images_open)
        self.message.value = breakable(text)
