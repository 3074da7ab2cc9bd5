"""The Review widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_clickseg._napari.annotate import settings as annotate_settings
from napari_clickseg._napari.review.controller import ReviewController
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg._napari.viewer.settings import runs_home
from napari_clickseg._qt.annotate.complete_switch import CompleteSwitch
from napari_clickseg._qt.annotate.form_context import FormContext
from napari_clickseg._qt.annotate.lease import lease
from napari_clickseg._qt.annotate.model_form import StatusLine
from napari_clickseg._qt.annotate.object_form import ObjectForm, hint
from napari_clickseg._qt.parts.binding import Ties
from napari_clickseg._qt.parts.controls import (
    action_button,
    breakable,
    button,
    form,
    note,
    row,
    timer,
)
from napari_clickseg._qt.parts.dock import Dock
from napari_clickseg._qt.parts.files_widget import export_button
from napari_clickseg._qt.parts.folds import Fold
from napari_clickseg._qt.parts.wakeup import Wakeup
from napari_clickseg._qt.review.clean_form import CleanForm
from napari_clickseg._qt.review.form_context import ReviewFormContext
from napari_clickseg._qt.review.forms import LabelsForm, PredictForm, ProjectForm
from napari_clickseg._qt.review.queue_list import QueueList
from napari_clickseg.runs.home import default_home

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._qt.annotate.lease import Lease

_QUICK, _SLOW = 500, 2000  # milliseconds between two looks, while predicting goes on and else
_OFFERING = 15_000  # milliseconds between two looks at what can be chosen
_KEEPING = 3000  # milliseconds after which corrections are on disk


class ReviewWidget(Dock):
    """Has the rest of a project predicted, and reviewed image by image."""

    least = (320, 560)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._viewer: Any = napari_viewer
        self._lease: Lease | None = None
        self._wakeup = Wakeup(self._deliver)
        self._controller = ReviewController(
            napari_viewer,
            self._annotate,
            default_home(),
            runs=runs_home(),
            device=annotate_settings.new_state().device,
            notify=self._wakeup.ring,
        )
        self._ties = Ties(self._controller.state)
        self.context = ReviewFormContext(self._controller, self._ties)
        self._looking = timer(self, self._controller.poll, _SLOW, once=False)
        self._offering = timer(self, self._controller.refresh_offers, _OFFERING, once=False)
        self._keeping = timer(self, self._controller.images.keep, _KEEPING, once=False)
        self._make_forms()
        self.fill(
            self.project.widget.native,
            self.predict,
            self.from_labels,
            self.buttons.native,  # above what comes, goes and stretches: they are pressed unseen
            self.queue,
            self.clean_up,
            self.correct,
            stretching=self.queue,
            foot=self.message.native,
        )
        self._ties.show(self._show_message, "message", "busy")
        self._ties.show(self._show_actions, "project", "current", "queue", "busy")
        self._ties.show(self._show_pace, "predicting")
        self._ties.show(self._show_correct, "current")
        self._looking.start()
        self._offering.start()
        self.at_end(
            self.labels.release, self._ties.cut, self._wakeup.silence, self._controller.close
        )

    def showEvent(self, a0: QShowEvent | None) -> None:
        """See what there is by now: a training may have ended since."""
        super().showEvent(a0)
        self.queue.fit()
        self._controller.refresh_offers()
        self._controller.poll()

    def taken_out(self) -> None:
        """Keep what was begun, and end."""
        for each in (self._looking, self._offering, self._keeping):
            each.stop()
        self._controller.images.leave(super().taken_out)

    def _make_forms(self) -> None:
        context, do = self.context, self._controller.do
        self.project = ProjectForm(context)
        self.predict = PredictForm(context)
        self.labels = LabelsForm(self._viewer, context)
        self.from_labels = Fold(
            "From other tools", self.labels.widget.native, "Labels that another tool made."
        )
        self.queue = QueueList(context)
        self.clean = CleanForm(context)
        self.clean_up = Fold(
            "Clean up", self.clean.widget.native, "The prediction smoothed, without a model."
        )
        self.next = action_button(Action.NEXT_IMAGE, do)
        self.back = action_button(Action.PREVIOUS_IMAGE, do)
        self.accept = action_button(Action.ACCEPT_IMAGE, do)
        self.reject = action_button(Action.REJECT_IMAGE, do)
        self.again = action_button(Action.TAKE_BACK, do)
        self.export = export_button(self._viewer, lambda: str(self.context.state.project or ""))
        self.buttons = form(
            row(self.next, self.back),
            row(self.accept, self.reject),
            row(self.again, self.export),
            labels=False,
        )
        self.message = note("What to do next, or what went wrong.", lines=2)
        self._correcting = QWidget()
        self._column = QVBoxLayout(self._correcting)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self.correct = Fold("Correct", self._correcting, "Correcting objects by clicks.")
        self.correct.expand(animate=False)

    def _annotate(self) -> AnnotateController:
        """Return what has clicks answered; its form is made with it."""
        if self._lease is None:
            self._lease = held = lease(self._viewer)
            ties = Ties(held.controller.state)
            self.at_end(ties.cut, held.end)
            context = FormContext(self._viewer, held.controller, ties)
            self.status = StatusLine(context)
            self.objects = ObjectForm(context)
            self.complete = CompleteSwitch(context)
            self.hint = note("What to do with the object, or what went wrong.", lines=2)
            self.more = button(
                "More in Annotate",
                "Opens the Annotate widget: its model, how things look, classes, overlaps.",
                self._open_annotate,
            )
            for part in (
                self.status,
                self.objects.widget.native,
                self.complete.widget.native,
                self.more.native,
                self.hint.native,
            ):
                self._column.addWidget(part)
            self.fit()
            ties.show(self._show_hint, "message", "tool", "model_status", "n_positive")
        return self._lease.controller

    def _open_annotate(self) -> None:
        open_widget(unwrapped(self._viewer), "Annotate")

    def _show_message(self) -> None:
        state = self.context.state
        self.message.value = breakable(state.busy or state.message)

    def _show_hint(self) -> None:
        assert self._lease is not None
        state = self._lease.controller.state
        self.hint.value = breakable(state.message or hint(state, images_open=True))

    def _show_actions(self) -> None:
        state = self.context.state
        for each in (self.next, self.back, self.again):
            each.enabled = bool(state.project)
        for each in (self.accept, self.reject):
            each.enabled = bool(state.current)

    def _show_pace(self) -> None:
        self._looking.setInterval(_QUICK if self.context.state.predicting.alive else _SLOW)

    def _show_correct(self) -> None:
        opened = bool(self.context.state.current)
        self.clean_up.setVisible(opened)
        self.correct.setVisible(opened)
        (self._keeping.start if opened else self._keeping.stop)()

    def _deliver(self) -> None:
        self._controller.deliver()
