from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.io import imsave

from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.evaluation.replay import ReplayedObject, replay, replay_report
from napari_clickseg.journal.events import Began, Modelled, Scribe, Stepped
from napari_clickseg.journal.recording import read_journal
from napari_clickseg.journal.scene import Accepted, Mark, Scene
from napari_clickseg.journal.writing import JournalFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter

SHAPE = (96, 128)
PLANE = Plane((0, 1), (0, 0), SHAPE)


@pytest.fixture
def image() -> np.ndarray:
    made = np.zeros(SHAPE, np.uint8)
    made[16:36, 20:44] = 220
    made[60:80, 84:108] = 220
    return made


@pytest.fixture
def journal(tmp_path: Path, image: np.ndarray) -> Path:
    """Two squares that were accepted, one after two clicks, and one of the brush."""
    scene, steps = Scene(), []
    for value, clicks in ((1, [(25.0, 30.0)]), (2, [(70.0, 95.0), (50.0, 95.0)]), (3, [])):
        marks = tuple(Mark(10 * value + i, at, i == 0) for i, at in enumerate(clicks))
        for n in range(len(marks)):
            after = scene.with_marks(marks[: n + 1])
            steps.append(Stepped(scene, after, PLANE))
            scene = after
        truth = np.zeros(SHAPE, bool)
        truth[(slice(16, 36), slice(20, 44)) if value == 1 else (slice(60, 80), slice(84, 108))] = 1
        made = Accepted(PLANE, value, marks, Patch.of(truth))
        after = scene.with_draft(PLANE, None).with_object(made, None).used(value)
        steps.append(Stepped(scene, after, PLANE))
        scene = after
    path = tmp_path / "x.jsonl"
    began = Began(shape=SHAPE, dtype="uint8", digest="0" * 32, labels=SHAPE)
    JournalFile(path, Scribe()).write([began, Modelled(name="old", sha256="ab"), *steps])
    return path


def test_the_clicks_of_each_object_are_made_again_one_by_one(
    journal: Path, image: np.ndarray, bright_segmenter: Callable[..., Segmenter]
) -> None:
    segmenter = bright_segmenter()
    recording = replay(read_journal(journal), lambda _: segmenter.start(image))
    assert [(one.value, len(one.ious)) for one in recording] == [(1, 1), (2, 2)]
    session = segmenter.start(image)
    session.click(70, 95)
    first = session.predict().mask
    truth = np.zeros(SHAPE, bool)
    truth[60:80, 84:108] = True
    assert recording[1].ious[0] == pytest.approx((first & truth).sum() / (first | truth).sum())


def test_what_never_reaches_an_iou_counts_all_of_its_clicks() -> None:
    objects = (ReplayedObject(1, (0, 0), (0.5, 0.86, 0.7)), ReplayedObject(2, (0, 0), (0.2, 0.3)))
    figures = replay_report(objects, model="m")
    assert figures["noc"]["0.85"] == 2.0
    assert figures["reached"] == {"0.80": 1, "0.85": 1, "0.90": 0}
    assert figures["noc"]["0.90"] == 2.5
    assert figures["iou_last"] == pytest.approx(0.5)
    assert figures["model"] == "m"


def test_the_command_prints_a_table_and_writes_json(
    journal: Path,
    image: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_clickseg.cli import main

    imsave(tmp_path / "i.png", image, check_contrast=False)
    out = tmp_path / "figures.json"
    call = ["replay", str(journal), "--image", str(tmp_path / "i.png"), "--device", "cpu"]
    assert main([*call, "--json", str(out)]) == 0
    said = capsys.readouterr()
    assert "2 objects, 3 gestures" in said.out and "NoC@85" in said.out
    assert "left out: 1 object without clicks" in said.err
    figures = json.loads(out.read_text())
    assert figures["recorded_with"] == [{"name": "old", "sha256": "ab"}]
    assert len(figures["each"]) == 2 and figures["iou_last"] > 0.8
    imsave(tmp_path / "small.png", image[:50], check_contrast=False)
    call[3] = str(tmp_path / "small.png")
    assert main(call) == 2
    assert "not the image of the journal" in capsys.readouterr().err
