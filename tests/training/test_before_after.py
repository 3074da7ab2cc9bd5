"""What the table says, of models that answer as the tests want it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from napari_clickseg.evaluation.noc import JITTER_SIGMA, NocSpec, ObjectResult
from napari_clickseg.models.card import ModelCard, WindowSpec
from napari_clickseg.training import before_after
from napari_clickseg.training.prepare import Prepared, prepare
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TrainingSpec

IMAGES, HOLDING = 30, (7, 8, 21)
IOUS = (0.5, 0.6, 0.8, 0.86, *[0.9] * 16)
Mask = Any


def card(*, automatic: bool) -> ModelCard:
    return ModelCard(
        name="a", architecture="unet", encoder="none", encoding="channels", image_channels=3,
        automatic=automatic, window=WindowSpec(size=64, zoom=1.0 if automatic else None),
    )  # fmt: skip


class Model:
    """Finds the left half of any image without a click."""

    def __init__(self, *, automatic: bool) -> None:
        self.card, self.looked = card(automatic=automatic), 0

    def start(self, image: Mask, *, rgb: bool | None = None) -> Model:
        self.looked += 1
        self.mask = np.zeros(image.shape[:2], bool)
        self.mask[:, :32] = True
        return self

    def predict(self) -> Model:
        return self


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Images of which three that are validated on hold something: their left half."""
    project = tmp_path / "project"
    for name in ("images", "masks"):
        (project / name).mkdir(parents=True)
    rows = ["image,mask,group,split"]
    for i in range(IMAGES):
        labels = np.zeros((64, 64), np.uint8)
        labels[:, :32] = i == IMAGES - 1 or i in HOLDING
        iio.imwrite(project / f"images/{i:02}.png", labels * 200 + np.uint8(i))
        iio.imwrite(project / f"masks/{i:02}.png", labels)
        split = "training" if i == IMAGES - 1 else "validation"
        rows.append(f"images/{i:02}.png,masks/{i:02}.png,g{i},{split}")
    (project / "index.csv").write_text("\n".join(rows) + "\n")
    classes = {"schema_version": 1, "scheme": "classes", "classes": [{"id": 1, "name": "cell"}]}
    (project / "classes.json").write_text(json.dumps(classes))
    return prepare(TrainingSpec(project=str(project), task="click"))


@pytest.fixture
def clicked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[NocSpec, str]]:
    """Images that are clicked on, and how."""
    seen: list[tuple[NocSpec, str]] = []

    def evaluate(_: Any, image: Any, truth: Any, spec: NocSpec, name: str) -> list[ObjectResult]:
        seen.append((spec, name))
        return [ObjectResult(1, 100, k, 0.0, IOUS, (), ()) for k in range(spec.repeats)]

    monkeypatch.setattr(before_after, "evaluate_image", evaluate)
    return seen


def asked(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, *, before: Model | None, after: Model
) -> dict[str, dict[str, Any]]:
    models = {"default": before, prepared.spec.project: after}
    monkeypatch.setattr(
        before_after, "load_segmenter", lambda name, *_, **__: models.get(name, after)
    )
    monkeypatch.setattr(before_after, "read_card", lambda _: after.card)
    start = before.card if before is not None else None
    table = before_after.did_it_help(prepared, start, RunFolder(Path("nowhere"))).table
    return {row["metric"]: row for row in table}


def test_figures_after_clicks_come_with_the_numbers_of_clicks(
    prepared: Prepared, clicked: list[tuple[NocSpec, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = asked(prepared, monkeypatch, before=None, after=Model(automatic=False))
    after = {name: row["after"] for name, row in table.items() if "jittered" not in name}
    wanted = {
        "NoC@85": 4, "NoC@90": 5,
        "IoU after a click": 0.5, "IoU after 3 clicks": 0.8, "IoU after 5 clicks": 0.9,
        "Dice after a click": 1 / 1.5, "Dice after 3 clicks": 1.6 / 1.8,
        "Dice after 5 clicks": 1.8 / 1.9,
    }  # fmt: skip
    assert after == pytest.approx(wanted)
    assert all(row["before"] is None for row in table.values())


def test_clicks_are_jittered_with_three_seeds(
    prepared: Prepared, clicked: list[tuple[NocSpec, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(prepared, monkeypatch, before=None, after=Model(automatic=False))
    assert {(spec.jitter, spec.repeats) for spec, _ in clicked} == {(0.0, 1), (JITTER_SIGMA, 3)}


def test_what_is_clicked_on_holds_an_object_wherever_that_is(
    prepared: Prepared, clicked: list[tuple[NocSpec, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(prepared, monkeypatch, before=None, after=Model(automatic=False))
    assert {name for _, name in clicked} == {f"images/{i:02}.png" for i in HOLDING}


def test_without_a_click_empty_images_count_as_well(
    prepared: Prepared, clicked: list[tuple[NocSpec, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = Model(automatic=False), Model(automatic=True)
    table = asked(prepared, monkeypatch, before=before, after=after)
    for figure in ("IoU without a click", "Dice without a click"):
        assert table[figure]["before"] is None, "it answers no click"
        assert table[figure]["after"] == 0.5, "right in three, wrong in three that are empty"
    assert (before.looked, after.looked) == (0, 6)
    assert table["NoC@85"]["before"] == 4


def test_models_that_wait_for_a_click_have_no_figure_without_one(
    prepared: Prepared, clicked: list[tuple[NocSpec, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = asked(prepared, monkeypatch, before=None, after=Model(automatic=False))
    assert not [name for name in table if "without" in name]
