"""`clickseg predict --out X.zarr`: as the function, and one line where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_clickseg.cli import main
from napari_clickseg.core import mosaic
from napari_clickseg.data.masks import read_labels
from napari_clickseg.engine.imagewise import predict_unclicked
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.engine.slides import whole_slide
from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.network import build_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.models.card import ModelCard

WORDS = ("predict", "slide.tif", "--device", "cpu", "--model", "tiny.safetensors")


@pytest.fixture(autouse=True)
def image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_card: Callable[..., ModelCard]
) -> np.ndarray:
    """An image, and a model of two classes with random weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(whole_slide, "_SIDES", (100,))
    pixels = np.random.default_rng(0).integers(0, 255, (90, 150)).astype(np.uint8)
    tifffile.imwrite("slide.tif", pixels)
    Path("slide.csv").write_text("image,mask\na,b\n")
    card = make_card(
        encoding="image",
        automatic=True,
        classes=("one", "two"),
        class_ids=(4, 9),
        window={"size": 64, "zoom": 1.0},
    )
    save_model(tmp_path / "tiny.safetensors", build_network(card).state_dict(), card)
    return pixels


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main([*words])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_slide_is_predicted_by_the_model_of_the_file(
    image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(*WORDS, "--out", "a.zarr", "--json", capsys=capsys)
    assert (status, err) == (0, "")
    numbers, _ = predict_unclicked(load_segmenter("tiny.safetensors", "cpu"), image)
    assert json.loads(out)["pixels"] == {
        "one": int((numbers == 1).sum()),
        "two": int((numbers == 2).sum()),
    }
    assert (read_labels(Path("a.zarr")) == np.array([0, 4, 9])[numbers]).all()
    status, _, err = run(*WORDS, "--out", "a.zarr", capsys=capsys)
    assert status == 2
    assert "a.zarr is there already; choose another name, or add --overwrite." in err
    status, out, _ = run(
        *WORDS, "--out", "a.zarr", "--overwrite", "--region", "10,20,40,60", capsys=capsys
    )
    assert status == 0
    assert out.startswith("a.zarr: 90 x 150 pixels; one ")
    assert not read_labels(Path("a.zarr"))[40:].any()


def test_all_planes_of_a_stack_are_predicted_unless_one_is_chosen(
    image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = np.stack([image, image[::-1]])
    tifffile.imwrite("slide.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    status, out, _ = run(*WORDS, "--out", "a.zarr", capsys=capsys)
    assert status == 0
    assert out.startswith("a.zarr: 2 x 90 x 150 pixels; one ")
    status, out, _ = run(*WORDS, "--out", "b.zarr", "--plane", "1", capsys=capsys)
    assert status == 0
    assert out.startswith("b.zarr: 90 x 150 pixels; one ")
    whole = read_labels(Path("a.zarr"), (1,))
    assert (whole == read_labels(Path("b.zarr"))).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "a.zarr", "--positive", "3,4"), "without clicks; leave --positive or"),
        (("--out", "a.tif", "--region", "0,0,9,9"), "--region goes with --out X.zarr"),
        (("--out", "a.zarr", "--smallest", "9"), "goes with models that tell objects apart"),
        (("--out", "a.zarr", "--region", "200,0,300,9"), "The region lies outside the image"),
        (("--out", "slide.zarr/a.zarr"), "There is no folder"),
        (("--out", "a.zarr", "--region", "1,2,3"), "no T,L,B,R such as 0,0,5000,8000"),
        (("--out", "a.zarr", "--region", "slide.csv"), "slide.csv is no Shapes layer; save one"),
    ],
)
def test_what_does_not_go_with_a_slide_is_said_in_a_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(*WORDS, *words, capsys=capsys)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_an_image_is_never_seen_from_further_away_without_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosaic, "LARGEST", 100)
    status, _, err = run(*WORDS, "--out", "a.tif", capsys=capsys)
    assert status == 0
    assert (
        "is predicted at zoom 0.67, and the model learned at 1; clickseg predict --out X.zarr"
        in err
    )
