"""The controller of the Train widget: layers or a project in, a run, its curves and a model out.

Everything here runs on the main thread and only decides; what takes time goes to three workers: one
for what the user asked for, one that reads what a run writes, one that asks for names.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info

from napari_clickseg._napari.project.saving import (
    homeless,
    note_saved,
    prepare_saving,
    write_saving,
)
from napari_clickseg._napari.train import crossfit_jobs, jobs
from napari_clickseg._napari.train.choices import TrainChoices
from napari_clickseg._napari.train.click_editor import ClickEditor
from napari_clickseg._napari.train.previews import PreviewLayers, montage
from napari_clickseg._napari.train.runs import list_runs, reader_of
from napari_clickseg._napari.train.state import TrainState
from napari_clickseg._napari.train.text import check_text
from napari_clickseg._napari.viewer.layers import CompanionError
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.runs.conduct import Stopped
from napari_clickseg.runs.home import default_home
from napari_clickseg.training.progress import RESUMABLE, RunProgress
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers.base import Layer

    from napari_clickseg._napari.train.previews import Montage
    from napari_clickseg._napari.train.state import Check, RunEntry
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.runs.process import Launch
    from napari_clickseg.training.progress import Preview
    from napari_clickseg.training.reader import RunReader


class TrainController(TrainChoices):
    """Ties a viewer, the state, the workers and a run's folder together.

    Parameters
    ----------
    notify : callable, optional
        Called on a worker thread when results wait; it must have `deliver` called on the main
        thread. Without it somebody has to call `deliver` now and then.
    state : TrainState, optional
        The state to begin with.
    annotate : callable, optional
        ``annotate(model)`` makes a model the one that clicks are answered with.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        notify: Callable[[], None] | None = None,
        state: TrainState | None = None,
        annotate: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(viewer, state or TrainState(), self._own_layers)
        if not self.state.home:
            self.state.home = str(default_home())
        self._annotate = annotate or (lambda _: None)
        self.runner = Runner(notify or (lambda: None), Stopped)
        self.reader = Runner(notify or (lambda: None), Stopped)
        self.asker = Runner(notify or (lambda: None), Stopped)
        self.previews = PreviewLayers(viewer)
        self.clicks = ClickEditor(viewer, self.state, self.reader)
        self.clicks.failed.connect(self._unreadable)
        self._reading: RunReader | None = None
        self._stop_wanted = False
        self._shown: tuple[Path | None, int] = (None, 0)
        self._told: set[str] = set()
        self._closed = False
        self.refresh_offers()
        self.list_runs(choose=True)

    # ---- public: what views call

    def deliver(self) -> None:
        """Take the workers' results over; to be called on the main thread."""
        for runner in (self.runner, self.reader, self.asker):
            runner.deliver()

    def choose_home(self, path: str) -> None:
        """Keep projects and runs in another folder."""
        if path and path != self.state.home:
            self.state.home = path
            self.list_runs(choose=not self.state.run.alive)

    def check(self) -> None:
        """Look through what was chosen."""
        order = self._order()
        if order is not None:
            self._begin_work("Looking through the images …")
            self.runner.submit(
                "work", lambda stop: jobs.inspect(order, stop, self._stepped), self._checked,
                self._failed,
            )  # fmt: skip

    def show_samples(self) -> None:
        """Have augmented windows drawn, as they would be learned from."""
        order = self._order()
        if order is not None:
            self._begin_work("Drawing samples; this takes some seconds …")
            self.runner.submit(
                "work", lambda stop: jobs.samples(order, stop, self._stepped), self._drawn,
                self._failed,
            )  # fmt: skip

    def start(self) -> None:
        """Train."""
        order = self._order()
        if order is not None:
            self._begin_work("Preparing the training …")
            self.state.run = RunProgress(status="preparing")
            self.runner.submit(
                "work", lambda stop: jobs.begin(order, stop, self._stepped), self._begun,
                self._not_begun,
            )  # fmt: skip

    def homeless(self) -> int:
        """Count the chosen images that are in no project yet, so that one has to be named."""
        self.refresh_offers()
        return len(homeless([offer.pair for offer in self.state.offers if offer.chosen]))

    def save(self, folder: str = "") -> None:
        """Save the chosen images' masks, classes and clicks into the project they came from.

        Parameters
        ----------
        folder : str
            Where a project is made, or added to, of the images that are in none yet.
        """
        self.refresh_offers()
        pairs = [offer.pair for offer in self.state.offers if offer.chosen]
        try:
            saving = prepare_saving(self.viewer, pairs, Path(folder) if folder else None)
        except CompanionError as error:
            self.state.message = one_line(error)
            return
        if not saving.parts:
            self.state.message = "Nothing is saved; tick images with labels, and name a folder."
            return

        def saved(said: tuple[str, ...]) -> None:
            self._end_work()
            note_saved(saving)
            self.state.message = " ".join(said)

        self._begin_work("Saving …")
        self.runner.submit(
            "work", lambda _: write_saving(saving, self._stepped), saved, self._failed
        )

    def stop(self) -> None:
        """Stop the training; the best model so far is kept."""
        run = self.state.run
        if run.status == "preparing":
            self.cancel()
            self.state.run = RunProgress()
            self.list_runs(choose=True)
        elif run.alive:
            self._stop_wanted = True
            self.state.run = replace(run, status="stopping")
            self.poll()

    def cancel(self) -> None:
        """Give up looking through the images."""
        self.runner.cancel("work")
        self._end_work()

    def resume(self) -> None:
        """Go on with the run that is shown."""
        path = self.state.run.path
        if path is None or self.state.run.status not in RESUMABLE:
            return
        self.state.run = replace(self.state.run, status="starting", error="")
        self._stop_wanted = False
        self.state.message = ""
        saver = self.clicks.saver

        def go_on(_: Stop) -> Launch:
            saver.write()  # clicks that were edited are learned from
            return jobs.resume(path)

        self.runner.submit(
            "work", go_on, lambda launched: self._watch(path, launched), self._not_begun
        )

    def copy_crossfit(self) -> None:
        """Make a copy of a cross-fitting that has learned, to edit its clicks and learn again."""
        path, home = self.state.run.path, Path(self.state.home)
        if path is None or self.state.run.alive:
            return
        self._begin_work("Copying baselines, predictions and clicks …")

        def copied(there: Path) -> None:
            self._end_work()
            self.choose_run(there)
            self.list_runs()

        self.runner.submit("work", lambda _: crossfit_jobs.copy(path, home), copied, self._failed)

    def choose_run(self, path: Path) -> None:
        """Show another run."""
        if path != self.state.run.path:
            self.state.run = RunProgress(path, path.name)
            self._watch(path)

    def poll(self) -> None:
        """Look what is new; to be called about twice a second."""
        reading, wanted = self._reading, self._stop_wanted
        if reading is None or self.reader.active("poll"):
            return

        def look(_: Stop) -> tuple[RunReader, RunProgress]:
            progress = reading.look()
            if wanted and progress.status == "running" and progress.path is not None:
                RunFolder(progress.path).request_stop()
            return reading, progress

        self.reader.submit("poll", look, self._looked, self._unreadable)

    def list_runs(self, *, choose: bool = False) -> None:
        """List the runs that there are; choose the one that goes on, or else the newest."""
        home = Path(self.state.home)

        def listed(runs: tuple[RunEntry, ...]) -> None:
            self.state.runs = runs
            alive = [entry for entry in runs if entry.status in ("running", "starting")]
            if choose and runs and not self.state.run.alive:
                self.choose_run((alive or runs)[0].path)

        self.reader.submit("list", lambda _: list_runs(home), listed, self._unreadable)

    def show_previews(self, on: bool) -> None:
        """Show predictions on validation images as layers, or take them away."""
        self.state.show_previews = on
        self._shown = (None, 0)
        if on:
            self._refresh_previews()
        else:
            self.reader.cancel("montage")
            self.previews.remove()

    def use_model(self) -> None:
        """Have clicks answered by the model of the run that is shown."""
        model, name = self.state.run.model, self.state.run.name
        if model is not None:
            self.runner.submit(
                "use", lambda _: jobs.keep_model(model, name), self._use, self._unreadable
            )

    def list_names(self) -> None:
        """Find out what can be typed where a network is named, once."""
        if self.state.names or self.asker.active("names"):
            return

        def listed(names: dict[str, tuple[str, ...]]) -> None:
            self.state.names = names

        self.asker.submit("names", jobs.list_names, listed, self._unreadable)

    def report(self) -> Path | None:
        """Return the report of the run that is shown, if there is one."""
        path = self.state.run.path
        for name in ("report.html", "report.md"):
            if path is not None and (path / name).is_file():
                return path / name
        self.state.message = "This run has no report; it is written when the training ends."
        return None

    def close(self) -> None:
        """Let go of everything; a run goes on, and the layers stay."""
        if self._closed:
            return
        self._closed = True
        self.clicks.end()
        for runner in (self.runner, self.reader, self.asker):
            runner.close()

    # ---- work

    def _own_layers(self) -> tuple[Layer, ...]:
        return (*self.previews.layers, *self.clicks.layers.layers)

    def _begin_work(self, text: str) -> None:
        self.state.message = ""
        self.state.busy, self.state.steps = text, (0, 0)

    def _end_work(self) -> None:
        self.state.busy, self.state.steps = "", (0, 0)

    def _stepped(self, done: int, wanted: int) -> None:
        """Say how far the work is; runs on the worker thread."""
        self.reader.post(lambda: self._show_steps(done, wanted), "steps")

    def _show_steps(self, done: int, wanted: int) -> None:
        if self.state.busy:
            self.state.steps = done, wanted

    def _checked(self, answer: tuple[Path, Check]) -> None:
        self._end_work()
        self.state.check = answer[1]
        self.state.classes = answer[1].classes
        self.state.message = check_text(answer[1])

    def _drawn(self, picture: Any) -> None:
        self._end_work()
        self.state.samples = picture

    def _begun(self, answer: tuple[Check, Path, Launch | None]) -> None:
        check, path, launched = answer
        self._end_work()
        self.state.check, self.state.classes = check, check.classes
        if launched is None:
            self.state.run = RunProgress()
            self.state.message = check.errors[0]
            self.list_runs(choose=True)
        else:
            self._stop_wanted = False
            self.state.check = None  # its warnings are among the run's messages
            self.state.run = RunProgress(path, path.name, status="starting")
            self._watch(path, launched)
            self.list_runs()

    def _not_begun(self, error: Exception) -> None:
        self._end_work()
        self.state.run = replace(self.state.run, status="none")
        self._failed(error)
        self.list_runs(choose=True)

    def _failed(self, error: Exception) -> None:
        self._end_work()
        self.state.check = None
        self._tell(one_line(error))

    def _unreadable(self, error: Exception) -> None:
        self._tell(one_line(error))

    def _tell(self, text: str) -> None:
        self.state.message = text
        if text not in self._told:
            self._told.add(text)
            show_error(text)

    def _use(self, name: str) -> None:
        self._annotate(name)
        verdict = self.state.run.verdict
        worse = verdict is not None and verdict.kind == "worse"
        but = " It did worse than the model that its training began with." if worse else ""
        self.state.message = f"Clicks are answered by {name} now.{but}"

    # ---- the run

    def _watch(self, path: Path, launched: Launch | None = None) -> None:
        self._reading = reader_of(path, launched)
        self._shown = (None, 0)
        self.reader.cancel("poll")
        self.poll()

    def _looked(self, answer: tuple[RunReader, RunProgress]) -> None:
        reading, progress = answer
        if reading is not self._reading:
            return
        before = self.state.run
        if self._stop_wanted and progress.status in ("running", "starting"):
            progress = replace(progress, status="stopping")
        if progress != before:
            self.state.run = progress
        if before.path == progress.path and before.alive and not progress.alive:
            self._ended(progress)
        self._refresh_previews()

    def _ended(self, run: RunProgress) -> None:
        self._stop_wanted = False
        self.list_runs()
        if run.status == "failed":
            self._tell(f"The training failed: {run.error}")
        elif run.reason == "ended":
            self._tell("The training ended unexpectedly; press Resume to go on with it.")
        elif run.status == "paused":
            self.state.message = ""
            show_info("Clicks are placed where the baselines are wrong. Look at them, and go on.")
        elif run.status == "finished":
            self.state.message = ""
            show_info(f"The training of {run.name} is done.")

    # ---- previews

    def _refresh_previews(self) -> None:
        run = self.state.run
        wanted = (run.path, run.preview_epoch)
        if not self.state.show_previews or not run.previews or run.path is None:
            return
        if wanted != self._shown:
            self._shown = wanted
            path, previews = run.path, run.previews
            self.reader.submit(
                "montage", lambda _: _montage(path, previews), self._show_montage, self._unreadable
            )

    def _show_montage(self, montage: Montage) -> None:
        if self.state.show_previews and not self.previews.show(montage):
            self.reader.post(lambda: self._show_montage(montage), "montage")


def _montage(run: Path, previews: tuple[Preview, ...]) -> Montage:
    spec = RunFolder(run).spec
    project = Path(spec.project)
    folder = project if project.is_dir() else project.parent
    return montage(folder, run, previews, of_classes=spec.task in ("binary", "multiclass"))
