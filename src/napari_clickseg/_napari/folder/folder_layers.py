"""An image of a folder, as layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.folder.state import UNTOUCHED
from napari_clickseg._napari.project.image_layers import ImageLayers
from napari_clickseg._napari.project.opened import OpenedImage
from napari_clickseg._napari.viewer.metadata import in_folder

if TYPE_CHECKING:
    from napari_clickseg._napari.project.correction import Correction
    from napari_clickseg.data.annotations import Annotations


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class FolderImage(OpenedImage):
    """An image of a folder, as it is shown; its state is that of its row.

    Parameters
    ----------
    there : Annotations
        What the project knows of its objects.
    digest : int
        Of the labels that the project holds.
    """

    there: Annotations
    digest: int


class FolderLayers(ImageLayers):
    """The layers of an image of a folder, set up for annotation by clicks."""

    def _take(self, opened: OpenedImage) -> None:
        super()._take(opened)
        assert isinstance(opened, FolderImage)
        self.there, self.digest = opened.there, opened.digest

    def _metadata(self, shown: Correction) -> dict[str, Any]:
        return super()._metadata(shown) | in_folder(self.state != UNTOUCHED)

    def turn(self, opened: OpenedImage) -> bool:
        """Show another image in the same layers, and have what is made of it noted."""
        if not super().turn(opened):
            return False
        pairing = self.pairing
        if pairing is not None:
            self._annotate.autosave.follow(pairing)
        return True
