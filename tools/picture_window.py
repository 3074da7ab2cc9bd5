"""A napari window of which the documentation's pictures are taken."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def arguments(text: str) -> argparse.ArgumentParser:
    """Return what every picture of a training is made by: its settings, and where it is kept."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--keep", type=Path, help="keep the run here; a second call shows it again")
    return parser


@contextmanager
def own_home(keep: Path | None) -> Iterator[Path]:
    """Leave settings, models and runs of whoever runs this as they are; yields another home."""
    with tempfile.TemporaryDirectory() as folder:
        home = (keep or Path(folder)).absolute()
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["CLICKSEG_HOME"] = str(home)
        os.environ["CLICKSEG_MODELS"] = str(Path(folder) / "models")
        yield home


def sample_project() -> Path:
    """Make the sample project, unless it is there, and return its folder."""
    from napari_clickseg._napari.project import samples
    from napari_clickseg.runs.home import default_home

    samples.project()
    return default_home() / samples.FOLDER


class PictureWindow:
    """A napari window that is used as a hand would; `widget` is the dock widget it is about.

    Parameters
    ----------
    theme : str
    size : (int, int)
        Width and height in pixels.
    """

    def __init__(self, theme: str, size: tuple[int, int]) -> None:
        import napari
        from napari.settings import get_settings

        get_settings().appearance.theme = theme
        self.viewer: Any = napari.Viewer()
        self.viewer.window._qt_window.resize(*size)
        self.widget: Any = None

    def open(self, name: str) -> None:
        """Open one of the plugin's widgets, as its menu does."""
        from napari_clickseg._napari.viewer.private import open_widget

        self.widget = open_widget(self.viewer, name)

    def wait(self, until: Callable[[], Any], seconds: float = 60.0) -> None:
        """Let the window live until something is true."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise SystemExit(f"It took too long: {self.widget.context.state}")
            self.rest(50)

    def rest(self, milliseconds: int) -> None:
        """Let the window live for a moment."""
        from qtpy.QtTest import QTest

        QTest.qWait(milliseconds)

    def press(self, button: Any) -> None:
        """Press a button with the mouse."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseClick(button.native, Qt.MouseButton.LeftButton)

    def scroll_to(self, part: Any) -> None:
        """Scroll the widget until a part of it is seen."""
        self.rest(300)
        self.widget._scroll.ensureWidgetVisible(part, 0, 8)

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        self.rest(200)

    def picture(self, name: str) -> None:
        """Save a picture of the whole window."""
        IMAGES.mkdir(parents=True, exist_ok=True)
        self.rest(500)
        path = str(IMAGES / f"{name}.png")
        self.viewer.screenshot(path, canvas_only=False, flash=False)
