"""The Train widget."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import LineEdit
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_clickseg._napari.train.controller import TrainController
from napari_clickseg._napari.train.fields import settings_of
from napari_clickseg._napari.train.settings import new_state, remember
from napari_clickseg._napari.train.text import busy_text
from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg._qt.parts.binding import Ties
from napari_clickseg._qt.parts.controls import breakable, button, form, note, row, timer
from napari_clickseg._qt.parts.dock import Dock
from napari_clickseg._qt.parts.files_widget import export_button, pictures_button
from napari_clickseg._qt.parts.folds import Fold
from napari_clickseg._qt.parts.picture import Picture
from napari_clickseg._qt.parts.wakeup import Wakeup
from napari_clickseg._qt.train.clicks_form import ClicksForm
from napari_clickseg._qt.train.crossfit_form import CrossfitForm, FiguresTable, StagesTable
from napari_clickseg._qt.train.form_context import TrainFormContext
from napari_clickseg._qt.train.run_form import CurvesForm, HelpForm, Messages, RunChoice, RunForm
from napari_clickseg._qt.train.source_form import SourceForm
from napari_clickseg._qt.train.spec_form import MainForm, SpecForm

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtGui import QShowEvent

_PACE = 500  # milliseconds between two looks at a run
_CLICK_TRAINING = "Click training"
_TIPS = {
    _CLICK_TRAINING: "Which clicks are learned from, and what is trained.",
    "Images": "Which ids, how images are split, windows and augmentation.",
    "Network": "Architecture, encoder, and what of the start is kept.",
    "Learning": "Epochs, losses, learning rate and device.",
}


class TrainWidget(Dock):
    """Teaches a model: shows the state of a viewer's training and calls its controller."""

    least = (345, 500)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._viewer: Any = napari_viewer
        self._wakeup = Wakeup(self._deliver)
        self._controller = TrainController(
            napari_viewer,
            notify=self._wakeup.ring,
            state=new_state(),
            annotate=self._annotate,
        )
        self._ties = Ties(self._controller.state)
        self.context = TrainFormContext(self._controller, self._ties)
        self._polling = timer(self, self._controller.poll, _PACE, once=False)
        # Later, once for many changes, and when it is known what a new layer is for.
        self._offering = timer(self, self._controller.refresh_offers, 0, once=True)
        events = napari_viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed, events.reordered):
            event.connect(self._layers_changed)
            self.at_end(partial(event.disconnect, self._layers_changed))
        self._make_forms()
        self._lay_out()
        self._ties.show(self._show_message, "message", "busy", "steps")
        self._ties.show(self._show_pace, "run")
        self._ties.show(self._show_pictures, "run")
        self._ties.show(self._show_samples, "samples")
        self._ties.show(self._show_parts, "run", "runs")
        self._ties.show(self._show_way, "way")
        self.at_end(
            self._ties.cut,
            self._wakeup.silence,
            partial(remember, self._controller.state),
            self._controller.close,
        )

    def showEvent(self, a0: QShowEvent | None) -> None:
        """See what is said of the layers by now: Annotate says whether they are complete, too."""
        super().showEvent(a0)
        self._offering.start()

    def fit(self) -> None:
        """Fit the list of layers to its rows, and everything to its labels."""
        self.source.fit()
        super().fit()

    def taken_out(self) -> None:
        """Put away what is being looked at, and end; a training goes on."""
        self._polling.stop()
        self._controller.clicks.close()
        super().taken_out()

    def _make_forms(self) -> None:
        context = self.context
        self.source = SourceForm(context)
        self.main = MainForm(context)
        self.crossfit = CrossfitForm(context)
        self.specs = {
            name: SpecForm(context, name, self.fit, partial(self._come_into_view, name))
            for name in _TIPS
        }
        self.labels_to_come = tuple(s.label for name in _TIPS for s in settings_of(name))
        self.run = RunForm(context)
        self.export = export_button(self._viewer, self._project)
        self.pictures = pictures_button(
            self._viewer, lambda: str(self.context.state.run.path or "")
        )
        self.message = note("What to do next, or what went wrong.", lines=2)
        self.stages = StagesTable(context)
        self.figures = FiguresTable(context)
        self.clicks = ClicksForm(context)
        self.curves = CurvesForm(context)
        self.helped = HelpForm(context)
        self.runs = RunChoice(context)
        self.messages = Messages(context)
        self.folds = {name: Fold(name, part, _TIPS[name]) for name, part in self.specs.items()}
        for name, fold in self.folds.items():
            fold.toggled.connect(self.specs[name].make)
        self.folds["Messages"] = Fold("Messages", self.messages, "What the run said.")
        self.folds["Folder"] = Fold("Folder", self._make_home(), "Where runs are kept.")

    def _make_home(self) -> QWidget:
        self.home = LineEdit(
            label="Folder",
            tooltip="Where the runs, and the projects that are made of layers, are kept.",
        )
        self.choose = button("Choose…", "Choose another folder.", self._ask_home)
        reset = button(
            "Reset all settings",
            "Goes back to the defaults, which are chosen from your images.",
            self._controller.reset_settings,
        )
        self.home.native.editingFinished.connect(
            lambda: self._controller.choose_home(self.home.value)
        )
        self._ties.show(self._show_home, "home")
        return form(form(self.home), self.choose, reset, labels=False).native  # type: ignore[no-any-return]

    def _lay_out(self) -> None:
        self.fill(
            self.source,
            self.main.widget.native,
            self.crossfit,
            *(self.folds[name] for name in _TIPS),
            self.folds["Folder"],
            row(self.export, self.pictures).native,
            self.run,
            self.runs.widget.native,
            self.folds["Messages"],
            # What comes and goes by itself lies below what is pressed.
            self.source.report.native,
            self.run.warning.native,
            self.figures,
            self.stages,
            self.clicks,
            self.curves,
            self.helped,
            foot=self.message.native,
        )

    def _come_into_view(self, name: str) -> None:
        self.folds[name].come_into_view()

    def _show_message(self) -> None:
        state = self.context.state
        self.message.value = breakable(state.message or busy_text(state))

    def _show_parts(self) -> None:
        """Leave out what there is nothing to see of yet."""
        state = self.context.state
        self.curves.setVisible(state.run.status not in ("none", "preparing"))
        for part in (self.runs.widget.native, self.folds["Messages"]):
            part.setVisible(bool(state.runs) or state.run.path is not None)

    def _show_way(self) -> None:
        self.folds[_CLICK_TRAINING].setVisible(self.context.state.way == "crossfit")

    def _show_samples(self) -> None:
        if self.context.state.samples is not None:
            self.samples = Picture(
                self.context.state.samples, "Samples, as they are learned from", self
            )
            self.samples.show()

    def _show_home(self) -> None:
        self.home.value = self.context.state.home

    def _show_pictures(self) -> None:
        self.pictures.enabled = self.context.state.run.model is not None

    def _show_pace(self) -> None:
        """Look at a run while it goes on, and not longer."""
        if self.context.state.run.alive != self._polling.isActive():
            (self._polling.start if self.context.state.run.alive else self._polling.stop)()

    def _ask_home(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self, "Where runs are kept", self.context.state.home
        )
        if path:
            self._controller.choose_home(path)

    def _project(self) -> str:
        """Return the project that is trained on; "" where layers are."""
        state = self.context.state
        return state.project if state.source == "project" else ""

    def _annotate(self, model: str) -> None:
        """Open the Annotate widget, if it is not, and have it load a model."""
        from napari_clickseg._qt.annotate.lease import lease

        open_widget(unwrapped(self._viewer), "Annotate")
        held = lease(self._viewer)
        held.controller.choose_model(model)
        held.end()

    def _layers_changed(self, _: object = None) -> None:
        self._offering.start()

    def _deliver(self) -> None:
        self._controller.deliver()
