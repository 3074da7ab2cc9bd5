"""The image that is being reviewed, as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.project.image_layers import ImageLayers
from napari_clickseg._napari.viewer.metadata import under_review

if TYPE_CHECKING:
    from napari_clickseg._napari.project.correction import Correction
    from napari_clickseg._napari.project.opened import OpenedImage
    from napari_clickseg._napari.review.drafts import DraftFile


class ReviewLayers(ImageLayers):
    """The layers of an image that is reviewed, set up for correction by clicks.

    Its `edits` count what may have changed the labels. Whoever writes into the array of the layer
    and does not have it drawn is not seen.
    """

    hint = "Click on an object to correct it; a click elsewhere begins a new one."
    file: DraftFile
    edits = 0

    def open(self, shown: Correction) -> None:
        super().open(shown)
        for name in ("data", "labels_update", "paint", "reload", "set_data"):
            getattr(self.labels.events, name).connect(self._count)
        if self._pairing is not None:
            self._pairing.events.written.connect(self._count, max_args=0)

    def _count(self, _: Any = None) -> None:
        self.edits += 1

    def _take(self, opened: OpenedImage) -> None:
        super()._take(opened)
        self.outdated = False  # its mask was found to be another one by now
        self.file = opened.file  # type: ignore[attr-defined]

    def _metadata(self, shown: Correction) -> dict[str, Any]:
        return super()._metadata(shown) | under_review()
