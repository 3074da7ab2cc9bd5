"""The state of a folder that is gone through: the controller writes it and views show it.

A view may write the fields named under *choices of the user*; everything else is written by the
controller alone. Each field emits its own signal, ``state.events.<field>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from psygnal import SignalGroupDescriptor

if TYPE_CHECKING:
    from napari_clickseg._napari.project.image_rows import ImageRow

UNTOUCHED, BEGUN, DONE = "untouched", "begun", "done"
UNREADABLE = "unreadable"  # nothing is known of it until it is read
Kind = Literal["all", "untouched", "begun", "done"]
KINDS: tuple[Kind, ...] = ("all", "untouched", "begun", "done")


@dataclass
class FolderState:
    """What is shown of a folder.

    Parameters
    ----------
    listed : {"all", "untouched", "begun", "done"}
        Choice of the user: which images are listed, and gone through.
    search : str
        Choice of the user: words in the names of the images that are listed.
    folder : str
        Which the user opened; empty if none is.
    project : str
        Where masks, clicks and classes are saved.
    current : str
        The image that is open; empty if none is.
    busy : str
        What is being done in the background, one line; empty if nothing is.
    message : str
        The last thing the user should know, one line; empty if none.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    listed: Kind = "all"
    search: str = ""
    folder: str = ""
    project: str = ""
    rows: tuple[ImageRow, ...] = ()
    current: str = ""
    busy: str = ""
    message: str = ""

    def row(self, image: str) -> ImageRow | None:
        """Return the row of an image, if it has one."""
        return next((row for row in self.rows if row.image == image), None)
