"""Objects of the annotation layer: accepting them, skipping, and taking them up again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.layers import companion_transform, same_place
from napari_clickseg._napari.scene import Accepted, Draft, Scene
from napari_clickseg._napari.writes import AnnotationError, LabelWrite, check_writable, read_labels
from napari_clickseg.core.masks import Patch, plan_commit, region_of
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Labels

    from napari_clickseg._napari.controller import AnnotateController
    from napari_clickseg._napari.pairing import Pairing
    from napari_clickseg._napari.planes import Plane
    from napari_clickseg._napari.runner import Stop
    from napari_clickseg.segmenter import Prediction

__all__ = ["Objects"]

_KEY = "napari-clickseg"
_SEARCHED = 4096  # side of the part of a huge plane in which a region is looked for


class Objects:
    """What the controller does with whole objects.

    Parameters
    ----------
    owner : AnnotateController
    """

    def __init__(self, owner: AnnotateController) -> None:
        self._owner = owner

    @property
    def _value(self) -> int:
        """The id that the current object gets."""
        state = self._owner.state
        if state.scheme == "classes" and not state.editing:
            return state.classes[state.class_index].identifier
        return state.object_id

    def accept(self, *, keep_id: bool = False) -> bool:
        """Write the shown mask into the annotation layer and begin the next object."""
        owner, state = self._owner, self._owner.state
        pairing, plane = owner.pairing, owner.displayed()
        if pairing is None or plane is None:
            return False
        found = pairing.prediction
        if found is None or not found.mask_part.any():
            state.message = "There is no mask to accept yet; click on an object first."
            return False
        try:
            scene, write = self.accepted(pairing, plane, found, pairing.scene, keep_id=keep_id)
        except AnnotationError as error:
            state.message = str(error)
            return False
        assert pairing.annotation is not None
        write.apply(pairing.annotation)
        pairing.step(scene, plane, (write,))
        pairing.show_nothing()
        self.save_identity(pairing)
        state.object_id = scene.object_id
        state.message = ""
        owner.request()
        return True

    def accepted(
        self,
        pairing: Pairing,
        plane: Plane,
        found: Prediction,
        scene: Scene,
        *,
        keep_id: bool = False,
    ) -> tuple[Scene, LabelWrite]:
        """Work out what accepting a prediction writes, and the scene after it.

        Raises
        ------
        AnnotationError
            If the annotation layer can't take it, or nothing of the mask would be left.
        """
        state, value = self._owner.state, self._value
        layer = pairing.annotation
        if layer is None:
            raise AnnotationError(
                "The annotation layer was removed; press 'Annotate this image' to have a new one."
            )
        check_writable(layer, value)
        draft = scene.draft(plane)
        patch = found.patch
        earlier = draft.editing.patch if draft.editing is not None else None
        box = patch.box.union(earlier.box) if earlier is not None else patch.box
        labels = read_labels(layer, plane, box)
        changed, values = plan_commit(
            labels,
            patch.cut(box),
            value,
            state.rule,
            earlier=earlier.cut(box) if earlier is not None else None,
        )
        if not changed.any() and draft.editing is None:
            raise AnnotationError(
                "Every pixel of this mask has a label already; choose 'overwrite' to replace "
                "labels, or skip it."
            )
        kept = Patch.of((values == value) & patch.cut(box), offset=(box.top, box.left))
        spec = state.classes[min(state.class_index, len(state.classes) - 1)]
        new = Accepted(plane, value, scene.on(plane), kept, spec.identifier)
        after = scene.with_draft(plane, None).with_object(new, draft.editing)
        if not keep_id:
            after = self._with_next_id(after, value)
        return after, LabelWrite.of(plane, box, labels, changed, values)

    def _with_next_id(self, scene: Scene, used: int) -> Scene:
        if self._owner.state.scheme == "classes":
            return scene
        following = max(scene.next_id, used + 1)
        return replace(scene, object_id=following, next_id=following)

    def skip(self) -> None:
        """Leave the current object as it was and begin the next one."""
        self._drop(Draft(), new_id=True)

    def clear(self) -> None:
        """Remove the clicks and the mask of the current object, but keep its id."""
        pairing, plane = self._owner.pairing, self._owner.displayed()
        if pairing is None or plane is None:
            return
        editing = pairing.scene.draft(plane).editing
        self._drop(Draft(editing=editing), new_id=False)

    def _drop(self, draft: Draft, *, new_id: bool) -> None:
        owner = self._owner
        pairing, plane = owner.pairing, owner.displayed()
        if pairing is None or plane is None:
            return
        owner.runner.cancel("predict")
        scene = pairing.scene.with_draft(plane, draft)
        if new_id and pairing.scene.draft(plane).editing is not None:
            scene = replace(scene, object_id=scene.next_id)
        pairing.step(scene, plane)
        owner.state.object_id = scene.object_id
        owner.state.message = ""
        owner.request()

    # ---- starting from what is there

    def take_up_at(self, position: Sequence[float]) -> None:
        """Begin from the region under a world position."""
        owner, state = self._owner, self._owner.state
        pairing, plane = owner.pairing, owner.displayed()
        if pairing is None or plane is None:
            state.message = "Choose an image, and a 2D view of it, first."
            return
        source = state.region_source or pairing.annotation
        if source is None:
            state.message = "There is no labels layer to take a region from."
            return
        at = [
            value if axis in plane.axes else plane.index[axis]
            for axis, value in enumerate(pairing.image.world_to_data(position))
        ]
        pixel = round(float(at[plane.axes[0]])), round(float(at[plane.axes[1]]))
        self.take_up(source, plane, pixel)

    def take_up(self, source: Labels, plane: Plane, pixel: tuple[int, int]) -> None:
        """Begin from the region of `source` that holds a pixel (row, column) of a plane."""
        owner, state = self._owner, self._owner.state
        pairing = owner.pairing
        assert pairing is not None
        own = pairing.annotation is not None and source == pairing.annotation
        finest = source.data[0] if source.multiscale else source.data
        if not own and not (
            source.ndim == pairing.image.ndim
            and same_place(source, pairing.annotation or source)
            and all(finest.shape[a] == n for a, n in zip(plane.axes, plane.shape, strict=True))
        ):
            state.message = (
                f"The labels layer '{source.name}' does not lie on the image pixel by pixel; "
                "choose one of the same size and place."
            )
            return
        if not (0 <= pixel[0] < plane.shape[0] and 0 <= pixel[1] < plane.shape[1]):
            state.message = "That is outside the image; point at a region on it."
            return
        value = int(np.asarray(finest[plane.key(*pixel)]))
        if value == 0:
            state.message = "There is no region under the pointer; point at a labelled one."
            return
        known = pairing.scene.object_at(plane, value, pixel) if own else None
        connected = state.scheme == "classes" and own

        def work(_: Stop) -> Patch | None:
            if known is not None and connected:
                box = known.patch.box
                still = read_labels(source, plane, box) == value
                return Patch.of(still & known.patch.mask, offset=(box.top, box.left))
            box = _around(pixel, plane.shape)
            labels = read_labels(source, plane, box)
            inside = (pixel[0] - box.top, pixel[1] - box.left)
            found = region_of(labels, inside, connected=connected)
            return found and Patch(found.box.shift(box.top, box.left), found.mask)

        def done(patch: Patch | None) -> None:
            self._taken(plane, value if own else None, patch, known)

        owner.runner.submit("take_up", work, done, owner.report)

    def _taken(
        self, plane: Plane, value: int | None, patch: Patch | None, known: Accepted | None
    ) -> None:
        owner, pairing = self._owner, self._owner.pairing
        if pairing is None or plane != owner.displayed() or not patch:
            return
        scene, marks = pairing.scene, known.marks if known is not None else ()
        if value is None:
            draft = Draft(patch)
            if scene.draft(plane).editing is not None:
                scene = replace(scene, object_id=scene.next_id)
        else:
            editing = known or Accepted(plane, value, (), patch)
            draft = Draft(patch, marks, replace(editing, patch=patch))
            draft = replace(
                draft, editing=known if known and known.patch == patch else draft.editing
            )
            scene = replace(scene, object_id=value)
            if known is not None:  # the object is replaced when it is accepted again
                scene = replace(
                    scene,
                    objects=tuple(
                        draft.editing if o is known and draft.editing else o for o in scene.objects
                    ),
                )
        pairing.step(scene.with_draft(plane, draft, marks), plane)
        owner.state.object_id = pairing.scene.object_id
        owner.state.message = (
            "" if value is None else f"Correct object {value} with clicks, then accept it again."
        )
        owner.request()

    # ---- ids and classes

    def identity_changed(self) -> None:
        """Take over an id, scheme or classes that the user chose."""
        owner, state = self._owner, self._owner.state
        pairing = owner.pairing
        if pairing is None:
            return
        if state.scheme == "instances" and state.object_id != pairing.scene.object_id:
            wanted = max(1, state.object_id)
            pairing.scene = replace(pairing.scene, object_id=wanted)
            state.object_id = wanted
        self.save_identity(pairing)

    def save_identity(self, pairing: Pairing) -> None:
        """Keep scheme, classes and each object's class with the annotation layer."""
        state, layer = self._owner.state, pairing.annotation
        if layer is None:
            return
        layer.metadata[_KEY] = {
            "scheme": state.scheme,
            "classes": [
                {"id": c.identifier, "name": c.name, "colour": c.colour} for c in state.classes
            ],
            "objects": {str(o.value): o.class_id for o in pairing.scene.objects},
        }

    def survey(self) -> None:
        """Find the first free id in the annotation layer, in the background."""
        owner, pairing = self._owner, self._owner.pairing
        if pairing is None or pairing.annotation is None:
            return
        layer, scene = pairing.annotation, pairing.scene
        self._restore_identity(layer)
        level: Any = layer.data[-1] if layer.multiscale else layer.data
        if scene.objects or level is None:
            return

        def work(_: Stop) -> int:
            return int(np.asarray(level).max(initial=0))

        def done(largest: int) -> None:
            if largest and pairing.scene.next_id <= largest:
                following = largest + 1
                pairing.scene = replace(pairing.scene, object_id=following, next_id=following)
                if pairing is owner.pairing:
                    owner.state.object_id = following

        owner.runner.submit("survey", work, done, owner.report)

    def _restore_identity(self, layer: Labels) -> None:
        from napari_clickseg._napari.state import ClassSpec

        state, saved = self._owner.state, layer.metadata.get(_KEY)
        if not isinstance(saved, dict):
            return
        try:
            classes = tuple(
                ClassSpec(int(c["id"]), str(c["name"]), str(c["colour"])) for c in saved["classes"]
            )
            scheme = saved["scheme"]
        except (KeyError, TypeError, ValueError):
            return
        if classes and scheme in ("instances", "classes"):
            state.class_index = 0
            state.classes, state.scheme = classes, scheme

    def show_seen(self) -> None:
        """Add the displayed plane as the model sees it, as an image layer."""
        owner = self._owner
        pairing, plane = owner.pairing, owner.displayed()
        if pairing is None or plane is None or owner.segmenter is None:
            owner.state.message = "Set up an image and wait for the model first."
            return
        if plane.shape[0] * plane.shape[1] > _SEARCHED * _SEARCHED:
            owner.state.message = "This image is too large to show as a whole; crop it first."
            return

        def work(_: Stop) -> npt.NDArray[np.float32]:
            return owner.session_of(pairing, plane).seen_image()

        def done(seen: npt.NDArray[np.float32]) -> None:
            from napari.layers import Image

            rgb = seen.shape[2] == 3
            shape = [1] * pairing.image.ndim
            shape[plane.axes[0]], shape[plane.axes[1]] = plane.shape
            data = seen.reshape(*shape, 3) if rgb else seen.mean(axis=2).reshape(shape)
            transform = companion_transform(pairing.image, pairing.channel_axis)
            layer = Image(
                data, rgb=rgb, name=f"{pairing.image.name} as the model sees it", **transform
            )
            corner = np.array(plane.position(0, 0))
            from napari_clickseg._napari.layers import linear_part

            layer.translate = np.asarray(layer.translate) + linear_part(pairing.image) @ corner
            owner.viewer.layers.append(layer)

        owner.runner.submit("seen", work, done, owner.report)


def _around(pixel: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the part of a plane in which a region is looked for: all of it, unless it is huge."""
    if shape[0] * shape[1] <= _SEARCHED * _SEARCHED:
        return Box(0, 0, *shape)
    half = _SEARCHED // 2
    wanted = Box(pixel[0] - half, pixel[1] - half, _SEARCHED, _SEARCHED)
    return wanted.intersection(Box(0, 0, *shape))
