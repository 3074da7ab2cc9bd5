"""What is closed is let go of: layers, what was made on them, and their pixels."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from tests.garbage import look_through_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np


def used(bench: Any, pixels: np.ndarray) -> list[weakref.ref[Any]]:
    """Open an image, do a bit of everything on it, and close it; return what should be gone."""
    image = bench.open(pixels)
    bench.state.listing = True
    bench.click(30, 40)
    bench.do("accept")
    bench.click(80, 100)
    bench.do("accept")
    bench.do("undo")
    bench.take_up(30, 40)
    bench.do("skip")
    layer = bench.pairing.annotation
    layer.mode = "paint"
    layer.paint((90, 130), 2)
    bench.controller.preview.look()
    bench.click(60, 20)
    bench.wait(lambda: bench.controller.listing.idle)
    pairing = bench.pairing
    gone = [pairing, pairing.timeline, layer, image, *bench.viewer.layers]
    out = [weakref.ref(one) for one in gone]
    bench.viewer.layers.clear()
    bench.viewer.layers.selection.clear()  # where napari still has the last one
    bench.settle()
    bench.wait(lambda: bench.controller.listing.idle)
    assert bench.controller.autosave.flush()
    bench.controller.deliver()
    return out


def test_what_was_made_on_an_image_goes_with_its_layers(
    make_bench: Callable[..., Any], grey: np.ndarray, tmp_path: Path
) -> None:
    bench = make_bench(home=tmp_path)
    gone = used(bench, grey) + used(bench, grey.copy())
    look_through_all()
    left = [type(one).__name__ for ref in gone if (one := ref()) is not None]
    assert not left, left


def test_layers_that_are_removed_one_by_one_and_made_again_go_too(
    make_bench: Callable[..., Any], grey: np.ndarray, tmp_path: Path
) -> None:
    bench = make_bench(home=tmp_path)
    image = bench.open(grey)
    gone: dict[str, weakref.ref[Any]] = {}
    for name in ("annotation", "positive", "negative", "prediction"):
        bench.click(30, 40)
        bench.do("accept")
        bench.click(80, 100)
        (layer,) = [one for one in bench.viewer.layers if one.name.endswith(name)]
        gone[name] = weakref.ref(layer)
        bench.viewer.layers.remove(layer)
        del layer
        bench.settle()
        bench.controller.set_up(image)
        bench.settle()
        bench.viewer.layers.selection.active = image
        assert bench.controller.autosave.flush()
        bench.controller.deliver()
    bench.click(60, 20)
    bench.wait(lambda: bench.controller.listing.idle)
    look_through_all()
    left = [name for name, ref in gone.items() if ref() is not None]
    assert not left, left
