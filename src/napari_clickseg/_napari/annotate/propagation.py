"""Carrying a mask through a stack, one plane after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_clickseg.engine.carrying import Carried, carry, pointed_at
from napari_clickseg.journal.scene import Draft, Scene

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.answers import Answers
    from napari_clickseg._napari.annotate.classes import Identity
    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.objects import Objects
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import Choice
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg._napari.viewer.writes import LabelWrite
    from napari_clickseg.core.patch import Patch
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.engine.segmenter import Prediction

_LEAST, _MOST = 0.2, 5.0  # an area that changes by more from plane to plane is another object
_LISTED = 12  # planes whose agreement is said one by one


@dataclass
class _Run:
    pairing: Pairing
    axis: int
    first: int
    last: int
    value: int
    choice: Choice
    before: Scene
    plane: Plane
    writes: list[LabelWrite] = field(default_factory=list)
    agreed: dict[int, float] = field(default_factory=dict)  # of each plane that was gone to


class Propagation:
    """Goes from plane to plane: the mask accepted on one says where to look on the next.

    What is found there is the answer to a start and clicks like any other, so the user can correct
    it. Where two ways of looking find different things a run stops, as nobody looks on.
    """

    def __init__(
        self,
        context: Context,
        status: Status,
        identity: Identity,
        answers: Answers,
        objects: Objects,
    ) -> None:
        self._context, self._state, self._status = context, context.state, status
        self._identity, self._answers, self._objects = identity, answers, objects
        self._run: _Run | None = None

    def one(self, pairing: Pairing, plane: Plane, choice: Choice) -> None:
        """Accept, go one plane on and begin from the mask there, for the user to correct."""
        axis = pairing.walking_axis()
        if axis is None:
            self._state.message = "There is no next plane; this image is not a stack."
            return
        if plane.index[axis] + 1 >= self._state.planes:
            self._state.message = "This is the last plane of the stack."
            return
        prediction = pairing.display.prediction
        done = self._objects.written(pairing, plane, choice)
        if prediction is None or done is None:
            return
        scene, write = done
        value = scene.objects[-1].value  # what was accepted
        following = plane.stepped(axis, 1)
        begun = self._begun(pairing, scene, following, pointed_at(prediction.patch), value)
        pairing.step(begun, plane, (write,), following)
        self._objects.accepted(pairing)
        pairing.go_to(following)
        self._answers.request()
        if self._context.segmenter is not None:
            self._look_anew(pairing, following, prediction.patch, begun)

    def start(self, pairing: Pairing, last: int, plane: Plane, choice: Choice) -> None:
        """Run to plane `last`, accepting on every plane, this one included."""
        axis = pairing.walking_axis()
        if axis is None:
            self._state.message = "Only a stack can be gone through; this image has one plane."
            return
        if self._context.segmenter is None:
            self._state.message = "The model is not loaded yet; try again in a moment."
            return
        last = min(max(0, last), self._state.planes - 1)
        prediction = pairing.display.prediction
        if prediction is None or not prediction.mask_part.any():
            self._state.message = "There is no mask to carry on; click on an object first."
            return
        self.cancel()
        choice = self._objects.of_taken_up(pairing, plane) or choice
        value = pairing.scene.value(plane, choice.class_id)
        first = plane.index[axis]
        self._run = _Run(pairing, axis, first, last, value, choice, pairing.scene, plane)
        self._accept(plane, prediction)

    def cancel(self) -> None:
        """Stop a run; what it accepted stays, and is one step to undo."""
        if self._run is not None:
            self._context.runner.cancel("propagate")
            self._finish("Stopped; what was accepted so far stays.")

    def _look_anew(self, pairing: Pairing, plane: Plane, patch: Patch, begun: Scene) -> None:
        """Have what is found anew take the place of what grows out of the mask, if it is sure.

        It takes the turn of the request for that, so that whatever the user does comes first.
        """
        refinement = self._context.refinement()
        session_of = self._answers.opener(pairing, plane)

        def done(carried: Carried) -> None:
            if carried.sure and pairing.scene is begun:
                value = begun.value(plane)
                better = self._begun(pairing, begun, plane, carried.prompt, value)
                pairing.timeline.revise(lambda scene: better if scene is begun else scene)
                pairing.set_scene(better)
            self._answers.request()

        self._context.runner.submit(
            "predict",
            lambda stop: carry(session_of(), patch, refinement, stop=stop),
            done,
            self._answers.failed,
        )

    def _accept(self, plane: Plane, prediction: Prediction) -> None:
        """Write one plane's mask and go on to the next, or end."""
        run = self._run
        assert run is not None
        try:
            scene, write = self._objects.plan(
                run.pairing, plane, prediction, run.pairing.scene, run.value, run.choice
            )
            run.pairing.write(write)
        except ValueError as error:
            self._finish(str(error))
            return
        run.writes.append(write)
        self._context.events.ahead.emit(run.pairing, write)
        done = abs(plane.index[run.axis] - run.first) + 1
        self._state.progress = done, abs(run.last - run.first) + 1
        if plane == run.plane:
            run.pairing.display.show_nothing()
        if plane.index[run.axis] == run.last:
            run.pairing.set_scene(scene)
            self._finish(_report(run))
            return
        following = plane.stepped(run.axis, 1 if run.last > run.first else -1)
        begun = self._begun(run.pairing, scene, following, pointed_at(prediction.patch), run.value)
        run.pairing.set_scene(begun)
        self._submit(run, following, prediction.patch)

    def _submit(self, run: _Run, plane: Plane, patch: Patch) -> None:
        refinement = self._context.refinement()
        session_of = self._answers.opener(run.pairing, plane)

        def work(stop: Stop) -> Carried:
            return carry(session_of(), patch, refinement, stop=stop)

        def done(carried: Carried) -> None:
            at, scene = plane.index[run.axis], run.pairing.scene
            run.agreed[at] = carried.agreement
            run.pairing.set_scene(self._begun(run.pairing, scene, plane, carried.prompt, run.value))
            doubt = _doubt(carried, patch)
            if not doubt:
                self._accept(plane, carried.prediction)
                return
            self._finish(
                f"Stopped at plane {at}: {doubt}. "
                "Correct it and go on, or clear it if the object has ended."
            )
            run.pairing.go_to(plane)

        self._context.runner.submit("propagate", work, done, self._failed)

    def _failed(self, error: Exception) -> None:
        self._finish("")
        self._status.report(error)

    def _finish(self, message: str) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        after, run.pairing.scene = run.pairing.scene, run.before
        run.pairing.step(after, run.plane, tuple(run.writes))
        self._identity.save_with(run.pairing)
        self._state.progress = (0, 0)
        self._state.message = message
        self._answers.request()

    def _begun(
        self, pairing: Pairing, scene: Scene, plane: Plane, prompt: Prompt, value: int
    ) -> Scene:
        """Return the scene with the start and the clicks of a prompt on a plane."""
        marks = [pairing.mark_of(plane, gesture) for gesture in prompt.gestures]
        there = [one for one in scene.objects if one.plane == plane and one.value == value]
        by_class = self._state.scheme == "classes"
        editing = there[-1] if there and not by_class else None
        return scene.with_draft(plane, Draft(prompt.start, (), editing, value), marks)


def _doubt(carried: Carried, before: Patch) -> str:
    """Say why what was found is not to be accepted unseen; empty where it is."""
    area, expected = int(carried.prediction.mask_part.sum()), int(before.mask.sum())
    if not _LEAST * expected <= area <= _MOST * expected:
        return "the mask changed a lot there"
    if not carried.sure:
        return (
            "what is found there anew and what grows out of the mask before agree "
            f"by {carried.agreement:.2f} only"
        )
    return ""


def _report(run: _Run) -> str:
    """Say how a run went, plane by plane."""
    if not run.agreed:
        return ""
    planes = sorted(run.agreed, key=lambda at: run.agreed[at])
    listed = sorted(planes[:_LISTED])
    each = ", ".join(f"{at}: {run.agreed[at]:.2f}" for at in listed)
    what = "by plane" if len(planes) <= _LISTED else f"on the {_LISTED} least sure planes"
    return f"Both looks agree {what} {each}. Look at plane {planes[0]} first."
