"""Going through a folder of images: its list, and what goes on and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_clickseg._napari.folder.state import KINDS
from napari_clickseg._napari.folder.text import folder_text
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._qt.parts.controls import action_button, breakable, button, note, row, stack
from napari_clickseg._qt.parts.image_list import ImageList

if TYPE_CHECKING:
    from napari_clickseg._napari.folder.controller import FolderController
    from napari_clickseg._qt.parts.binding import Ties

_LINES = 5  # rows that are seen


class FolderForm(QWidget):
    """Opens a folder, lists its images, and goes from one to the next."""

    def __init__(self, folder: FolderController, ties: Ties) -> None:
        super().__init__()
        self._folder, self._state = folder, folder.state
        self.choose = button(
            "Open a folder…",
            "Any folder of images, or a project. What is made of each image is saved when you go "
            "on. Masks of images that are in no project go to a folder that you name once; "
            "nothing is written among the images.",
            self._choose,
        )
        self.next = action_button(Action.NEXT_IMAGE, folder.do)
        self.back = action_button(Action.PREVIOUS_IMAGE, folder.do)
        self.done = action_button(Action.ACCEPT_IMAGE, folder.do, text="Done")
        self.not_done = action_button(Action.TAKE_BACK, folder.do, text="Not done")
        self.text = note("How far the folder is, or what went wrong.", lines=3)
        self.list = ImageList(
            KINDS,
            "Which images are listed, and gone through.",
            "“begun”: some objects are labelled; “done”: all are, as you said.",
            "unreadable",
            folder.open,
            lines=_LINES,
            grows=False,
        )
        beside = row(self.next, self.back), row(self.done, self.not_done)
        stack(self, self.choose, *beside, self.text, self.list)
        ties.tie(self.list.listed, "listed")
        ties.tie(self.list.search, "search")
        ties.show(self._show_rows, "rows", "listed", "search")
        ties.show(self._show_current, "current")
        ties.show(self._show_text, "folder", "project", "rows", "current", "busy", "message")

    def _choose(self) -> None:
        title = "Open a folder of images, or a project"
        folder = QFileDialog.getExistingDirectory(self, title, self._state.folder)
        if folder:
            self._folder.open_folder(folder)

    def _show_rows(self) -> None:
        state = self._state
        rows = [row for row in state.rows if state.listed in ("all", row.state)]
        self.list.show_rows(rows, state.search)

    def _show_current(self) -> None:
        state = self._state
        self.list.mark(state.current)
        for each in (self.next, self.back):
            each.enabled = bool(state.rows)
        for each in (self.done, self.not_done):
            each.enabled = bool(state.current)

    def _show_text(self) -> None:
        state = self._state
        self.text.value = breakable(state.busy or state.message or folder_text(state))
        saved = f" Saved in {state.project}." if state.project else ""
        self.text.native.setToolTip(f"How far the folder is, or what went wrong.{saved}")
        self.next.enabled = self.back.enabled = bool(state.rows)
