"""Loading models in the background, and freeing the ones before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.sessions import SessionMemory
from napari_clickseg.engine.segmenter import Superseded

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.engine.segmenter import Segmenter

__all__ = ["Loading", "load"]


def load(model: str, device: str, half: bool) -> Segmenter:
    """Load a model; runs on the worker thread, where torch is imported.

    That thread leaves one of the processor's cores to the window: on two cores a click takes
    longer where the network and what draws the window wait for each other.
    """
    import scipy.ndimage  # noqa: F401  # here, or the first click would hold the window for it

    from napari_clickseg.engine.segmenter import load_segmenter

    segmenter = load_segmenter(model, device, half=half)
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 2) - 1)))
    return segmenter


class Loading:
    """Loads the model that the state names.

    Parameters
    ----------
    owner : AnnotateController
    load : callable
        ``load(model, device, half)`` returns a Segmenter; runs on the worker thread.
    """

    def __init__(
        self, owner: AnnotateController, load: Callable[[str, str, bool], Segmenter]
    ) -> None:
        self._owner, self._load = owner, load
        self._old: list[Segmenter] = []  # filled here, emptied by the worker

    def begin(self) -> None:
        """Load the state's model on the state's device, in the background."""
        owner, state = self._owner, self._owner.state
        name, device, half = state.model, state.device, state.half
        owner.propagation.cancel()
        owner.runner.cancel("predict")
        state.model_status, state.model_text = "loading", f"Loading {name} …"
        self._let_go()
        state.busy = bool(owner.prompt())

        def work(stop: Stop) -> Segmenter:
            self._free()
            segmenter = self._load(name, device, half)
            if stop():
                segmenter.close()
                raise Superseded
            return segmenter

        owner.runner.submit("load", work, self._loaded, self._not_loaded)

    def end(self) -> None:
        """Have the worker stop, and free the model when what it does is over."""
        self._let_go()
        self._owner.runner.close(self._free)

    def _let_go(self) -> None:
        owner = self._owner
        if owner.segmenter is not None:
            self._old.append(owner.segmenter)
        owner.segmenter = None
        for pairing in owner.pairings.values():
            pairing.sessions = SessionMemory()

    def _free(self) -> None:
        while self._old:
            self._old.pop().close()

    def _loaded(self, segmenter: Segmenter) -> None:
        owner = self._owner
        owner.segmenter = segmenter
        owner.state.model_status = "ready"
        owner.state.model_text = f"{segmenter.card.name} on {segmenter.device.type}"
        owner.request()

    def _not_loaded(self, error: Exception) -> None:
        text = " ".join(str(error).split()) or type(error).__name__
        self._owner.state.model_status = "failed"
        self._owner.state.model_text = f"No model: {text}"
        self._owner.answers.failed(error if isinstance(error, ValueError) else ValueError(text))
