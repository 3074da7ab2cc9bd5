"""`clickseg predict` with boxes, scribbles and lassos: the same mask as through the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import imageio.v3 as iio
import numpy as np
import pytest
import skimage.data

import napari_clickseg as clickseg
from napari_clickseg.cli import main
from napari_clickseg.cli.evaluating._evaluate import add
from napari_clickseg.data.masks import read_labels
from napari_clickseg.evaluation.first_gestures import First

if TYPE_CHECKING:
    from pathlib import Path

LINE = [(55.0, 190.0), (60.0, 200.0), (62.5, 205.0)]
AROUND = [(35.0, 180.0), (35.0, 225.0), (85.0, 225.0), (85.0, 180.0)]


@pytest.fixture(autouse=True)
def coins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    iio.imwrite("coins.png", skimage.data.coins())
    return tmp_path


def said(line: list[tuple[float, float]]) -> str:
    return ";".join(f"{y},{x}" for y, x in line)


def test_gestures_count_in_their_order_as_through_the_api(
    coins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "coins.png", "--device", "cpu", "--out", "m.tif", "--json"]
    words += ["--box", "38,184,80,222", "--negative", "60,230", "--scribble", said(LINE)]
    words += ["--negative-lasso", said([(y, x + 60) for y, x in AROUND])]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    kinds = [(one["kind"], one["positive"]) for one in told["gestures"]]
    assert kinds == [("box", True), ("click", False), ("scribble", True), ("lasso", False)]
    session = clickseg.load_segmenter("default", "cpu").start(skimage.data.coins())
    session.box(38, 184, 80, 222)
    session.click(60, 230, False)
    session.scribble(LINE)
    session.lasso([(y, x + 60) for y, x in AROUND], False)
    np.testing.assert_array_equal(read_labels(coins / "m.tif") > 0, session.predict().mask)


@pytest.mark.parametrize("header", ["", "y,x\n", "napari"])
def test_a_scribble_may_lie_in_a_file(
    coins: Path, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    rows = [f"{y},{x}\n" for y, x in LINE]
    if header == "napari":
        header = "index,shape-type,vertex-index,axis-0,axis-1\n"
        rows = [f"0,path,{n},{row}" for n, row in enumerate(rows)]
    (coins / "line.csv").write_text(header + "".join(rows))
    for given, out in ((said(LINE), "a.tif"), ("line.csv", "b.tif")):
        words = ["predict", "coins.png", "--device", "cpu", "--scribble", given, "--out", out]
        assert main(words) == 0
    np.testing.assert_array_equal(read_labels(coins / "a.tif"), read_labels(coins / "b.tif"))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--box", "1,2,3"), "is not T,L,B,R"),
        (("--box", "9,2,3,9"), "has no area"),
        (("--box", "900,900,950,950"), "outside the image"),
        (("--scribble", "none.csv"), "can't be read as positions"),
        (("--scribble", "1,2;a"), "is not Y,X"),
        (("--lasso", "1,1;2,2"), "give 3 at the least"),
        (("--negative-scribble", "1,1;2,2"), "nothing to go by"),
    ],
)
def test_what_can_not_be_used_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    assert main(["predict", "coins.png", "--device", "cpu", "--out", "m.tif", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert why in err.splitlines()[-1]


def test_the_reading_of_the_first_click_can_be_chosen(
    coins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = clickseg.load_segmenter("default", "cpu").start(skimage.data.coins())
    session.click(60, 200)
    for n in range(session.readings):
        words = ["predict", "coins.png", "--device", "cpu", "--positive", "60,200", "--json"]
        assert main([*words, "--reading", str(n), "--out", f"{n}.tif"]) == 0
        assert json.loads(capsys.readouterr().out)["readings"] == session.readings
        session.reading(n)
        np.testing.assert_array_equal(read_labels(coins / f"{n}.tif") > 0, session.predict().mask)


def test_all_first_gestures_can_be_asked_for() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    for kind in get_args(First):
        assert parser.parse_args(["evaluate", "x", "--first", kind]).first == kind
