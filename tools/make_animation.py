"""Make the moving picture of README and docs: the first masks in the real program.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_animation.py

Clicks, boxes and keys are real ones; the pointer, which a picture of a window lacks, and the
captions are drawn on it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from napari_clickseg._qt.demo.stage import Stage

PATH = Path(__file__).parents[1] / "docs" / "images" / "first-mask.gif"
SIZE = (1080, 700)
SCALE = 0.75
COLOURS = 160
POINTER = np.array([(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)])


@dataclass
class Film:
    """Frames of a stage, with the pointer and a caption on each.

    Parameters
    ----------
    stage : Stage
    """

    stage: Stage
    frames: list[Image.Image] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def shoot(self, caption: str, place: tuple[float, float], milliseconds: int) -> None:
        """Take a frame, with the pointer at a pixel (y, x) of the image."""
        from napari_clickseg._napari.viewer.private import canvas_of

        stage = self.stage
        stage.rest(200)
        frame = Image.fromarray(stage.viewer.screenshot(canvas_only=False, flash=False))
        frame = frame.convert("RGB")
        canvas: Any = canvas_of(stage.viewer)
        point = canvas.mapTo(stage.window, stage.place(*place))
        draw = ImageDraw.Draw(frame)
        outline = [(float(x + point.x()), float(y + point.y())) for x, y in POINTER]
        draw.polygon(outline, fill="white", outline="black")
        corner = canvas.mapTo(stage.window, canvas.rect().bottomLeft())
        draw.text(
            (corner.x() + 20, corner.y() - 50),
            caption,
            fill="white",
            font=ImageFont.load_default(26),
        )
        small = tuple(round(n * SCALE) for n in frame.size)
        self.frames.append(frame.resize(small, Image.Resampling.LANCZOS))
        self.durations.append(milliseconds)

    def save(self, path: Path) -> None:
        """Write all frames as a GIF that goes on for ever."""
        all_of_them = Image.fromarray(np.vstack([np.asarray(one) for one in self.frames]))
        palette = all_of_them.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
        frames = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in self.frames]
        path.parent.mkdir(parents=True, exist_ok=True)
        frames[0].save(
            path, save_all=True, append_images=frames[1:], duration=self.durations, loop=0,
            optimize=True,
        )  # fmt: skip


def main() -> None:
    """Make the GIF."""
    # Settings of whoever runs this stay as they are, and unsaved work is not offered.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["CLICKSEG_HOME"] = folder
        from napari.settings import get_settings

        from napari_clickseg._qt.demo.stage import Stage

        get_settings().appearance.theme = "dark"
        stage = Stage("coins", SIZE)
        if not stage.wait_for_the_model():
            raise SystemExit(stage.state.model_text)
        film = Film(stage)
        _first_masks(stage, film)
        film.save(PATH)
        stage.close()


def _first_masks(stage: Stage, film: Film) -> None:
    first, second, third = (263.0, 57.0), (263.0, 163.0), (266.0, 243.0)
    film.shoot("Point at an object ...", first, 1200)
    stage.click(*first)
    film.shoot("... and click", first, 1200)
    stage.press(stage.widget.objects.accept)
    film.shoot("G accepts it", first, 1000)
    stage.click(*second)
    film.shoot("Click on the next one", second, 1000)
    stage.press(stage.widget.objects.accept)
    film.shoot("G", second, 700)
    film.shoot("Or drag a box around it", (236.0, 214.0), 900)
    stage.drag((236.0, 214.0), (294.0, 272.0))
    film.shoot("Or drag a box around it", (294.0, 272.0), 1200)
    stage.press(stage.widget.objects.accept)
    film.shoot("G: three objects, each with an id", third, 2000)


if __name__ == "__main__":
    main()
