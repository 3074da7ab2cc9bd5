"""All that is taken from napari's private side, for want of a public way."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers.labels._labels_utils import interpolate_coordinates
from npe2 import PluginManager

from napari_clickseg._napari.viewer.settings import PLUGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from napari.layers import Labels
    from napari.layers.base import Layer

    from napari_clickseg.core.plane import Plane


def drawn_once(layer: Layer) -> AbstractContextManager[None]:
    """Have several changes of a layer drawn once, at the end."""
    blocked: AbstractContextManager[None] = layer._block_refresh()
    return blocked


@contextmanager
def unselected(viewer: Any) -> Iterator[None]:
    """Insert layers that napari does not select, which would show the controls of each."""
    layers = getattr(viewer, "__wrapped__", viewer).layers
    before = layers._activate_on_insert
    layers._activate_on_insert = False
    try:
        yield
    finally:
        layers._activate_on_insert = before


def strokes_of(layer: Labels) -> list[list[Any]]:
    """Return napari's notes of what was painted and can be undone, the first one first."""
    return [list(item) for item in layer._undo_history]


def look_again(layer: Labels) -> None:
    """Have a hidden layer hold the plane that is displayed, by which napari writes into it.

    It does not follow the sliders while it is hidden: what is written then would go into the view
    of another plane, or beyond it, which is an error after half of it is done.
    """
    if not layer.visible:
        layer.set_view_slice()


def draw_part(layer: Labels, plane: Plane, corner: tuple[int, int], ids: Any) -> None:
    """Draw what changed of a pyramid; napari, which edits none, would load all that is seen.

    Parameters
    ----------
    plane : Plane
        Of the level that is displayed.
    corner : (int, int)
        The first row and column that changed.
    ids : int (Y, X)
        What is there now.
    """
    if not layer.visible:
        return  # all is loaded when it is shown again
    axes, raw = list(layer._slice_input.displayed), layer._slice.image.raw
    if set(axes) != set(plane.axes) or not layer._slicing_state.loaded or raw.ndim != 2:
        layer.refresh()
        return
    if not _is_seen(layer, plane):
        return
    if axes[0] != plane.axes[0]:
        corner, ids = corner[::-1], ids.T
    tile = layer._transforms["tile2data"]
    begins = [round(float(tile.translate[axis] / tile.scale[axis])) for axis in axes]
    there, taken = [], []
    for at, n, begin, length in zip(corner, ids.shape, begins, raw.shape, strict=True):
        first, last = max(at - begin, 0), min(at + n - begin, length)
        there.append(slice(first, max(first, last)))
        taken.append(slice(first + begin - at, max(first, last) + begin - at))
    part = ids[tuple(taken)]
    if part.size:
        raw[tuple(there)] = part
        if layer.contour == 0:
            layer._slice.image.view[tuple(there)] = layer.colormap._data_to_texture(part)
        _draw_tile(layer, axes, there)


def _is_seen(layer: Labels, plane: Plane) -> bool:
    others = [axis for axis in range(layer.ndim) if axis not in plane.axes]
    factors = layer.downsample_factors[layer.data_level]
    point = layer._data_slice.point if others else ()
    return all(round(float(point[axis] / factors[axis])) == plane.index[axis] for axis in others)


def _draw_tile(layer: Labels, axes: list[int], where: list[slice]) -> None:
    """Draw a part of what is loaded, with the outlines that reach beyond it."""
    more = layer.contour + 1 if layer.contour else 0
    whole = [slice(0, 1)] * layer.ndim
    for axis, part, length in zip(axes, where, layer._slice.image.raw.shape, strict=True):
        whole[axis] = slice(max(0, part.start - more), min(length, part.stop + more))
    layer._updated_slice = tuple(whole)
    layer._partial_labels_refresh()


def lead_brush(
    layer: Labels,
    *,
    stroke: Callable[[], AbstractContextManager[None]],
    dab: Callable[[Sequence[Sequence[float]], int], None],
    refuse: Callable[[], object],
) -> None:
    """Have napari's brush and eraser paint elsewhere; napari itself edits no pyramid.

    Parameters
    ----------
    stroke : callable
        Returns what is held from the press of a button to its release.
    dab : callable
        ``dab(positions, id)`` paints with the layer's brush, at positions in data pixels.
    refuse : callable
        Called where another tool is chosen, which then is let go of.
    """

    def draw(new_label: int, last: Any, now: Any) -> None:
        if now is not None:
            dab(interpolate_coordinates(last, now, layer.brush_size), new_label)

    def paint(coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        with stroke():
            dab([coord], new_label)

    def chosen() -> None:
        layer._overlays["brush_stroke"].enabled = False  # it fills what is drawn around
        if layer.mode in ("fill", "polygon"):
            layer.mode = "pan_zoom"
            refuse()

    hooks: Any = layer  # on this one layer
    hooks._draw, hooks.paint, hooks.block_history = draw, paint, stroke
    hooks._reset_editable = lambda: None
    layer.events.mode.connect(chosen)
    layer.editable = True


def give_brush_back(layer: Labels) -> None:
    """Have napari paint by itself again."""
    for name in ("_draw", "paint", "block_history", "_reset_editable"):
        vars(layer).pop(name, None)
    layer._reset_editable()


def brush_replaces(layer: Labels, new_label: int) -> int | None:
    """Return the only id that a brush replaces; None where it replaces any."""
    if not layer.preserve_labels:
        return None
    return int(layer._get_preserve_labels_source_label(new_label))


def replay_stroke(layer: Labels, item: list[Any], *, undoing: bool) -> None:
    """Take back, or do again, what napari has such a note of."""
    look_again(layer)
    if undoing:
        layer._load_history([item], [], undoing=True)
    else:  # it reads a note from its end
        layer._load_history([item[::-1]], [], undoing=False)


def forget_strokes(layer: Labels) -> None:
    """Have napari forget what could be undone."""
    layer._reset_history()


def stroke_touches(item: list[Any], at: Sequence[tuple[int, int]]) -> bool:
    """Whether such a note has to do with pixels that have these positions along some axes.

    Parameters
    ----------
    item : list
        Of boxes, with a slice for each axis, or of pixels, with an array of positions for each.
    at : sequence of (int, int)
        Axes, each with a position along it.
    """
    for where, *_ in item:
        touched: Any = True
        for axis, n in at:
            part = where[axis]
            touched &= part.start <= n < part.stop if isinstance(part, slice) else np.equal(part, n)
        if np.any(touched):
            return True
    return False


def stroke_pixels(item: list[Any], shape: Sequence[int]) -> list[tuple[Any, Any, Any]]:
    """Return what such a note says, part by part, in the order in which it was painted.

    May run on any thread.

    Parameters
    ----------
    item : list
        As above.
    shape : sequence of int
        Of the labels.

    Returns
    -------
    list of (int64 (n,), int (n,), int (n,))
        Positions in the array as it lies in memory, ids before and after.
    """
    parts = []
    for where, *masks, old, new in item:
        if isinstance(where[0], slice):
            ranges = [np.arange(*part.indices(n)) for part, n in zip(where, shape, strict=True)]
            at = np.ravel_multi_index(np.ix_(*ranges), tuple(shape))
            at = at[masks[0]] if masks and masks[0] is not None else at.reshape(-1)
        else:
            at = np.ravel_multi_index(np.broadcast_arrays(*where), tuple(shape)).reshape(-1)
        before, after = np.asarray(old).reshape(-1), np.broadcast_to(new, at.shape)
        parts.append((at, np.broadcast_to(before, at.shape), after))
    return parts


def ask_before_closing(window: Any, puts_off: Callable[[Callable[[], object], bool], bool]) -> None:
    """Have the user's keys and menus ask before they close a window; code closes it as ever.

    Parameters
    ----------
    window : Qt window of a viewer
        Which then neither closes nor restarts napari unasked.
    puts_off : callable
        ``puts_off(go_on, everything)`` returns whether it has to wait, and calls `go_on` when it
        need not wait any longer; `everything` says that all of napari is to be closed.
    """
    kind, there = type(window), weakref.ref(window)  # it must not hold itself

    def close(quit_app: bool = False, confirm_need: bool = False) -> Any:
        if confirm_need and puts_off(lambda: kind.close(there(), quit_app=quit_app), quit_app):
            return None
        return kind.close(there(), quit_app=quit_app, confirm_need=confirm_need)

    def restart() -> None:
        if not puts_off(lambda: kind.restart(there()), True):
            kind.restart(there())

    window.close, window.restart = close, restart


def window_of(viewer: Any) -> Any:
    """Return the Qt window of a viewer."""
    return viewer.window._qt_window


def open_widget(viewer: Any, name: str) -> Any:
    """Open one of the plugin's dock widgets, or bring it to the front; return it.

    As the menu does, which calls docks by the plugin's name in the manifest. napari's
    `add_plugin_dock_widget` calls them by the package's: it would open a second one.

    Parameters
    ----------
    viewer : Viewer
        Itself, no proxy of it.
    name : str
        As in the manifest.
    """
    manifest = PluginManager.instance().get_manifest(PLUGIN)
    called = f"{name} ({manifest.display_name})"
    docks = viewer.window._wrapped_dock_widgets
    dock = docks.get(called) or docks.get(f"{name} ({PLUGIN})")
    if dock is None:
        offered = manifest.contributions.widgets or []
        kind = next(one for one in offered if one.display_name == name).get_callable()
        dock = viewer.window.add_dock_widget(kind(viewer), name=called)
    dock.show()
    dock.raise_()
    return dock.inner_widget()


def node_of(viewer: Any, layer: Layer) -> Any:
    """Return the node that a layer is drawn by; None if it isn't drawn.

    What is put below it lies on the layer: its positions are the layer's displayed data pixels, the
    last axis first.
    """
    visual = viewer.window._qt_viewer.canvas.layer_to_visual.get(layer)
    return None if visual is None else visual.node


def canvas_of(viewer: Any) -> Any:
    """Return the Qt widget that a viewer draws on."""
    return viewer.window._qt_viewer.canvas.native


def canvas_size(viewer: Any) -> tuple[int, int]:
    """Return width and height of what a viewer draws on, in screen pixels."""
    canvas = canvas_of(getattr(viewer, "__wrapped__", viewer))
    return canvas.width(), canvas.height()


def world_under(viewer: Any, at: Sequence[float]) -> tuple[float, ...] | None:
    """Return the world position at a place of a viewer's canvas; None where nothing is shown.

    Parameters
    ----------
    at : (float, float)
        Screen pixels, x and y, from the upper left corner.
    """
    canvas = getattr(viewer, "__wrapped__", viewer).window._qt_viewer.canvas
    box, _ = canvas._get_viewbox_at(np.asarray(at, float))
    return None if box is None else tuple(map(float, canvas._map_canvas2world(tuple(at), box)))


def is_playing(viewer: Any) -> bool:
    """Whether a slider of a viewer is being played."""
    return bool(viewer.window._qt_viewer.dims.is_playing)
