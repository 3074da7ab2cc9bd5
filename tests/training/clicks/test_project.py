from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_clickseg.core.instances.distances import object_parts
from napari_clickseg.data.project import Record
from napari_clickseg.data.sets.dataset import ClassMap, Dataset, Sample
from napari_clickseg.models.card import ModelCard, WindowSpec
from napari_clickseg.training.clicks.project import ProjectPool, as_records
from napari_clickseg.training.clicks.task import ClickWork
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Collection

SIZE = 64


def test_objects_of_a_map_of_classes_are_connected_parts_of_one_class() -> None:
    """A cell and the bud that touches it are two; cells of one class are not one."""
    classes = np.zeros((12, 20), np.uint8)
    classes[1:5, 1:5] = 1  # a cell
    classes[5:7, 2:4] = 2  # its bud touches it
    classes[1:5, 10:14] = 1  # another cell
    classes[5, 14] = 1  # reached over a corner
    parts = object_parts(classes)
    assert sorted(np.unique(parts).tolist()) == [0, 1, 2, 3]
    assert ((parts > 0) == (classes > 0)).all()
    assert parts[4, 13] == parts[5, 14] != parts[1, 1]
    assert parts[5, 2] not in (parts[1, 1], parts[1, 10], 0)


def half_known(record: Record) -> Sample:
    """Return an image with a disk on its left half; of its right half nothing is known."""
    y, x = np.mgrid[:96, :96]
    labels = (np.hypot(y - 48, x - 30) < 12).astype(np.uint8)
    labels[:, 48:] = 9
    return Sample(record, np.full((3, 96, 96), 128, np.uint8), labels)


@pytest.mark.parametrize("mib", [0, 100])
def test_images_are_kept_as_far_as_there_is_room(mib: int) -> None:
    """A project of large images must not fill the memory, whatever its task."""
    read: list[str] = []

    def noted(record: Record) -> Sample:
        read.append(record.name)
        return half_known(record)

    files = [Record(Path(name), Path("b.png"), "g", name) for name in "abcdef"]
    data = Dataset(files, mib, read=noted)
    records = as_records(data, ClassMap(((1,),), ("object",), 9), 3, by_class=True, whole=False)
    pool = ProjectPool(records)
    assert sorted(read) == list("abcdef"), "each is looked at once"
    rng = np.random.default_rng(0)
    assert {pool.draw(rng, 1)[0].name for _ in range(60)} == set("abcdef")
    one = records[0]
    assert one.labels.dtype == np.uint8
    assert records.nbytes == one.nbytes * (6 if mib else 2)
    assert (len(read) > 30) == (mib == 0)
    assert data.nbytes == 0, "not twice"
    for i in range(1, 6):
        records[i]
    assert records[0] is one, "what is in use is there once"


@pytest.mark.parametrize(
    ("probability", "steps"),
    [
        (1.0, 60),
        (0.1, 200),
        *(pytest.param(p, 250, marks=pytest.mark.slow) for p in (0.9, 0.6, 0.3)),
    ],
)
def test_as_many_predictions_are_made_without_a_click_as_the_spec_says(
    work: ClickWork, probability: float, steps: int
) -> None:
    work.spec = work.spec.model_copy(update={"click_probability": probability})
    work.steps = steps
    without = total = 0
    for number, batch in enumerate(work.batches(1)):
        if number >= 40:  # those that begin with an epoch are all at their first prediction
            clicked = (batch.extra["positive"] + batch.extra["negative"]).amax((1, 2, 3))
            without += int((clicked == 0).sum())
            total += len(batch)
        work.learned(torch.randn(batch.target.shape) - 2, batch)
    assert without / total == pytest.approx(1 - probability, abs=0.06)


@pytest.fixture
def work() -> ClickWork:
    spec = TrainingSpec(
        project="", task="click", scheme="classes", classes=(1,), size=SIZE, batch=4, windows=16,
        epochs=1, image_channels=3, augmentation="none", metric="iou_clicks",
    )  # fmt: skip
    card = ModelCard(
        name="a", architecture="unet", encoder="tu-resnet10t", encoding="channels",
        image_channels=3, disk_radius=2.0, window=WindowSpec(size=SIZE), automatic=True,
    )  # fmt: skip
    data = Dataset([Record(Path("a.png"), Path("b.png"), "g", "a")], read=half_known)
    classes = ClassMap(((1,),), ("object",), 9)
    return ClickWork(spec, card, data, data, classes, torch.device("cpu"))


def test_pixels_of_which_nothing_is_known_are_neither_learned_from_nor_clicked_on(
    work: ClickWork,
) -> None:
    seen, clicks = 0, 0
    for epoch in range(1, 5):
        for batch in work.batches(epoch):
            ignored = batch.extra["ignored"]
            seen += int(ignored.sum())
            assert not (ignored * batch.target).any()
            clicks += int(batch.extra["negative"].sum())
            logits = torch.randn(batch.target.shape, requires_grad=True)
            work.loss(logits, batch).backward()
            assert logits.grad is not None
            assert not (logits.grad * ignored).any()
            assert (logits.grad * (1 - ignored)).any()
            work.learned(torch.full_like(batch.target, 5.0), batch)  # takes all for the object
            lesson = batch.origin
            for i in lesson.chosen:
                annotation = work.live.in_progress[i]
                if annotation.ignored is None:
                    continue
                for y, x, _ in annotation.clicks:
                    if 0 <= y < SIZE and 0 <= x < SIZE:
                        at = (0, math.floor(y + 0.5), math.floor(x + 0.5))
                        assert not annotation.ignored[at]
    assert seen > 0
    assert clicks > 0


def test_a_mask_may_be_anything_where_nothing_is_known(work: ClickWork) -> None:
    class Everything(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs[:, :1] * 0 + 9

    labels = half_known(work.validation.records[0]).labels
    validation = work.validate(Everything())
    assert validation.metrics["iou_0"] == pytest.approx((labels == 1).sum() / (labels != 9).sum())


class Nothing(torch.nn.Module):
    """Finds nothing, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return inputs[:, :1] * 0 - 9


def some_empty(holding: Collection[int], n: int, *, automatic: bool) -> ClickWork:
    """Return the work on images of which a few hold an object."""

    def read(record: Record) -> Sample:
        labels = np.zeros((96, 96), np.uint8)
        if int(record.name) in holding:
            labels[30:60, 30:60] = 1
        return Sample(record, np.full((3, 96, 96), 128, np.uint8), labels)

    data = Dataset([Record(Path(), Path(), "g", f"{i:02}") for i in range(n)], read=read)
    classes = (1,) if automatic else (1, 2)
    spec = TrainingSpec(
        project="", task="click", scheme="classes", classes=classes, size=SIZE, batch=4,
        windows=16, epochs=1, image_channels=3, augmentation="none", metric="iou_clicks",
    )  # fmt: skip
    card = ModelCard(
        name="a", architecture="unet", encoder="tu-resnet10t", encoding="channels",
        image_channels=3, disk_radius=2.0, window=WindowSpec(size=SIZE), automatic=automatic,
    )  # fmt: skip
    named = ClassMap((classes,), ("object",))
    return ClickWork(spec, card, data, data, named, torch.device("cpu"))


@pytest.mark.parametrize("automatic", [False, True])
def test_what_is_validated_on_holds_objects_but_for_a_few_where_no_click_is_needed(
    automatic: bool,
) -> None:
    holding = {3, 17, 18, 29}
    validation = some_empty(holding, 40, automatic=automatic).validate(Nothing())
    objects = {int(row["image"]) for row in validation.images if "iou_5" in row}
    empties = {int(row["image"]) for row in validation.images} - objects
    assert objects == holding
    assert len(empties) == (2 if automatic else 0)
    assert max(validation.metrics["iou_5"], validation.metrics["recall_5"]) < 0.01, (
        "the clicked pixels"
    )
    if automatic:
        assert validation.metrics["iou_0"] == pytest.approx(2 / 6), "nothing is right in two of six"


def test_a_validation_asks_the_network_as_often_as_eight_images_take() -> None:
    network = Nothing()
    work = some_empty(range(0, 60, 2), 60, automatic=True)
    work._checked = []  # of the loss on windows
    assert len(work.validate(network).images) == 8 + 2
    each = 4  # windows of a whole image of 96 pixels; after that one for a click
    assert network.asked <= 10 * each + 8 * 5 * each


def test_previews_of_clicks_are_of_images_that_hold_an_object(tmp_path: Path) -> None:
    work = some_empty({3, 17, 18}, 40, automatic=False)
    assert [one["image"] for one in work.preview(Nothing(), tmp_path, 1)] == ["03", "17", "18"]
