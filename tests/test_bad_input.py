"""What is given wrongly is answered with one line that says what to do, or used with a notice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_clickseg import ClickError, DeviceError, ImageError, ModelFileError, load_segmenter
from napari_clickseg.core.masks import plan_commit
from napari_clickseg.models.checkpoint import CARD_KEY
from napari_clickseg.models.registry import BUNDLED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter, Session

Y, X = 40, 50
RNG = np.random.default_rng(0)
PLANE = RNG.integers(0, 200, (Y, X), np.uint8)


@pytest.fixture(scope="module")
def segmenter(random_segmenter: Callable[..., Segmenter]) -> Segmenter:
    return random_segmenter()


def says(error: BaseException, *words: str) -> None:
    message = str(error)
    assert "\n" not in message
    assert len(message) < 250
    for word in words:
        assert word in message


def with_bad_pixels(dtype: str) -> np.ndarray:
    image = PLANE.astype(dtype)
    image[3, 4:7] = np.nan, np.inf, -np.inf
    return image


# Images that are refused

REFUSED = {
    "empty": (np.zeros((0, 7)), "empty", "open one that has pixels"),
    "empty list": ([], "empty", "open one that has pixels"),
    "no channels": (np.zeros((5, 5, 0)), "empty", "open one that has pixels"),
    "complex": (PLANE.astype(complex), "complex", "numpy.abs"),
    "33 channels": (np.zeros((Y, X, 33)), "33 channels", "at most 32", "choose some"),
    "channels first": (np.zeros((3, Y, X)), "channels", "last axis", "choose some"),
    "objects": (PLANE.astype(object), "object", "convert it to integers or floats"),
    "text": (np.full((Y, X), "a"), "convert it to integers or floats"),
    "dates": (np.zeros((Y, X), "datetime64[s]"), "convert it to integers or floats"),
    "records": (np.zeros((Y, X), [("a", int)]), "convert it to integers or floats"),
    "a file's name": ("image.tif", "convert it to integers or floats"),
    "nothing": (None, "convert it to integers or floats"),
    "a number": (3, "0 axes", "choose one plane"),
    "one axis": (PLANE[0], "1 axes", "choose one plane"),
    "four axes": (np.zeros((2, 3, Y, X)), "4 axes", "choose one plane"),
    "rows of several lengths": ([[1, 2], [3]], "not an array", "give a numpy, dask or zarr array"),
    "levels in the wrong order": ([PLANE, np.zeros((80, 90))], "levels", "finest first"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_image_that_cannot_be_used_is_refused(segmenter: Segmenter, name: str) -> None:
    image, *words = REFUSED[name]
    with pytest.raises(ImageError) as caught:
        segmenter.start(image)
    says(caught.value, *words)


def test_colour_that_is_none_is_refused(segmenter: Segmenter) -> None:
    for image in (PLANE, np.zeros((Y, X, 2), np.uint8)):
        with pytest.raises(ImageError) as caught:
            segmenter.start(image, rgb=True)
        says(caught.value, "3 or 4 channels", "not RGB")


# Images that are used, some with a notice

USED: dict[str, tuple[np.ndarray, str]] = {
    "colour with alpha": (RNG.integers(0, 255, (Y, X, 4), np.uint8), "alpha"),
    "boolean": (PLANE > 100, "starting mask"),
    "one pixel": (np.ones((1, 1), np.uint8), "larger one"),
    "one pixel in colour": (np.ones((1, 1, 3), np.uint8), "larger one"),
    "one row": (PLANE[:1], ""),
    "one column": (PLANE[:, :1], ""),
    "constant": (np.full((Y, X), 7, np.uint16), ""),
    "NaN and infinities": (with_bad_pixels("float32"), "nan_to_num"),
    "NaN in half precision": (with_bad_pixels("float16"), "nan_to_num"),
    "NaN in double precision": (with_bad_pixels("float64"), "nan_to_num"),
    "all NaN": (np.full((Y, X), np.nan), "nan_to_num"),
    "all infinite": (np.full((Y, X), np.inf, np.float32), "nan_to_num"),
    "the largest floats": (np.where(PLANE > 100, 1.7e308, -1.7e308), ""),
    "the smallest floats": (PLANE * 5e-324, ""),
    "large integers": (PLANE.astype(np.int64) + 2**62, ""),
    "negative integers": (PLANE.astype(np.int16) - 30_000, ""),
    "32 channels": (RNG.random((Y, X, 32)), ""),
    "not contiguous": (RNG.random((2 * X, 2 * Y))[::-2, ::2].T, ""),
    "read-only": (np.broadcast_to(np.float32(3), (Y, X)), ""),
    "another byte order": (PLANE.astype(">u2"), ""),
}


def is_sound(session: Session) -> bool:
    prediction = session.predict()
    return (
        prediction.mask.shape == prediction.probability.shape == session.shape
        and bool(np.isfinite(prediction.probability).all())
        and bool(((prediction.probability >= 0) & (prediction.probability <= 1)).all())
    )


@pytest.mark.parametrize("name", USED)
def test_an_unusual_image_is_used_and_nan_never_comes_out(segmenter: Segmenter, name: str) -> None:
    image, notice = USED[name]
    before = image.copy()
    session = segmenter.start(image)
    assert is_sound(session)
    session.click(0, 0)
    assert is_sound(session)  # the intensities are measured at the first click
    assert len(session.notices) == bool(notice)
    for line in session.notices:
        assert "\n" not in line
        assert notice in line
    assert is_sound(session)
    assert session.predict().mask[0, 0]
    session.click(image.shape[0] - 1, image.shape[1] - 1, positive=False)
    assert is_sound(session)
    assert not session.predict().mask[-1, -1]
    np.testing.assert_array_equal(image, before)
    assert np.isfinite(session.seen_image()).all()


# Clicks and masks


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ((-1, 5), "(0, 0) to (39, 49); click on the image"),
        ((5, 50), "(0, 0) to (39, 49); click on the image"),
        ((39.5, 0), "(0, 0) to (39, 49); click on the image"),
        ((1e300, 0), "click on the image"),
        ((np.nan, 5), "give numbers"),
        ((5, -np.inf), "give numbers"),
        ((None, 5), "give numbers"),
        (([1, 2], 5), "give numbers"),
    ],
)
def test_a_click_that_is_no_place_in_the_image(
    segmenter: Segmenter, where: tuple[Any, Any], words: str
) -> None:
    session = segmenter.start(PLANE)
    session.click(5, 5)
    before = session.history
    with pytest.raises(ClickError) as caught:
        session.click(*where)
    says(caught.value, words)
    assert session.history is before


@pytest.mark.parametrize(
    "mask", [np.ones((X, Y)), np.ones((Y, X, 1)), np.ones(Y), np.zeros((0, 0)), 1, None]
)
def test_a_mask_of_another_shape(segmenter: Segmenter, mask: Any) -> None:
    if mask is None:
        segmenter.start(PLANE, mask=None)
        return
    with pytest.raises(ImageError) as caught:
        segmenter.start(PLANE, mask=mask)
    says(caught.value, "(40, 50)", "give a mask of the same image")


def test_nan_in_a_mask_belongs_to_nothing(segmenter: Segmenter) -> None:
    mask = np.full((Y, X), np.nan)
    mask[3:6, 3:6] = 1
    assert segmenter.start(PLANE, mask=mask).predict().mask.sum() == 9


@pytest.mark.parametrize("limits", [(5, 5), (6, 5), (np.nan, 5), (0, np.inf)])
def test_contrast_limits_that_do_not_rise(
    segmenter: Segmenter, limits: tuple[float, float]
) -> None:
    with pytest.raises(ImageError) as caught:
        segmenter.start(PLANE, contrast_limits=limits)
    says(caught.value, "two rising numbers")


def test_an_id_beyond_the_labels() -> None:
    with pytest.raises(ValueError, match="256") as caught:
        plan_commit(np.zeros((2, 2), np.uint8), np.ones((2, 2), bool), 256, "overwrite")
    says(caught.value, "uint8", "up to 255", "larger dtype")


# Models and devices


def broken(path: Path) -> None:
    path.write_bytes(b"this is no model at all, whatever it is called")


def empty(path: Path) -> None:
    path.touch()


def truncated(path: Path) -> None:
    path.write_bytes((BUNDLED / "default.safetensors").read_bytes()[:-1000])


def newer(path: Path) -> None:
    save_file({"a": torch.ones(1)}, path, {CARD_KEY: json.dumps({"schema_version": 99})})


def of_another_program(path: Path) -> None:
    save_file({"a": torch.ones(1)}, path)


def pickled(path: Path) -> None:
    torch.save({"a": torch.ones(1)}, path)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("m.safetensors", broken, "get it again"),
        ("m.safetensors", empty, "get it again"),
        ("m.safetensors", truncated, "get it again"),
        ("m.safetensors", newer, "update napari-clickseg"),
        ("m.safetensors", of_another_program, "choose another file"),
        ("m.safetensors", pickled, "ask for the model as a .safetensors file"),
        ("m.safetensors", folder, "choose a .safetensors file"),
        ("m.pth", pickled, "ask for the model as a .safetensors file"),
        ("m.safetensors", None, "check the path"),
        ("m", None, "There is no model"),
    ],
)
def test_a_model_file_that_cannot_be_used(
    tmp_path: Path, name: str, make: Callable[[Path], None] | None, words: str
) -> None:
    path = tmp_path / name
    if make is not None:
        make(path)
    with pytest.raises(ModelFileError) as caught:
        load_segmenter(path)
    message = str(caught.value).replace(str(tmp_path), "")
    assert "\n" not in message
    assert words in message
    assert len(message) < 250


@pytest.mark.parametrize("device", ["tpu", "cuda:99", ""])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load_segmenter("default", device)
    says(caught.value, "choose auto")
