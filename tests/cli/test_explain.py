"""`clickseg explain`: pictures and maps, or one line that says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import imageio.v3 as iio
import pytest
import tifffile
from skimage import data

from napari_clickseg.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def coins(tmp_path: Path) -> Path:
    path = tmp_path / "coins.png"
    iio.imwrite(path, data.coins())
    return path


def test_a_mask_is_explained_in_pictures_and_maps(
    coins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    clicks = ["--positive", "118,272", "--negative", "118,310"]
    assert main(["explain", str(coins), *clicks, "--out", str(out), "--maps", "4"]) == 0
    about = json.loads((out / "explain.json").read_text())
    names = [one["name"] for one in about["maps"]]
    assert names == [
        "activations-encoder-5", "heat-map-encoder-5", "activations-decoder", "heat-map-decoder",
        "pixels", "gesture-1", "gesture-2",
    ]  # fmt: skip
    for name in names:
        assert iio.imread(out / f"{name}.png").std() > 5, "something is drawn"
    said = capsys.readouterr().out
    for place in ("encoder 5", "decoder"):
        heat = tifffile.imread(out / f"heat-map-{place.replace(' ', '-')}.tif")
        assert (f"Nothing at '{place}' speaks for the mask" in said) is not bool(heat.any())
    assert tifffile.imread(out / "activations-decoder.tif").shape[0] == 4
    first = about["maps"][names.index("gesture-1")]
    assert first["gained"] > 500, "the coin is there because of it"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "Say where the maps go: --out FOLDER"),
        (["--out", "OUT", "--maps", "0"], "shows nothing; give 1 or more"),
        (["--out", "FULL"], "is not an empty folder; choose another one"),
        (["--out", "OUT"], "There is nothing to go by"),
        (["--out", "OUT", "--positive", "118,272", "--place", "nowhere"], "no place 'nowhere'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    coins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    named = {"OUT": str(tmp_path / "out"), "FULL": str(tmp_path)}
    assert main(["explain", str(coins), *(named.get(one, one) for one in more)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_places_are_listed(coins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(coins), "--positive", "118,272", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "encoder 1" and lines[-1] == "decoder"
