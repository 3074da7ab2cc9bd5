"""Images of a project that are too large to be predicted in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg.data.classes import ProjectClasses
from napari_clickseg.data.names import record_name
from napari_clickseg.data.pixel_size import read_pixel_size
from napari_clickseg.engine.finding import card_rules, class_ids, named_classes
from napari_clickseg.engine.foreground_objects import objects_spec
from napari_clickseg.engine.slides.whole_slide import (
    SlideError,
    SlideOrder,
    is_slide,
    predict_slide,
)
from napari_clickseg.formats.annotated import AnnotatedImage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.data.images import ImagePlane
    from napari_clickseg.data.project import Project, Unannotated
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.engine.slides.whole_slide import SlidePrediction
    from napari_clickseg.models.card import ModelCard


def tells_apart(card: ModelCard, *, as_objects: bool) -> bool:
    """Whether a model's objects are told apart, where a project's ids are of objects or not."""
    return card.objects is not None or (as_objects and objects_spec(card) is not None)


@dataclass(frozen=True, slots=True)
class SlidesOfProject:
    """Predicts slides as the project's masks are.

    Parameters
    ----------
    as_objects : bool
        Whether ids are of objects.
    model : str
        SHA-256 of the model's file.
    """

    project: Project
    segmenter: Segmenter
    as_objects: bool
    model: str

    @property
    def _apart(self) -> bool:
        return tells_apart(self.segmenter.card, as_objects=self.as_objects)

    def wants(self, plane: ImagePlane) -> bool:
        """Whether an image is so large that it is predicted tile by tile."""
        height, width = plane.shape[:2]
        return is_slide((height, width), self.segmenter.card, apart=self._apart)

    def predict(
        self, image: Unannotated, plane: ImagePlane, out: Path, stop: Callable[[], bool]
    ) -> SlidePrediction | None:
        """Predict a slide; see `predict_slide`.

        Raises
        ------
        SlideError
            If the model finds no objects, and the project's ids are of objects.
        """
        card = self.segmenter.card
        if self.as_objects and not self._apart:
            raise SlideError(
                f"{image.name} is too large for pieces of the classes of '{card.name}' to become "
                "objects; predict it by a model that tells objects apart (task=instances)."
            )
        about = AnnotatedImage(
            record_name(image.name),
            np.zeros((1, 1), np.uint8),
            file=PurePosixPath(image.name).name,
            pixel_size=image.pixel_size or read_pixel_size(image.image),
            classes=self._classes(),
        )
        return predict_slide(
            self.segmenter,
            plane.data,
            out,
            self._order(),
            about,
            rgb=plane.rgb,
            anew=True,
            stop=stop,
        )

    def _order(self) -> SlideOrder:
        card = self.segmenter.card
        rules = card_rules(card) if self._apart else None
        if not self.as_objects:
            return SlideOrder(self.model, card.ids_of_classes, rules=rules, as_objects=False)
        known = self.project.classes.classes if self.project.classes is not None else ()
        ids = class_ids(card, {one.name: one.id for one in known})
        every = tuple(ids.get(k, 0) for k in range(1, len(card.classes) + 1))
        return SlideOrder(self.model, every, rules=rules)

    def _classes(self) -> ProjectClasses:
        """Return what ids mean, as the project says, or else the model."""
        if self.project.classes is not None and self.project.classes.classes:
            return self.project.classes
        return ProjectClasses(
            scheme="instances" if self.as_objects else "classes",
            classes=named_classes(self.segmenter.card),
        )
