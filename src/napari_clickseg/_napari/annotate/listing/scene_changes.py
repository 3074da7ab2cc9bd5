"""Changes of objects: worked out on the worker, one after the other, each a step for undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.listing.several_objects import SceneChange
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane


class SceneChanges:
    """Has changes of objects worked out, and makes each a step."""

    def __init__(
        self, context: Context, status: Status, identity: Identity, answers: Answers
    ) -> None:
        self._context, self._status = context, status
        self._identity, self._answers = identity, answers

    def submit(
        self,
        pairing: Pairing,
        work: Callable[[Stop], Any],
        done: Callable[[Any], object],
        again: Callable[[], object],
    ) -> None:
        """Have something worked out; what the user does meanwhile waits.

        Parameters
        ----------
        pairing : Pairing
            Nothing more happens if it is closed meanwhile.
        work : callable
            Runs on the worker thread.
        done : callable
            Called with what came of it.
        again : callable
            Called instead if the objects are others by then, as after napari's own tools.
        """
        context, scene, layer = self._context, pairing.scene, pairing.annotation

        def finished(result: Any) -> None:
            if context.pairings.get(pairing.image) is pairing and pairing.annotation is not None:
                if pairing.scene is not scene or pairing.annotation is not layer:
                    again()
                    return
                done(result)
            self._answers.go_on()

        def failed(error: Exception) -> None:
            self._status.report(error)
            self._answers.go_on()

        context.runner.submit("take_up", work, finished, failed)

    def working_out(self, pairing: Pairing) -> Callable[[SceneChange], SceneChange]:
        """Return what gets a change ready to be carried out; it may run on any thread."""
        ahead = self._identity.ahead(pairing)

        def ready(change: SceneChange) -> SceneChange:
            ahead(change.after)
            return change

        return ready

    def carry_out(self, pairing: Pairing, plane: Plane, change: SceneChange, said: str) -> None:
        """Write a change into the annotation as one step, and say it."""
        state, edited = self._context.state, pairing.scene.draft(plane).editing
        try:
            pairing.write_in_parts(*change.writes)
        except ValueError as error:
            state.message = str(error)
            return
        pairing.step(change.after, plane, change.writes)
        editing = change.after.draft(plane).editing
        if editing is not None and editing is not edited:
            self._identity.choose_class(editing.class_id)
        self._identity.save_with(pairing)
        self._answers.request()
        state.message = said
