"""Carrying a mask through a stack, one plane after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg._napari.annotate.scene import Draft, Mark, Scene
from napari_clickseg._napari.viewer.planes import Plane, walking_axis

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.controller import AnnotateController
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg._napari.viewer.writes import LabelWrite
    from napari_clickseg.core.masks import Patch
    from napari_clickseg.engine.segmenter import Prediction

__all__ = ["Propagation", "innermost"]

_LEAST, _MOST = 0.2, 5.0  # an area that changes by more from plane to plane is another object
_LOOKED_AT = 256 * 256  # pixels, so that the window is not held up


def innermost(patch: Patch) -> tuple[int, int]:
    """Return the pixel (row, column) of a mask that is farthest from its edge, or nearly so."""
    from scipy import ndimage

    coarse = max(1, math.ceil(math.sqrt(patch.mask.size / _LOOKED_AT)))
    mask = patch.mask[::coarse, ::coarse]
    if not mask.any():  # thinner than what was looked at
        mask, coarse = patch.mask, 1
        row, column = np.unravel_index(int(np.argmax(mask)), mask.shape)
    else:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row) * coarse + patch.box.top, int(column) * coarse + patch.box.left


@dataclass
class _Run:
    pairing: Pairing
    axis: int
    first: int
    last: int
    value: int
    before: Scene
    plane: Plane
    writes: list[LabelWrite]


class Propagation:
    """Goes from plane to plane: the mask accepted on one is the start on the next.

    On the next plane a positive click is put on the mask's inner-most pixel, so that the model
    looks again; it is a click like any other.

    Parameters
    ----------
    owner : AnnotateController
    """

    def __init__(self, owner: AnnotateController) -> None:
        self._owner = owner
        self._run: _Run | None = None

    def one(self) -> None:
        """Accept, go one plane on and begin from the mask there, for the user to correct."""
        owner = self._owner
        pairing, plane, axis = owner.pairing, owner.displayed(), self._axis()
        if pairing is None or plane is None or axis is None:
            owner.state.message = "There is no next plane; this image is not a stack."
            return
        if plane.index[axis] + 1 >= owner.state.planes:
            owner.state.message = "This is the last plane of the stack."
            return
        found, value = pairing.display.prediction, owner.identity.value(pairing.scene, plane)
        done = owner.objects.written(pairing, plane)
        if found is None or done is None:
            return
        scene, write = done
        following = plane.stepped(axis, 1)
        begun = self._begun(pairing, scene, following, found.patch, value)
        pairing.step(begun, plane, (write,), following)
        owner.objects.accepted(pairing)
        owner.go_to(following)
        owner.request()

    def start(self, last: int) -> None:
        """Run to plane `last`, accepting on every plane, this one included."""
        owner = self._owner
        pairing, plane, axis = owner.pairing, owner.displayed(), self._axis()
        if pairing is None or plane is None or axis is None:
            owner.state.message = "Only a stack can be gone through; this image has one plane."
            return
        if owner.segmenter is None:
            owner.state.message = "The model is not loaded yet; try again in a moment."
            return
        last = min(max(0, last), owner.state.planes - 1)
        found = pairing.display.prediction
        if found is None or not found.mask_part.any():
            owner.state.message = "There is no mask to carry on; click on an object first."
            return
        self.cancel()
        value = owner.identity.value(pairing.scene, plane)
        self._run = _Run(pairing, axis, plane.index[axis], last, value, pairing.scene, plane, [])
        self._accept(plane, found)

    def cancel(self) -> None:
        """Stop a run; what it accepted stays, and is one step to undo."""
        if self._run is not None:
            self._owner.runner.cancel("propagate")
            self._finish("Stopped; what was accepted so far stays.")

    def _accept(self, plane: Plane, found: Prediction) -> None:
        """Write one plane's mask and go on to the next, or end."""
        run, owner = self._run, self._owner
        assert run is not None
        try:
            scene, write = owner.objects.plan(
                run.pairing, plane, found, run.pairing.scene, run.value
            )
            run.pairing.write(write)
        except ValueError as error:
            self._finish(str(error))
            return
        run.writes.append(write)
        done = abs(plane.index[run.axis] - run.first) + 1
        owner.state.progress = done, abs(run.last - run.first) + 1
        if plane == run.plane:
            run.pairing.display.show_nothing()
        if plane.index[run.axis] == run.last:
            run.pairing.set_scene(scene)
            self._finish("")
            return
        following = plane.stepped(run.axis, 1 if run.last > run.first else -1)
        run.pairing.set_scene(self._begun(run.pairing, scene, following, found.patch, run.value))
        self._submit(run, following, found.patch)

    def _submit(self, run: _Run, plane: Plane, patch: Patch) -> None:
        owner, refinement = self._owner, self._owner.refinement()
        prompt = run.pairing.scene.prompt(plane)
        session_of = owner.answers.opener(run.pairing, plane)

        def work(stop: Stop) -> Prediction:
            return session_of().evaluate(prompt, refinement, stop=stop)

        def done(found: Prediction) -> None:
            area, before = int(found.mask_part.sum()), int(patch.mask.sum())
            if _LEAST * before <= area <= _MOST * before:
                self._accept(plane, found)
                return
            self._finish(
                f"Stopped at plane {plane.index[run.axis]}: the mask changed a lot there. "
                "Correct it, or clear it if the object has ended."
            )
            owner.go_to(plane)

        owner.runner.submit("propagate", work, done, self._failed)

    def _failed(self, error: Exception) -> None:
        self._finish("")
        self._owner.report(error)

    def _finish(self, message: str) -> None:
        run, self._run = self._run, None
        owner = self._owner
        if run is None:
            return
        after, run.pairing.scene = run.pairing.scene, run.before
        run.pairing.step(after, run.plane, tuple(run.writes))
        owner.identity.save_with(run.pairing)
        owner.state.progress = (0, 0)
        owner.state.message = message
        owner.request()

    def _begun(
        self, pairing: Pairing, scene: Scene, plane: Plane, patch: Patch, value: int
    ) -> Scene:
        """Return the scene with the mask as the start on a plane, and one click on it."""
        mark: Mark = pairing.new_mark(plane.position(*innermost(patch)), True)
        there = [one for one in scene.objects if one.plane == plane and one.value == value]
        by_class = self._owner.state.scheme == "classes"
        editing = there[-1] if there and not by_class else None
        return scene.with_draft(plane, Draft(patch, (), editing, value), [mark])

    def _axis(self) -> int | None:
        owner = self._owner
        if owner.pairing is None:
            return None
        return walking_axis(owner.viewer.dims, owner.pairing.image, owner.pairing.channel_axis)
