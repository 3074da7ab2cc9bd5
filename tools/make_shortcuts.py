"""Write docs/shortcuts.md from the table of keys; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg._napari.viewer.actions import CROSSHAIR_KEYS, shortcuts

if TYPE_CHECKING:
    from napari_clickseg._napari.viewer.actions import KeysOf

TARGET = Path(__file__).parents[1] / "docs" / "shortcuts.md"
HEAD = """\
# Keys

Made by `tools/make_shortcuts.py` from the table that binds them, so they are what the program
does. None of them is one of napari's own in the viewer or in Image, Labels, Points and Shapes
layers. They work over the image, whichever layer is selected, once an image is set up for
annotating.

"""
COLUMNS = """\
| Key | Action | What it does |
|---|---|---|
"""
IMAGES = """
While a folder is open in Annotate, or the Review widget:

"""
REVIEW = """
While the Review widget is open:

"""
CROSSHAIR = """
## Without a mouse

`Shift+Q` turns a crosshair on, in the middle of the view, and the click tool with it. Arrows step
through a stack's planes again once it is left. While it is on:

| Key | What it does |
|---|---|
"""
ALONG = """
![Coins, one outlined by keys alone, and the crosshair on the next one](images/crosshair-light.png)

Keys that go by the pointer, such as `J` and `Shift+D`, go by the crosshair, and so does the
preview. Tab and Shift+Tab go through the controls of the widgets, Space presses a button, and
Escape gives the keys back to the image. napari's own keys are under *Preferences ▸ Shortcuts*.

## By mouse
"""
FOOT = """
With the click tool on:

| Mouse | What it does |
|---|---|
| left click | positive click: this pixel belongs to the object |
| right click | negative click: this pixel does not belong to it |
| Shift + click | begins from the region under the pointer |
| drag | a box around the object |
| Shift + drag | a scribble along the object, however thin |
| right drag, Shift + right drag | a negative scribble: along what does not belong to it |
| Ctrl + Shift + drag | a lasso: roughly around the object; right button: around what is not |
| Escape | gives up what is being drawn |
| Ctrl + drag | moves the image; the wheel zooms as always |

A button that is released within 4 screen pixels of where it was pressed is a click. What is drawn
counts as a click does: it is one step for undo, may come before and after clicks, and returns with
its object. In an image that is reviewed, a first click or scribble on an object begins from it as
Shift + click does.

Where the pointer rests for 60 ms and nothing is begun, a thin line shows what a left click there
would outline. It keeps nothing waiting: a click on the place finds the answer ready, and anything
else ends the look at once. *Preview under the pointer*, under *Look*, turns it off, and is
remembered.
"""


_ARROWS = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓"}


def rows(widget: KeysOf) -> str:
    """Return the keys that are bound with a widget, as a table."""
    lines = [
        f"| `{shortcut.key.replace('-', '+')}` | {shortcut.title} | {shortcut.text} |"
        for shortcut in shortcuts(widget)
    ]
    return COLUMNS + "\n".join(lines) + "\n"


def crosshair_rows() -> str:
    """Return the keys that the crosshair has, as a table."""
    return "".join(
        f"| {', '.join(f'`{_said(key)}`' for key in keys)} | {act} |\n"
        for act, keys in CROSSHAIR_KEYS.items()
    )


def _said(key: str) -> str:
    """Return a key as it is written on keyboards."""
    *held, last = key.split("-") if key != "-" else [key]
    return "+".join([*held, _ARROWS.get(last, last)])


def table() -> str:
    """Return the whole document."""
    keys = HEAD + rows("Annotate") + IMAGES + rows("images") + REVIEW + rows("Review")
    return keys + CROSSHAIR + crosshair_rows() + ALONG + FOOT


def main() -> int:
    """Write the document, or check it."""
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.read_text(encoding="utf-8") == table() else 1
    TARGET.write_text(table(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
