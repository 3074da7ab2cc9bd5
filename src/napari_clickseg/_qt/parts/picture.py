"""A window with a picture in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

if TYPE_CHECKING:
    import numpy.typing as npt

_SIDE = 720  # pixels
_SHARE = 0.9  # of the screen at the most


class Picture(QDialog):
    """Shows a picture as large as the window is.

    Parameters
    ----------
    pixels : uint8 (Y, X, 3)
    parent : QWidget
        It goes when that goes.
    """

    def __init__(self, pixels: npt.NDArray[Any], title: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        pixels = np.ascontiguousarray(pixels, np.uint8)
        height, width = pixels.shape[:2]
        image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        self._whole = QPixmap.fromImage(image)
        self.label = QLabel()
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.label.setMinimumSize(64, 64)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.label)
        screen = self.screen()
        room = screen.availableSize() * _SHARE if screen is not None else QSize(_SIDE, _SIDE)
        room = room.boundedTo(QSize(_SIDE, _SIDE))
        self.resize(QSize(width, height).scaled(room, Qt.AspectRatioMode.KeepAspectRatio))

    def resizeEvent(self, a0: QResizeEvent | None) -> None:
        """Draw the picture anew."""
        super().resizeEvent(a0)
        self.label.setPixmap(
            self._whole.scaled(
                self.label.size(),
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )
