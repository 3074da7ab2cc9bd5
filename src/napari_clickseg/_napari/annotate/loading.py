"""Which model answers, loading it in the background, and freeing the one before.

It is the user's, or the one that learned from the image's project and helped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.sessions import SessionMemory
from napari_clickseg._napari.viewer.metadata import origin_of
from napari_clickseg._napari.viewer.runner import Runner
from napari_clickseg.engine.segmenter import Superseded
from napari_clickseg.models._torch import beside_a_window
from napari_clickseg.models.registry import list_models
from napari_clickseg.models.trained_models import model_name
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.propagation import Propagation
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.trained_models import TrainedModels


def load(model: str, device: str, half: bool) -> Segmenter:
    """Load a model; runs on the worker thread, where torch is imported.

    That thread leaves one of the processor's cores to the window: on two cores a click takes
    longer where the network and what draws the window wait for each other.
    """
    import scipy.ndimage  # noqa: F401  # here, or the first click would hold the window for it

    from napari_clickseg.engine.segmenter import load_segmenter

    with beside_a_window():
        segmenter = load_segmenter(model, device, half=half)
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 2) - 1)))
    return segmenter


class Loading:
    """Loads the model that the state names.

    Parameters
    ----------
    load : callable
        ``load(model, device, half)`` returns a Segmenter; runs on the worker thread.
    """

    def __init__(
        self,
        context: Context,
        answers: Answers,
        propagation: Propagation,
        load: Callable[[str, str, bool], Segmenter],
    ) -> None:
        self._context, self._answers, self._propagation = context, answers, propagation
        self._load = load
        self._old: list[Segmenter] = []  # filled here, emptied by the worker

    def begin(self) -> None:
        """Load the state's model on the state's device, in the background."""
        context, state = self._context, self._context.state
        name, device, half = state.model, state.device, state.half
        self._propagation.cancel()
        context.runner.cancel("predict")
        state.model_status, state.model_text = "loading", f"Loading {model_name(Path(name))} …"
        self._release_model()
        state.busy = bool(context.prompt())

        def work(stop: Stop) -> Segmenter:
            self._free()
            segmenter = self._load(name, device, half)
            if stop():
                segmenter.close()
                raise Superseded
            return segmenter

        context.runner.submit("load", work, self._loaded, self._not_loaded)

    def end(self) -> None:
        """Have the worker stop, and free the model when what it does is over."""
        self._release_model()
        self._context.runner.close(self._free)

    def _release_model(self) -> None:
        context = self._context
        if context.segmenter is not None:
            self._old.append(context.segmenter)
        context.segmenter = None
        for pairing in context.pairings.values():
            pairing.sessions = SessionMemory()

    def _free(self) -> None:
        while self._old:
            self._old.pop().close()

    def _loaded(self, segmenter: Segmenter) -> None:
        context = self._context
        context.segmenter = segmenter
        context.state.model_status = "ready"
        context.state.model_text = f"{segmenter.card.name} on {segmenter.device.type}"
        self._answers.request()

    def _not_loaded(self, error: Exception) -> None:
        text = " ".join(str(error).split()) or type(error).__name__
        self._context.state.model_status = "failed"
        self._context.state.model_text = f"No model: {text}"
        self._answers.failed(error if isinstance(error, ValueError) else ValueError(text))


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A model that learned from the project: how it is called, how it is loaded."""

    name: str
    model: str
    helped: bool


class ModelChoice:
    """Has the model answer that fits the image's project, unless the user chose one.

    Models are looked up by a worker of their own: the other one may be loading a network.

    Parameters
    ----------
    trained : TrainedModels, optional
        Where models are looked up; without it the user's is used always.
    notify : callable
        See `Runner`.
    """

    def __init__(
        self,
        context: Context,
        loading: Loading,
        trained: TrainedModels | None,
        notify: Callable[[], None],
    ) -> None:
        self._context, self._state = context, context.state
        self._loading, self._trained = loading, trained
        self._runner = Runner(notify, Superseded)
        self._own = context.state.model
        self._by_hand = False
        self._project = ""

    @property
    def idle(self) -> bool:
        """Whether nothing is being looked up."""
        return self._runner.idle

    def deliver(self) -> None:
        """Take the worker's results over; to be called on the main thread."""
        self._runner.deliver()

    def choose(self, model: str) -> None:
        """Use the model that the user chose from now on: a name, or a path."""
        self._own, self._by_hand = model, True
        self._use(model)

    def look(self) -> None:
        """See which model fits the image that is annotated; to be called when it is another one."""
        pairing, trained = self._context.pairing, self._trained
        origin = origin_of(pairing.image) if pairing is not None else None
        project = origin.folder if origin is not None else ""
        if trained is None or not (project or self._project):
            return  # the user's answers

        def work(_: Stop) -> tuple[_Fitting, ...]:
            if not project:
                return ()
            names = {str(entry.path): entry.name for entry in list_models()}
            offers = trained.that_take_clicks(project)
            return tuple(
                _Fitting(o.name, names.get(o.path, o.path), o.helped == "better") for o in offers
            )

        def failed(error: Exception) -> None:
            self._state.message = one_line(error)

        self._runner.submit(
            "fitting", work, lambda models: self._show_fitting(project, models), failed
        )

    def close(self) -> None:
        """Stop looking, and leave the user's own model in the state: it is what is remembered."""
        self._runner.close()
        self._state.model = self._own

    def _show_fitting(self, project: str, models: tuple[_Fitting, ...]) -> None:
        state, before = self._state, self._state.model
        state.fitting = tuple((each.name, each.model) for each in models)
        best = next((each for each in models if each.helped), None)
        if not self._by_hand:
            self._use(self._own if best is None else best.model)
        said = self._message(best or next(iter(models), None), before, project != self._project)
        self._project = project
        if said:
            state.message = said

    def _message(self, fits: _Fitting | None, before: str, elsewhere: bool) -> str:
        """Return what the user should know of the model that answers now; empty if nothing."""
        now = self._state.model
        if fits is not None and fits.model == now:
            said = f"“{fits.name}” answers: it learned from this project, and that helped."
            return said if now != before else ""
        name = model_name(Path(now))
        if now != before:
            return f"“{name}” answers again: no other model is known to be better here."
        if fits is None or not elsewhere:
            return ""
        why = "as you chose it" if self._by_hand else "as it is not sure that training helped"
        return f"“{fits.name}” learned from this project, but “{name}” answers, {why}."

    def _use(self, model: str) -> None:
        if model != self._state.model:
            self._state.model = model
            self._loading.begin()
