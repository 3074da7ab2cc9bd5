"""Whatever comes in: one clear line that says what to do, nothing lost, nothing frozen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def told(bench: Any, *words: str) -> None:
    """Check what the user is told."""
    message = bench.state.message
    assert all(word in message for word in words), message
    assert "\n" not in message and len(message) > 20 and message.endswith(".")


# ---- images that can be used, with a word to the user


def _rgba() -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 255, (60, 70, 4)).astype(np.uint8)
    image[..., 3] = 0
    return image


def _with_nan() -> np.ndarray:
    image = np.random.default_rng(0).random((60, 70)).astype(np.float32)
    image[10:20, 10:20] = np.nan
    image[0, 0], image[1, 1] = np.inf, -np.inf
    return image


def _boolean() -> np.ndarray:
    return np.random.default_rng(0).random((60, 70)) < 0.5


USABLE: dict[str, tuple[Any, dict[str, Any], tuple[str, ...]]] = {
    "RGB with alpha": (_rgba, {"rgb": True}, ("alpha", "left out")),
    "1×1": (lambda: np.ones((1, 1)), {}, ("single pixel", "open a larger one")),
    "one row": (lambda: np.arange(70.0)[None], {}, ()),
    "one column": (lambda: np.arange(70.0)[:, None], {}, ()),
    "NaN and infinity": (_with_nan, {}, ("NaN", "nan_to_num")),
    "nothing but NaN": (lambda: np.full((60, 70), np.nan), {"contrast_limits": (0, 1)}, ("NaN",)),
    "one value": (lambda: np.full((60, 70), 7), {}, ()),
    "boolean": (_boolean, {}, ("boolean", "0 and 1")),
    "int64": (lambda: np.arange(60 * 70).reshape(60, 70) * 10**12, {}, ()),
    "float16": (lambda: np.random.default_rng(0).random((60, 70)).astype(np.float16), {}, ()),
    "big-endian": (lambda: np.arange(60 * 70, dtype=">u2").reshape(60, 70), {}, ()),
    "read-only": (lambda: np.broadcast_to(np.arange(70.0), (60, 70)), {}, ()),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning:napari")  # napari computes limits of NaN
@pytest.mark.parametrize("case", USABLE)
def test_strange_images_are_used_and_the_user_is_told(bench: Any, case: str) -> None:
    make, options, words = USABLE[case]
    data = make()
    before = data.copy()
    image = bench.open(data, **options)
    plane = bench.controller.displayed()
    y, x = plane.shape[0] // 2, plane.shape[1] // 2
    bench.click(y, x)
    assert bench.mask is not None and bench.mask[y, x]
    if words:
        told(bench, *words)
    else:
        assert bench.state.message == ""
    bench.do("accept")
    assert bench.labels[y, x] == 1
    np.testing.assert_array_equal(image.data, before)


# ---- images that can't


REFUSED: dict[str, tuple[Any, dict[str, Any], int | None, tuple[str, ...]]] = {
    "33 channels": (lambda: np.ones((33, 60, 70)), {}, 0, ("33 channels", "at most 32")),
    "channels are displayed": (lambda: np.ones((3, 60, 70)), {}, 2, ("2D plane", "channels")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_images_that_cannot_be_used_are_refused(bench: Any, grey: np.ndarray, case: str) -> None:
    make, options, axis, words = REFUSED[case]
    before = bench.open(grey)
    bench.click(60, 80)
    image = bench.viewer.add_image(make(), **options)
    n = len(bench.viewer.layers)
    with bench.state.events.channel_axis.blocked():
        bench.state.channel_axis = axis
    bench.controller.set_up(image)
    told(bench, *words)
    assert len(bench.viewer.layers) == n and image not in bench.controller.pairings
    assert bench.state.image == before and bench.mask[60, 80], "The one before goes on."


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("data", "word"),
    [
        (np.ones((60, 70), complex), "complex"),
        (np.ones((2, 60, 70), complex), "complex"),
        (np.zeros((0, 70)), "empty"),
        (np.zeros((3, 0, 0)), "empty"),
        (np.ones(70), "2D plane"),
    ],
)
def test_images_that_napari_hardly_opens_do_no_harm(bench: Any, data: Any, word: str) -> None:
    """This napari refuses them itself; should another one open them, we say what to do."""
    try:
        image = bench.viewer.add_image(data, contrast_limits=(0, 1))
    except (NotImplementedError, ValueError, IndexError, TypeError):
        return
    bench.controller.set_up(image)
    assert bench.state.image is None
    told(bench, word)


def test_without_an_image_every_action_says_so(bench: Any) -> None:
    bench.controller.set_up()
    told(bench, "Open an image first")
    for action in ("accept", "skip", "clear", "undo", "redo", "take_up", "propagate"):
        bench.state.message = ""
        bench.do(action)
        told(bench, "Choose an image")
    bench.controller.propagate(3)
    bench.controller.cancel()
    bench.controller.show_seen()
    told(bench, "Set up an image")
    bench.controller._clicked((3.0, 4.0), True)
    told(bench, "Choose an image")
    bench.controller._take_up_at((3.0, 4.0))
    told(bench, "Choose an image")
    for action in ("tool", "swap", "show", "probability", "next_class", "tool"):
        bench.do(action)


def test_in_3d_clicks_are_explained(bench: Any) -> None:
    image = bench.open(np.random.default_rng(0).random((5, 60, 70)))
    bench.click(30, 30)
    mask = bench.mask
    bench.viewer.dims.ndisplay = 3
    bench.settle()
    bench.controller._clicked((2, 3, 4), True)
    told(bench, "2D view")
    bench.controller._take_up_at((2, 3, 4))
    told(bench, "2D view")
    for action in ("accept", "skip", "clear", "propagate"):
        bench.do(action)
    bench.controller.propagate(4)
    bench.controller.show_seen()
    assert not bench.labels.any()
    bench.viewer.dims.ndisplay = 2
    bench.settle()
    np.testing.assert_array_equal(bench.mask, mask)
    bench.viewer.dims.ndisplay = 3
    other = bench.viewer.add_image(np.zeros((5, 60, 70)))
    bench.controller.set_up(other)
    told(bench, "2D plane")
    assert bench.state.image == image
    bench.do("undo")
    assert not len(bench.state.positive.data)


# ---- clicks


@pytest.mark.parametrize("place", [(-0.6, 5), (5, -0.6), (119.6, 5), (5, 159.6), (1e9, -1e9)])
def test_clicks_outside_are_refused(bench: Any, grey: np.ndarray, place: Any) -> None:
    bench.open(grey)
    bench.click(*place)
    told(bench, "outside the image", "click on the image")
    assert bench.state.n_positive == 0 and not len(bench.state.positive.data)
    assert not bench.state.can_undo
    bench.take_up(*place)
    told(bench, "outside the image")


@pytest.mark.parametrize("place", [(-0.4, 5), (119.4, 159.4)])
def test_clicks_on_the_outermost_pixels_are_taken(bench: Any, grey: np.ndarray, place: Any) -> None:
    bench.open(grey)
    bench.click(*place)
    assert bench.state.n_positive == 1 and bench.mask.any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning:napari")
def test_points_put_outside_stay_but_are_not_used(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey)
    bench.state.positive.add([500, 500])
    bench.settle()
    told(bench, "outside the image", "move it onto")
    assert bench.state.n_positive == 0 and len(bench.state.positive.data) == 1
    bench.state.positive.data = np.array([[60, 80]])
    bench.settle()
    assert bench.state.n_positive == 1 and bench.mask[60, 80] and bench.state.message == ""
    bench.state.positive.add([np.nan, 3])
    bench.settle()
    assert bench.state.n_positive == 1 and bench.mask[60, 80]


# ---- layers


def test_points_of_another_dimensionality_are_refused(bench: Any, grey: np.ndarray) -> None:
    image = bench.viewer.add_image(grey)
    points = bench.viewer.add_points(np.zeros((2, 3)), name="theirs")
    bench.controller.adopt(image, positive=points)
    told(bench, "theirs", "3 dimensions", "choose another layer")
    assert bench.state.image is None and len(bench.viewer.layers) == 2
    bench.controller.set_up(image)
    bench.click(60, 80)
    assert bench.mask[60, 80]


def _frozen() -> np.ndarray:
    labels = np.zeros((120, 160), np.uint16)
    labels.setflags(write=False)
    return labels


@pytest.mark.parametrize("kind", ["numpy", "editable", "dask"])
def test_labels_that_cannot_be_written_keep_the_mask(
    bench: Any, grey: np.ndarray, kind: str
) -> None:
    import dask.array as da

    image = bench.viewer.add_image(grey)
    data = {"numpy": _frozen, "dask": lambda: da.zeros((120, 160), dtype=np.uint16)}
    layer = bench.viewer.add_labels(data.get(kind, lambda: _frozen().copy())(), name="theirs")
    bench.controller.adopt(image, annotation=layer)
    if kind == "editable":
        layer.editable = False
    bench.click(60, 80)
    bench.do("accept")
    told(bench, "theirs", "choose")
    assert bench.mask[60, 80] and bench.state.n_positive == 1 and bench.state.n_objects == 0
    assert not np.asarray(layer.data).any()
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(np.zeros((120, 160), int)))
    bench.settle()
    bench.do("accept")
    assert bench.labels[60, 80] == 1


def test_labels_that_became_read_only_can_be_undone_later(bench: Any, grey: np.ndarray) -> None:
    """The step is not lost: it is done when it can be."""
    bench.open(grey)
    bench.click(60, 80)
    bench.do("accept")
    labels = bench.labels
    labels.setflags(write=False)
    bench.do("undo")
    told(bench, "read-only")
    assert labels[60, 80] == 1 and bench.state.n_objects == 1 and bench.state.can_undo
    labels.setflags(write=True)
    bench.do("undo")
    assert not labels.any() and bench.mask[60, 80]
    labels.setflags(write=False)
    bench.do("redo")
    told(bench, "read-only")
    assert bench.state.n_objects == 0 and bench.state.can_redo
    labels.setflags(write=True)
    bench.do("redo")
    assert labels[60, 80] == 1


# ---- models


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def _truncated(folder: Path) -> str:
    from napari_clickseg.models.registry import find_model

    return _write(folder / "m.safetensors", find_model("default").path.read_bytes()[:100_000])


def _pickled(folder: Path) -> str:
    import pickle

    return _write(folder / "m.pt", pickle.dumps({"weights": 1}))


def _newer(folder: Path) -> str:
    from safetensors.numpy import save

    card = json.dumps({"schema_version": 99, "name": "newer"})
    content = save({"a": np.zeros(1)}, {"napari_clickseg_card": card})
    return _write(folder / "m.safetensors", content)


BROKEN: dict[str, tuple[Callable[[Path], str], tuple[str, ...]]] = {
    "no such name": (lambda _: "nowhere", ("no model 'nowhere'", "choose one of")),
    "no such file": (lambda p: str(p / "m.safetensors"), ("m.safetensors",)),
    "not a model": (lambda p: _write(p / "m.safetensors", b"x" * 1000), ("m.safetensors",)),
    "empty": (lambda p: _write(p / "m.safetensors", b""), ("m.safetensors",)),
    "truncated": (_truncated, ("m.safetensors",)),
    "a pickle": (_pickled, ("m.pt",)),
    "newer": (_newer, ("m.safetensors", "version 99", "update")),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_models_are_refused_and_the_clicks_stay(
    make_bench: Callable[..., Any],
    grey: np.ndarray,
    tmp_path: Path,
    notifications: list[str],
    case: str,
) -> None:
    from napari_clickseg._napari.annotate.state import AnnotateState

    make, words = BROKEN[case]
    bench = make_bench(model=None, state=AnnotateState(model=make(tmp_path), device="cpu"))
    image = bench.viewer.add_image(grey)
    bench.controller.set_up(image)
    bench.click(60, 80)
    assert bench.state.model_status == "failed" and not bench.state.busy
    text = bench.state.model_text
    assert "\n" not in text and all(word in text for word in words), text
    assert len(notifications) == 1 and bench.state.n_positive == 1


def test_a_device_that_is_not_there_is_said(
    make_bench: Callable[..., Any], notifications: list[str]
) -> None:
    from napari_clickseg._napari.annotate.state import AnnotateState

    bench = make_bench(model=None, state=AnnotateState(device="mps"))
    bench.settle()
    if bench.state.model_status == "ready":
        pytest.skip("There is one.")
    assert "mps" in bench.state.model_text and "choose auto or cpu" in bench.state.model_text
