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
