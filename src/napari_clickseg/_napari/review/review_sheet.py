"""The image that is being reviewed, as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.project.sheet import Sheet
from napari_clickseg._napari.viewer.metadata import under_review

if TYPE_CHECKING:
    from napari_clickseg._napari.project.correction import Correction
    from napari_clickseg._napari.project.opened import OpenedImage
    from napari_clickseg._napari.review.drafts import DraftFile


class ReviewSheet(Sheet):
    """The layers of an image that is reviewed, set up for correction by clicks."""

    said = "Click on an object to correct it; a click elsewhere begins a new one."
    file: DraftFile

    def _take(self, opened: OpenedImage) -> None:
        super()._take(opened)
        self.outdated = False  # its mask was found to be another one by now
        self.file = opened.file  # type: ignore[attr-defined]

    def _metadata(self, shown: Correction) -> dict[str, Any]:
        return super()._metadata(shown) | under_review()
