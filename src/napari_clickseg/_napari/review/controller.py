"""The controller of the Review widget: a project in, reviewed masks out.

Everything here runs on the main thread and only decides; what takes time goes to two workers: one
reads and writes images, the other one looks what is new.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info

from napari_clickseg._napari.project.gather import propose
from napari_clickseg._napari.project.pairs import pair_under, snapshot
from napari_clickseg._napari.project.saving import home_of, note_home
from napari_clickseg._napari.review.navigator import NOT_YET, Navigator
from napari_clickseg._napari.review.offers import OffersReader, remember_project
from napari_clickseg._napari.review.predicting import PredictingOrder, PredictingReader
from napari_clickseg._napari.review.reading import QueueReader
from napari_clickseg._napari.review.state import Predicting, QueueCounts, ReviewState
from napari_clickseg._napari.review.text import proposed_text
from napari_clickseg._napari.viewer.actions import Action, bindings
from napari_clickseg._napari.viewer.keys import Keys
from napari_clickseg._napari.viewer.metadata import origin_of
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.models.trained_models import best_fitting
from napari_clickseg.runs.conduct import Stopped
from napari_clickseg.util.text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.project.gather import Proposed
    from napari_clickseg._napari.review.offers import Offers
    from napari_clickseg._napari.review.state import QueueRow
    from napari_clickseg._napari.viewer.runner import Stop

    Queue = tuple[QueueCounts, tuple[QueueRow, ...]]


class ReviewController:
    """Ties a viewer, the state, the workers and a project together.

    Parameters
    ----------
    annotate : callable
        Returns the controller that has clicks answered; called when the first image is opened.
    home : Path
        Where drafts and what is remembered are kept.
    runs : Path, optional
        The folder whose `runs` hold trained models; `home` by default.
    device : str
        Where the model that predicts the rest runs.
    notify : callable, optional
        Called on a worker thread when results wait; it must have `deliver` called on the main
        thread. Without it somebody has to call `deliver` now and then.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        annotate: Callable[[], AnnotateController],
        home: Path,
        *,
        runs: Path | None = None,
        device: str = "auto",
        notify: Callable[[], None] | None = None,
    ) -> None:
        self.viewer = viewer
        self.state = ReviewState()
        self.runner = Runner(notify or (lambda: None), Stopped)
        self.looker = Runner(notify or (lambda: None), Stopped)
        self.images = Navigator(viewer, self.state, self.runner, self.looker, annotate, home)
        self.images.failed.connect(self.tell)
        self.images.changed.connect(self.poll)
        self._home, self._device = home, device
        self._offers = OffersReader(home, runs or home)
        self._queue: QueueReader | None = None
        self._predicting: PredictingReader | None = None
        self._last_error = ""
        self._model_chosen = False
        self._closed = False
        self._keys = Keys(viewer, bindings(self.do, "images", "Review"))
        self.images.shown.connect(self._keys.take)
        self.refresh_offers()

    # ---- public: what views and keys call

    def deliver(self) -> None:
        """Take the workers' results over; to be called on the main thread."""
        for runner in (self.runner, self.looker):
            runner.deliver()

    def do(self, action: Action) -> None:
        """Do what a key or button stands for."""
        images = self.images
        {
            Action.NEXT_IMAGE: images.next,
            Action.PREVIOUS_IMAGE: images.back,
            Action.ACCEPT_IMAGE: images.accept,
            Action.REJECT_IMAGE: images.reject,
            Action.TAKE_BACK: images.take_back,
        }[action]()

    def choose_project(self, path: str) -> None:
        """Review another project; what was begun in this one is kept."""
        if path != self.state.project:
            self._begin(path)
            self._remember()

    def choose_model(self, path: str) -> None:
        """Predict with another model; one that needs clicks is refused."""
        offers = self._offers

        def use(offer: Any) -> None:
            state = self.state
            if path not in [each.path for each in state.models]:
                state.models = (*state.models, offer)
            state.model, state.message, self._model_chosen = path, offer.refusal, True

        self.looker.submit("model", lambda _: offers.offer(Path(path)), use, self._failed)

    def refresh_offers(self) -> None:
        """Look which projects and models there are; to be called now and then."""
        origins = [origin_of(layer) for layer in self.viewer.layers]
        opened = [origin.folder for origin in origins if origin is not None]

        def show(offers: Offers) -> None:
            self._offered(tuple(dict.fromkeys((*opened, *offers.projects))), offers)

        self.looker.submit("offers", lambda _: self._offers.look(), show, self._failed)

    def predict(self) -> None:
        """Start the process that predicts the rest."""
        state, predicting = self.state, self._predicting
        if predicting is None:
            state.message = "Choose a project first."
            return
        if not state.model or self.refusal():
            state.message = self.refusal() or "Choose a model that needs no click first."
            return
        order = PredictingOrder(Path(state.project), state.model, self._device, state.again)
        state.message, state.predicting = "", Predicting("starting")
        self._remember()

        def started(now: Predicting) -> None:
            if predicting is self._predicting:
                state.predicting = now

        def failed(error: Exception) -> None:
            state.predicting = Predicting()
            self._failed(error)

        self.looker.submit("predict", lambda _: predicting.start(order), started, failed)

    def propose(self, labels: Labels, folder: str = "") -> None:
        """Put a labels layer that another tool made into the review, plane by plane.

        Parameters
        ----------
        labels : Labels
            On an open image.
        folder : str
            The project of images that are in none yet; by default the one that is reviewed.
        """
        state = self.state
        try:
            pair = pair_under(self.viewer, labels)
            data = snapshot([pair], self.viewer.dims)
        except ValueError as error:
            self.tell(one_line(error))
            return
        home = home_of(pair.image)
        into = str(home) if home is not None else folder or state.project
        if not into:
            self.tell("Choose a project first: the image comes into it with its prediction.")
            return
        state.busy = f"Putting '{data[0].labels_name}' into the review …"

        def done(made: Proposed) -> None:
            state.busy = ""
            note_home(pair.image, made.folder)
            self.choose_project(str(made.folder))
            state.message = proposed_text(made)
            self.poll()

        def failed(error: Exception) -> None:
            state.busy = ""
            self._failed(error)

        self.looker.submit("propose", lambda _: propose(data, into), done, failed)

    def needs_folder(self, labels: Labels) -> bool:
        """Whether a project has to be named before a labels layer can be reviewed."""
        try:
            pair = pair_under(self.viewer, labels)
        except ValueError:
            return False  # which is said when it is tried
        return not self.state.project and home_of(pair.image) is None

    def refusal(self) -> str:
        """Return why the chosen model can't predict; empty if it can."""
        offers = (each for each in self.state.models if each.path == self.state.model)
        return next((offer.refusal for offer in offers), "")

    def stop(self) -> None:
        """End it after the image that is being predicted."""
        predicting, state = self._predicting, self.state
        if predicting is not None and state.predicting.alive:
            state.predicting = replace(state.predicting, status="stopping", seconds_left=None)
            self.looker.submit("stop", lambda _: predicting.stop(), lambda _: None, self._failed)

    def poll(self) -> None:
        """Look what is new; to be called now and then."""
        queue, predicting = self._queue, self._predicting
        if queue is None or predicting is None:
            return
        if self.looker.active("look") or self.looker.active("predict"):
            return

        def look(_: Stop) -> tuple[Predicting, Queue | None]:
            return predicting.look(), queue.look()

        def looked(progress: tuple[Predicting, Queue | None]) -> None:
            if queue is self._queue:
                self._looked(*progress)

        self.looker.submit("look", look, looked, self._failed)

    def tell(self, text: str) -> None:
        """Say what went wrong: in the state always, as a notification once."""
        self.state.message = text
        if text != self._last_error:
            self._last_error = text
            show_error(text)

    def close(self) -> None:
        """Let go of everything; corrections are kept, and a process that predicts goes on."""
        if self._closed:
            return
        self._closed = True
        self._keys.give_back()
        self.images.close()
        for runner in (self.runner, self.looker):
            runner.close()

    # ---- what is there

    def _begin(self, path: str) -> None:
        state = self.state
        self.images.put_away()
        self.images.forget()
        if path not in state.projects:
            state.projects = (path, *state.projects)
        state.project, state.message, state.busy = path, "", ""
        state.queue, state.counts, state.predicting = (), QueueCounts(), Predicting()
        state.search = ""
        self._choose_fitting()
        self._last_error = ""
        self._queue = QueueReader(self._home, Path(path)) if path else None
        self._predicting = PredictingReader(self._home, Path(path)) if path else None
        self.runner.cancel("open")
        self.looker.cancel("look")
        self.poll()

    def _remember(self) -> None:
        home, project = self._home, self.state.project
        self.looker.submit(
            "remember", lambda _: remember_project(home, project), lambda _: None, self._failed
        )

    def _offered(self, projects: tuple[str, ...], offers: Offers) -> None:
        state = self.state
        projects = tuple(dict.fromkeys((*projects, *filter(None, (state.project,)))))
        known = {offer.path for offer in offers.models}
        own = (each for each in state.models if each.path == state.model and self._model_chosen)
        models = (*offers.models, *(each for each in own if each.path not in known))
        if projects != state.projects:
            state.projects = projects
        if models != state.models:
            state.models = models
        if not state.project and projects:
            self._begin(projects[0])
        self._choose_fitting()

    def _choose_fitting(self) -> None:
        """Take the model that fits the project, unless the user chose one.

        What came with the program knows nothing of the project, so only the user takes that.
        """
        if not self._model_chosen:  # one that was trained meanwhile, for example
            own = [offer for offer in self.state.models if not offer.bundled]
            offer = best_fitting(own, self.state.project)
            self.state.model = offer.path if offer is not None else ""

    def _looked(self, now: Predicting, queue: Queue | None) -> None:
        state, before = self.state, self.state.predicting
        if before.status == "stopping" and now.status in ("starting", "running"):
            now = replace(now, status="stopping", seconds_left=None)
        if queue is not None:
            state.counts, state.queue = queue
            if state.queue and state.message == NOT_YET:
                state.message = ""
        if now != before:
            state.predicting = now
        if before.alive and not now.alive:
            self._ended(now)

    def _ended(self, now: Predicting) -> None:
        if now.status == "failed":
            self.tell(now.error)
        elif now.problems:
            rest = f" (and {len(now.problems) - 1} more)" if len(now.problems) > 1 else ""
            self.tell(f"Not predicted: {now.problems[0]}{rest}")
        elif now.status == "finished":
            verb = "is" if now.predicted == 1 else "are"
            predicted = counted(now.predicted, "image")
            show_info(f"{predicted} {verb} predicted and can be reviewed.")

    def _failed(self, error: Exception) -> None:
        self.tell(one_line(error))
