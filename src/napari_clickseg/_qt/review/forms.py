"""Which project is reviewed, and having the rest of it predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog, QProgressBar, QWidget

from napari_clickseg._napari.project.pairs import may_be_reviewed
from napari_clickseg._napari.review.text import (
    counts_text,
    model_text,
    predicting_text,
    project_names,
    without_model_text,
)
from napari_clickseg._qt.parts import folders
from napari_clickseg._qt.parts.controls import (
    breakable,
    button,
    choice,
    form,
    keep_place,
    note,
    row,
    stack,
)
from napari_clickseg._qt.parts.files_widget import pictures_button
from napari_clickseg._qt.parts.layer_choice import LayerChoice

if TYPE_CHECKING:
    from napari_clickseg._qt.review.form_context import ReviewFormContext

_OTHER = object()  # stands for "Choose a folder…" and "Open a file…"


class ProjectForm:
    """Chooses a project, and says what is in it."""

    def __init__(self, context: ReviewFormContext) -> None:
        self._controller, self._state = context.controller, context.state
        self.project = choice(
            "Project",
            "A project folder: the images of it that have no mask are predicted and reviewed. "
            "Listed are projects that are open, were used or were trained on.",
            self._projects,
        )
        self.counts = note("What became of the project's images; each counts once.", lines=2)
        self.widget = form(form(self.project), self.counts, labels=False)
        self.project.changed.connect(self._choose)
        context.ties.show(self._show_projects, "projects", "project")
        context.ties.show(self._show_counts, "counts", "project")

    def _projects(self, _: object) -> list[tuple[str, Any]]:
        projects = self._state.projects
        listed: list[tuple[str, Any]] = list(zip(project_names(projects), projects, strict=True))
        if not self._state.project:
            listed.insert(0, ("none yet", ""))
        return [*listed, ("Choose a folder…", _OTHER)]

    def _show_projects(self) -> None:
        with self.project.changed.blocked():
            self.project.reset_choices()
            self.project.value = self._state.project
        self.project.native.setToolTip(self._state.project or self.project.tooltip)

    def _show_counts(self) -> None:
        self.counts.value = counts_text(self._state.counts)

    def _choose(self, project: object) -> None:
        if project is _OTHER:
            project = QFileDialog.getExistingDirectory(
                self.widget.native, "Choose a project", self._state.project
            )
        if isinstance(project, str) and project:
            self._controller.choose_project(project)
        self._show_projects()


class LabelsForm:
    """Has labels that another tool made reviewed."""

    def __init__(self, viewer: Any, context: ReviewFormContext) -> None:
        self._controller, self._state = context.controller, context.state
        self.labels = LayerChoice(
            viewer,
            Labels,
            "Labels",
            "A labels layer that another tool made, as Cellpose or StarDist, on an open image.",
            wanted=may_be_reviewed,
            none="none",
        )
        self.put = button(
            "Review these labels",
            "Puts each plane of the labels into the review as a prediction: to be corrected, "
            "accepted and learned from. An image that is in no project comes into this one; masks "
            "that are there are never touched.",
            self._put,
        )
        self.widget = form(form(self.labels.box), self.put, labels=False)
        self.labels.box.changed.connect(self._show_able, max_args=0)
        context.ties.show(self._show_able, "busy")

    def release(self) -> None:
        """Stop watching the layers."""
        self.labels.release()

    def _show_able(self) -> None:
        self.put.enabled = self.labels.layer is not None and not self._state.busy

    def _put(self) -> None:
        layer = self.labels.layer
        folder = ""
        if self._controller.needs_folder(layer):
            title = "The project that the image and its prediction come into"
            folder = folders.choose_or_make_folder(self.widget.native, title)
            if not folder:
                return
        self._controller.propose(layer, folder)


class PredictForm(QWidget):
    """Has the rest of a project predicted, and says how far that is."""

    def __init__(self, context: ReviewFormContext) -> None:
        super().__init__()
        self._controller, self._state = context.controller, context.state
        self.model = choice(
            "Model",
            "The model that predicts: one that needs no click. The last trained one comes first.",
            self._models,
        )
        self.again = CheckBox(
            text="Also what waits from another model",
            tooltip="After a new training: what waits to be reviewed is predicted anew, and what "
            "was rejected as well. Corrections that you began are kept.",
        )
        self.predict = button(
            "Predict the rest",
            "Predicts all images without a mask, in a process of its own: napari stays free, and "
            "closing it does not end it. Masks that are there are never touched.",
            self._controller.predict,
        )
        self.stop = button(
            "Stop",
            "Ends after the image that is being predicted. What is done is kept.",
            self._controller.stop,
        )
        self.pictures = pictures_button(
            context.controller.viewer, lambda: str(self._state.project or "")
        )
        self.status = note("How far predicting is.", lines=3)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.bar.setToolTip("The share of the images that is predicted.")
        keep_place(self.bar)
        buttons = row(self.predict, self.stop, self.pictures)
        stack(self, form(self.model), self.again, buttons, self.status, self.bar)
        self.model.changed.connect(self._choose)
        context.ties.tie(self.again, "again")
        context.ties.show(self._show_models, "models", "model")
        context.ties.show(self._show_predicting, "predicting", "project", "model", "models")

    def _models(self, _: object) -> list[tuple[str, Any]]:
        listed: list[tuple[str, Any]] = [
            (f"{offer.name} (needs clicks)" if offer.needs_clicks else offer.name, offer.path)
            for offer in self._state.models
        ]
        if not self._state.model:
            able = any(not offer.refusal for offer in self._state.models)
            listed.insert(0, ("none chosen" if able else "none that needs no click", ""))
        return [*listed, ("Open a file…", _OTHER)]

    def _show_models(self) -> None:
        with self.model.changed.blocked():
            self.model.reset_choices()
            if self._state.model in self.model.choices:
                self.model.value = self._state.model
        self.model.native.setToolTip(self._state.model or self.model.tooltip)

    def _choose(self, model: object) -> None:
        if model is _OTHER:
            model, _ = QFileDialog.getOpenFileName(
                self, "Open a model", "", "Models (*.safetensors);;All files (*)"
            )
        if isinstance(model, str) and model:
            self._controller.choose_model(model)
        self._show_models()

    def _show_predicting(self) -> None:
        state, now = self._state, self._state.predicting
        able = bool(state.project and state.model) and not self._controller.refusal()
        self.predict.enabled = able and not now.alive
        self.stop.enabled = now.alive and now.status != "stopping"
        self.pictures.enabled = bool(state.project)
        text = predicting_text(now)
        if not text and state.project and not state.model:
            text = without_model_text(state.models)
        if not now.alive and state.project:
            chosen = next((each for each in state.models if each.path == state.model), None)
            short = not text or (now.status == "finished" and now.total > 0)
            if short:  # else both together would take more lines than are kept
                text = " ".join(filter(None, (text, model_text(chosen, state.project))))
        self.status.value = breakable(text)
        self.bar.setRange(0, max(1, now.total))
        self.bar.setValue(now.done)
        self.bar.setVisible(now.alive)
