"""All actions and their keys: the one table that bindings, tooltips and docs are made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable


class Action(StrEnum):
    """What the user can do by key or button."""

    TOOL = "tool"
    SWAP = "swap"
    CROSSHAIR = "crosshair"
    ACCEPT = "accept"
    SKIP = "skip"
    CLEAR = "clear"
    UNDO = "undo"
    REDO = "redo"
    READING = "reading"
    READING_BACK = "reading_back"
    TAKE_UP = "take_up"
    NEXT_CLASS = "next_class"
    SHOW = "show"
    PROBABILITY = "probability"
    PROPAGATE = "propagate"
    FILL_IN = "fill_in"
    DELETE = "delete"
    LEAST_CERTAIN = "least_certain"
    LEAST_CERTAIN_BACK = "least_certain_back"
    MERGE = "merge"
    SPLIT = "split"
    SAVE = "save"
    NEXT_IMAGE = "next_image"
    PREVIOUS_IMAGE = "previous_image"
    ACCEPT_IMAGE = "accept_image"
    TAKE_BACK = "take_back"
    REJECT_IMAGE = "reject_image"


class CrosshairAct(StrEnum):
    """What keys do while the crosshair is on; the text is the documentation's."""

    MOVE = "moves the crosshair by 4 screen pixels; at the edge of the view the image moves instead"
    MOVE_FAR = "moves it by 40 screen pixels"
    POSITIVE = "positive click; or finishes what is being drawn, as positive"
    NEGATIVE = "negative click; or finishes the scribble or lasso, as negative"
    BOX = "begins a box: the arrows go to its opposite corner"
    SCRIBBLE = "begins a scribble along the object: the arrows draw"
    LASSO = "begins a lasso around the object: the arrows draw"
    CLOSER = "zooms in where the crosshair is"
    FARTHER = "zooms out"
    LEAVE = "gives up what is being drawn, or else leaves the crosshair"


# As napari names keys; they are bound while the crosshair is on only.
CROSSHAIR_KEYS: dict[CrosshairAct, tuple[str, ...]] = {
    CrosshairAct.MOVE: ("Left", "Right", "Up", "Down"),
    CrosshairAct.MOVE_FAR: ("Shift-Left", "Shift-Right", "Shift-Up", "Shift-Down"),
    CrosshairAct.POSITIVE: ("Enter",),
    CrosshairAct.NEGATIVE: ("Shift-Enter",),
    CrosshairAct.BOX: ("B",),
    CrosshairAct.SCRIBBLE: ("S",),
    CrosshairAct.LASSO: ("L",),
    CrosshairAct.CLOSER: ("=",),
    CrosshairAct.FARTHER: ("-",),
    CrosshairAct.LEAVE: ("Escape",),
}

KeysOf = Literal["Annotate", "images", "Review"]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """An action with its key.

    Parameters
    ----------
    key : str
        As napari names keys.
    title : str
        For buttons and the documentation.
    text : str
        What it does, one sentence.
    widget : {"Annotate", "images", "Review"}
        With which the key is bound; "images" stands for whatever goes through a list of images.
    """

    action: Action
    key: str
    title: str
    text: str
    widget: KeysOf = "Annotate"


SHORTCUTS: dict[Action, Shortcut] = {
    s.action: s
    for s in (
        Shortcut(
            Action.TOOL,
            "K",
            "Click tool",
            "Turn clicking on or off: left click is positive, right click negative. Dragging draws "
            "a box, with Shift a scribble, with Ctrl + Shift a lasso.",
        ),
        Shortcut(
            Action.SWAP,
            "Q",
            "Swap buttons",
            "Left click becomes negative and right click positive, for pens and "
            "one-button devices.",
        ),
        Shortcut(
            Action.CROSSHAIR,
            "Shift-Q",
            "Crosshair",
            "Point without a mouse: the arrows move a crosshair, Enter is a positive click, "
            "Shift + Enter a negative one; Escape leaves it.",
        ),
        Shortcut(
            Action.ACCEPT,
            "G",
            "Accept",
            "Write the mask into the annotation layer and begin the next object; or keep the "
            "objects that were found all at once.",
        ),
        Shortcut(Action.SKIP, "N", "Skip", "Leave this object as it was and begin the next one."),
        Shortcut(
            Action.CLEAR,
            "W",
            "Clear",
            "Remove the clicks, what was drawn and the mask of this object; or give up the objects "
            "that were found all at once.",
        ),
        Shortcut(
            Action.UNDO,
            "U",
            "Undo",
            "Take the last step back: a click, a box, a start, an accepted object.",
        ),
        Shortcut(Action.REDO, "Shift-U", "Redo", "Do again what was undone."),
        Shortcut(
            Action.READING,
            ".",
            "Another reading",
            "Take the first click for another object: the cell instead of its nucleus.",
        ),
        Shortcut(
            Action.READING_BACK,
            ",",
            "Reading before",
            "Take the first click for the object before again.",
        ),
        Shortcut(
            Action.TAKE_UP,
            "J",
            "Take up region",
            "Begin from the region under the pointer (Shift + click does the same); an "
            "accepted object comes back with its clicks.",
        ),
        Shortcut(Action.NEXT_CLASS, "Shift-N", "Next class", "Choose the next class."),
        Shortcut(Action.SHOW, "H", "Fill, contour, hidden", "Draw the prediction another way."),
        Shortcut(
            Action.PROBABILITY,
            "Shift-H",
            "Probability",
            "Show or hide the probability behind the mask.",
        ),
        Shortcut(
            Action.PROPAGATE,
            "Shift-G",
            "To next plane",
            "Accept, go to the next plane of the stack and begin from this mask there.",
        ),
        Shortcut(
            Action.FILL_IN,
            "Shift-I",
            "Fill in",
            "Fill in the planes of the stack between this one and the nearest ones, before and "
            "after it, that have its objects.",
        ),
        Shortcut(
            Action.DELETE,
            "Shift-D",
            "Delete object",
            "Take the object that is being corrected, or else the one under the pointer, out of "
            "the annotation layer.",
        ),
        Shortcut(
            Action.LEAST_CERTAIN,
            "Shift-J",
            "Least certain",
            "Go to the object that the model was least sure of, then to the next one.",
        ),
        Shortcut(
            Action.LEAST_CERTAIN_BACK,
            "Shift-K",
            "Back",
            "Go back to the object that is less certain than this one.",
        ),
        Shortcut(
            Action.MERGE,
            "Shift-M",
            "Merge",
            "Make one object of two that are taken up: Shift + click on one, then on the other.",
        ),
        Shortcut(
            Action.SPLIT,
            "Shift-C",
            "Split",
            "Cut an object apart: Shift + click on it, click on each of its parts, then this key.",
        ),
        Shortcut(
            Action.SAVE,
            "Shift-S",
            "Save to project",
            "Write masks, classes and clicks into the projects that the images came from; of other "
            "images a project is made in a folder that you name once.",
        ),
        Shortcut(
            Action.NEXT_IMAGE,
            "PageDown",
            "Next",
            "Open the next image; what was begun is kept. In a folder it is the next in the list, "
            "in a review the most uncertain one that was not looked at yet.",
            "images",
        ),
        Shortcut(
            Action.PREVIOUS_IMAGE,
            "PageUp",
            "Back",
            "Open the image before this one: in a folder the one above it in the list, in a review "
            "the one that was open before, whatever became of it.",
            "images",
        ),
        Shortcut(
            Action.ACCEPT_IMAGE,
            "Shift-Y",
            "Accept image",
            "Make what is shown the image's mask in the project, and open the next image. In a "
            "folder it says that all objects of the image are labelled; without any, that there is "
            "really nothing in it.",
            "images",
        ),
        Shortcut(
            Action.TAKE_BACK,
            "Shift-B",
            "Back to review",
            "Take the last image that was accepted or rejected back: it is to be reviewed again, "
            "with what you made of it, and opens. In a folder: the open image is not done any "
            "more.",
            "images",
        ),
        Shortcut(
            Action.REJECT_IMAGE,
            "Shift-X",
            "Reject image",
            "Drop the prediction, leave the image to be annotated by hand, and open the next one.",
            "Review",
        ),
    )
}


def shortcuts(widget: KeysOf) -> tuple[Shortcut, ...]:
    """Return the keys that are bound with a widget."""
    return tuple(each for each in SHORTCUTS.values() if each.widget == widget)


def bindings(do: Callable[[Action], None], *widgets: KeysOf) -> dict[str, Callable[[Any], None]]:
    """Return functions for `Keys`: each carries out the action of its key."""

    def pressed(action: Action) -> Callable[[Any], None]:
        return lambda _: do(action)

    return {each.key: pressed(each.action) for name in widgets for each in shortcuts(name)}


def tooltip(action: Action) -> str:
    """Return the tooltip of an action: what it does and its key."""
    shortcut = SHORTCUTS[action]
    return f"{shortcut.text}\nKey: {shortcut.key}"
