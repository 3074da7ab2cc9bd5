"""What of the user's gestures a network is shown in a window, as its encoding has room for them.

Networks with the encoding **prompts** have learned boxes, scribbles and lassos. To others a
scribble is a few clicks along it, and a box or a lasso is a mask that they go on from, with a click
in its middle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble, enclosed
from napari_clickseg.core.guidance import Stroke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.core.gestures import Gesture, Points
    from napari_clickseg.core.guidance import Encoding
    from napari_clickseg.core.window import Window

FloatArray = npt.NDArray[np.float32]
Position = tuple[float, float]
_PRIOR = 0.8  # probability of what a box or lasso is around, before anything else is known
_ALONG = 5  # clicks along a scribble, for networks that know none


@dataclass(slots=True)
class WindowPrompts:
    """What `core.guidance.encode` takes beside the pixels.

    Parameters
    ----------
    positive, negative : list of (float, float)
        Clicks in network pixels.
    strokes : list of Stroke
        Scribbles.
    region : float32 (size, size), optional
        1 in boxes and lassos around the object, -1 in lassos around what is not of it.
    previous : float32 (size, size), optional
        Probability of the object before the newest gesture.
    """

    positive: list[Position] = field(default_factory=list)
    negative: list[Position] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)
    region: FloatArray | None = None
    previous: FloatArray | None = None


def window_prompts(
    gestures: Sequence[Gesture], window: Window, previous: FloatArray | None, encoding: Encoding
) -> WindowPrompts:
    """Bring gestures into the pixels of a window.

    Parameters
    ----------
    gestures : sequence of Click, DrawnBox, Scribble or Lasso
        In image pixels; where marked areas overlap, the later one counts.
    window : Window
        Whose pixels the network sees.
    previous : float32 (size, size), optional
        What was found before.
    encoding : str
        Of the network.
    """
    out = WindowPrompts(previous=previous)
    for one in gestures:
        clicks = out.positive if one.positive else out.negative
        if isinstance(one, Click):
            clicks.append(window.to_network(*one.pixel))
        elif encoding == "prompts":
            _add(out, one, window)
        elif isinstance(one, Scribble):
            clicks += _along(_inside(one.points, window))
        else:
            clicks += _middle(one, window)
    newest = gestures[-1] if gestures else None
    if encoding != "prompts" and isinstance(newest, DrawnBox | Lasso):
        out.previous = _begun(newest, window, previous)
    return out


def _add(out: WindowPrompts, one: DrawnBox | Scribble | Lasso, window: Window) -> None:
    if isinstance(one, Scribble):
        out.strokes.append(Stroke(_inside(one.points, window), one.positive))
        return
    if out.region is None:
        out.region = np.zeros((window.size, window.size), np.float32)
    out.region[_area(one, window)] = 1.0 if one.positive else -1.0


def _inside(points: Points, window: Window) -> npt.NDArray[np.float64]:
    """Return points in network pixels: float64 (n, 2)."""
    return np.array([window.to_network(*point) for point in points], np.float64)


def _area(one: DrawnBox | Lasso, window: Window) -> npt.NDArray[np.bool_]:
    """Return the network's pixels that it is around: bool (size, size)."""
    if isinstance(one, Lasso):
        return enclosed(_inside(one.points, window), (window.size, window.size))
    top, left = window.to_network(one.top, one.left)
    bottom, right = window.to_network(one.bottom, one.right)
    at = np.arange(window.size)
    return np.logical_and.outer((at >= top) & (at <= bottom), (at >= left) & (at <= right))


def _ellipse(box: DrawnBox, window: Window) -> npt.NDArray[np.bool_]:
    """Return what an object in a box is likeliest to cover: bool (size, size)."""
    top, left = window.to_network(box.top, box.left)
    bottom, right = window.to_network(box.bottom, box.right)
    at = np.arange(window.size)
    y = (2 * at - top - bottom) / max(bottom - top, 1.0)
    x = (2 * at - left - right) / max(right - left, 1.0)
    return np.asarray(np.add.outer(y**2, x**2) <= 1)


def _along(points: npt.NDArray[np.float64]) -> list[Position]:
    dense = Stroke(points, True).dense()
    chosen = np.unique(np.linspace(0, len(dense) - 1, _ALONG + 2).round().astype(int)[1:-1])
    return [(float(y), float(x)) for y, x in dense[chosen]]


def _middle(one: DrawnBox | Lasso, window: Window) -> list[Position]:
    """Return the pixel of an area that is farthest from its edge."""
    from scipy import ndimage

    area = _area(one, window)
    if not area.any():
        return []
    depth = ndimage.distance_transform_edt(np.pad(area, 1))[1:-1, 1:-1]
    y, x = np.argwhere(depth == depth.max()).mean(0).round()
    if not area[int(y), int(x)]:
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return [(float(y), float(x))]


def _begun(one: DrawnBox | Lasso, window: Window, previous: FloatArray | None) -> FloatArray:
    """Return what was found before, as a box or lasso changes it."""
    out = np.zeros((window.size, window.size), np.float32) if previous is None else previous.copy()
    area = _area(one, window)
    if isinstance(one, DrawnBox):
        area &= _ellipse(one, window)
    out[area] = np.maximum(out[area], _PRIOR) if one.positive else 0.0
    return out
