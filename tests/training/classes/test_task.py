"""What is cut out, measured and shown of task models, with networks that take no time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_clickseg.data.project import Record
from napari_clickseg.data.sets.dataset import IGNORED, ClassMap, Dataset, Sample
from napari_clickseg.models.card import ModelCard, WindowSpec
from napari_clickseg.training.classes import task
from napari_clickseg.training.classes.augment import cut
from napari_clickseg.training.classes.task import SemanticWork
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 64
CARD = ModelCard(
    name="a", architecture="unet", encoder="none", encoding="image", image_channels=1,
    automatic=True, classes=("cell",), window=WindowSpec(size=SIZE, zoom=1.0),
)  # fmt: skip
Labels = Any


class Bright(nn.Module):
    """Finds what is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(60.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, :1] - 0.5) * self.scale


def dataset(labels: list[Labels], complete: bool | None = None) -> Dataset:
    """Make images that are bright where there are labels."""

    def read(record: Record) -> Sample:
        mask = labels[int(record.name)]
        return Sample(record, ((mask > 0) * 255).astype(np.uint8)[None], mask)

    names = [str(i) for i in range(len(labels))]
    every = [Record(Path(n), Path(n), n, n, complete=complete) for n in names]
    return Dataset(every, read=read)


def work(
    training: list[Labels],
    validation: list[Labels] | None = None,
    classes: ClassMap | None = None,
    **fields: Any,
) -> SemanticWork:
    known: dict[str, Any] = {
        "project": "", "task": "binary", "scheme": "classes", "size": SIZE, "batch": 4,
        "windows": 8, "epochs": 1, "image_channels": 1, "augmentation": "none",
    }  # fmt: skip
    spec = TrainingSpec(**known | fields)
    classes = classes or ClassMap(((),), ("cell",))
    card = CARD.model_copy(update={"classes": classes.names})
    return SemanticWork(spec, card, dataset(training), dataset(validation or training), classes)


@pytest.mark.parametrize("complete", [None, True, False])
def test_what_is_not_labelled_in_an_image_that_is_not_complete_is_neither_learned_nor_measured(
    complete: bool | None,
) -> None:
    mask = blank()
    mask[20:40, 20:40] = 1
    classes = ClassMap(((),), ("cell",))
    made = work([mask], classes=classes)
    made.training, made.validation = dataset([mask], complete), dataset([mask], complete)
    targets = [made.window(1, i)[1] for i in range(20)] + [made._plain_window(0)[1]]
    there = {int(one) for target in targets for one in target.unique()}
    assert there - {IGNORED} == ({1} if complete is False else {0, 1})

    class Everything(Bright):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones_like(x[:, :1]) * self.scale

    validation = made.validate(Everything())
    right = 1.0 if complete is False else 400 / 6400
    assert validation.metrics["iou_micro"] == pytest.approx(right)


def blank(side: int = 80) -> Labels:
    return np.zeros((side, side), np.uint8)


def full(identifier: int = 1) -> Labels:
    return blank() + np.uint8(identifier)


def count(made: SemanticWork, wanted: Callable[[Tensor], bool], n: int = 400) -> float:
    return sum(wanted(made.window(1, i)[1]) for i in range(n)) / n


@pytest.mark.parametrize("empty", [0, 65, 95])
def test_as_many_windows_look_at_a_class_however_many_images_are_empty(empty: int) -> None:
    made = work([full() for _ in range(100 - empty)] + [blank() for _ in range(empty)])
    anywhere = (100 - empty) / 100
    windows = count(made, lambda target: bool((target == 1).any()))
    assert windows == pytest.approx(0.6 + 0.4 * anywhere, abs=0.06)


def test_a_class_that_few_images_hold_is_looked_at_as_often_as_the_others() -> None:
    classes = ClassMap(((1,), (2,)), ("common", "rare"))
    made = work([full(1)] * 19 + [full(2)], classes=classes, task="multiclass")
    windows = count(made, lambda target: bool((target == 2).any()))
    assert windows == pytest.approx(0.3 + 0.4 / 20, abs=0.06)


def test_without_anything_labelled_windows_lie_anywhere() -> None:
    made = work([blank(), blank()])
    assert count(made, lambda target: bool((target == 1).any()), 20) == 0


def test_ids_become_classes_in_the_window_alone_and_the_result_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, (8, 8)).repeat(40, 0).repeat(40, 1)
    classes = ClassMap((tuple(range(1, 300)), (400, 500, 600)), ("low", "high"), 999)
    made = work([labels], classes=classes, task="multiclass", augmentation="strong")
    asked: list[tuple[int, ...]] = []
    right = ClassMap.indices

    def watched(self: ClassMap, some: Labels, **said: Any) -> Labels:
        asked.append(some.shape)
        return right(self, some, **said)

    def before(pixels: Labels, ids: Labels, *rest: Any) -> tuple[Tensor, Tensor]:
        return cut(pixels, right(classes, ids), *rest[:-1])

    with monkeypatch.context() as patched:
        patched.setattr(ClassMap, "indices", watched)
        windows = [made.window(1, i) for i in range(12)]
    assert len(asked) == 12
    assert max(height * width for height, width in asked) < labels.size / 2
    monkeypatch.setattr(task, "cut", before)
    for i, (image, target) in enumerate(windows):
        wanted = made.window(1, i)
        assert torch.equal(image, wanted[0]) and torch.equal(target, wanted[1])


def test_previews_are_of_images_that_hold_something(tmp_path: Path) -> None:
    masks = [blank() for _ in range(9)]
    for i in (4, 5, 8):
        masks[i][20:60, 20:60] = 1
    made = work([full()], masks)
    shown = [one["image"] for one in made.preview(Bright().eval(), tmp_path, 1)]
    assert shown == ["4", "5", "8"]


def test_where_too_few_images_hold_something_empty_ones_are_shown_as_well(tmp_path: Path) -> None:
    masks = [blank() for _ in range(5)]
    masks[3][20:60, 20:60] = 1
    shown = [one["image"] for one in work([full()], masks).preview(Bright().eval(), tmp_path, 1)]
    assert len(shown) == 3 and "3" in shown


def test_a_model_that_finds_all_is_measured_as_perfect() -> None:
    masks = [full(), blank()]
    masks[0][40:] = 0
    validation = work([full()], masks).validate(Bright().eval())
    assert validation.metrics["iou_micro"] == validation.metrics["iou_imagewise"] == 1
    assert [row["image"] for row in validation.images] == ["0", "1"]
    assert (
        validation.confusion is not None
        and validation.confusion[0][1] == validation.confusion[1][0] == 0
    )
