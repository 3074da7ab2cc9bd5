"""What models that tell objects apart learn from, and how they are measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from default_model.crowds import crowd
from napari_clickseg.core.instances.distances import object_distances
from napari_clickseg.data.inspection.findings import inspect_project
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.data.sets.dataset import IGNORED, ClassMap
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.evaluation.matching import match
from napari_clickseg.models.card import ModelCard, ObjectsSpec, WindowSpec
from napari_clickseg.training import defaults
from napari_clickseg.training.instances.object_samples import CLASSLESS, STEPS, object_reader
from napari_clickseg.training.instances.scoring import measured_objects, smallest_candidates
from napari_clickseg.training.instances.task import InstanceWork
from napari_clickseg.training.loop.work import Batch, TrainingError
from napari_clickseg.training.prepare import prepare
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.data.annotations import ProjectClick

BLOCK = np.pad(np.ones((9, 9), np.uint8), 9)


class Told(nn.Module):
    """Answers what the image's channels say: foreground, edge and middle; objects not so sure."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, x: Tensor) -> Tensor:
        distances = torch.logit(x[:, 1:3].clamp(1e-4, 1 - 1e-4))
        return torch.cat([self.scale * (x[:, :1] - 0.25), distances], 1)


def project(
    folder: Path,
    masks: list[Any],
    *,
    classes: dict[int, int] | None = None,
    clicks: tuple[ProjectClick, ...] = (),
) -> Path:
    """Make a project whose images show what is to be answered, as `Told` reads it."""
    writer = ProjectWriter(folder)
    for i, mask in enumerate(masks):
        shown = np.concatenate([(mask > 0)[None] * 0.5, object_distances(mask)])
        image = (shown * 255).round().astype(np.uint8).transpose(1, 2, 0)
        image[0, 0], image[-1, -1] = 0, 255  # the range of intensities
        notes = {"object_classes": classes or {}, "clicks": clicks}
        writer.add(f"{i}", image, mask, group=f"g{i}", really_empty=True, **notes)
    return folder


def spec_of(folder: Path, **fields: Any) -> TrainingSpec:
    known: dict[str, Any] = {"project": str(folder), "task": "instances", "scheme": "instances"}
    return TrainingSpec.model_validate(known | {"size": 64, "batch": 4, "windows": 8} | fields)


def work_of(folder: Path, **fields: Any) -> InstanceWork:
    prepared = prepare(spec_of(folder, augmentation="none", **fields))
    card = ModelCard(
        name="a", architecture="unet", encoder="none", encoding="image", schema_version=2,
        automatic=True, classes=prepared.classes.names, objects=ObjectsSpec(span=26),
        window=WindowSpec(size=64, zoom=1.0),
    )  # fmt: skip
    return InstanceWork(
        prepared.spec, card, prepared.training, prepared.validation, prepared.classes
    )


@pytest.fixture(scope="module")
def crowds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowds") / "project"
    return project(folder, [crowd(i, 110, 200) for i in range(3)])


def test_what_is_learned_of_a_window_are_classes_and_distances(crowds: Path) -> None:
    work = work_of(crowds)
    image, planes = work.window(1, 0)
    assert planes.shape == (3, 64, 64) and set(planes[0].unique().tolist()) <= {0, 1}
    inside = planes[0] == 1
    # The image shows the same distances, so window and target are cut alike.
    off = (image[1:] - planes[1:] / STEPS).abs()
    assert off[:, inside].max() < 0.01 and (planes[1:, ~inside] == 0).all()


def test_a_network_that_answers_the_truth_has_the_least_loss(crowds: Path) -> None:
    work = work_of(crowds)
    (batch,) = [next(iter(work.batches(1)))]
    right = Told()(batch.inputs)
    flat = torch.cat([right[:, :1], torch.zeros_like(right[:, 1:])], 1)
    assert work.loss(right, batch) < 0.15 < work.loss(flat, batch)


def test_unknown_pixels_and_those_outside_carry_no_loss(crowds: Path) -> None:
    work = work_of(crowds)
    batch = next(iter(work.batches(1)))
    hidden = torch.zeros(batch.target[:, :1].shape, dtype=torch.bool)
    hidden[..., :30, :] = True
    target = batch.target.masked_fill(hidden, IGNORED)
    answer = Told()(batch.inputs).detach()
    other = torch.where(hidden, torch.randn_like(answer) * 5, answer)
    losses = [work.loss(one, Batch(batch.inputs, target)) for one in (answer, other)]
    assert torch.allclose(losses[0], losses[1], atol=1e-5)


def test_objects_without_a_class_teach_their_shape_and_no_class(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5:15, 5:15], mask[5:15, 15:25], mask[25:35, 5:15] = 1, 2, 3
    folder = project(tmp_path / "p", [mask, mask], classes={1: 1, 2: 2})
    read = object_reader(ClassMap(((1,), (2,)), ("a", "b")), by_class=False)
    sample = read(read_project(folder).records[0])
    assert [sample.planes[0][at] for at in ((8, 8), (8, 20), (30, 8))] == [1, 2, CLASSLESS]
    assert sample.classes.tolist() == [1, 2, 0] and sample.planes[1].max() == STEPS
    work = work_of(folder)
    target = torch.from_numpy(sample.planes).long()[None, :, :32, :32]
    logits = torch.zeros(1, 5, 32, 32)
    other = logits.clone()
    other[:, :3, 25:35, 5:15] = 7.0 * torch.arange(3)[None, :, None, None]
    of = [work.loss(one, Batch(logits, target)) for one in (logits, other)]
    assert torch.allclose(of[0], of[1], atol=1e-5)


def test_classes_that_are_not_asked_for_are_background(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5:15, 5:15], mask[5:15, 15:25] = 1, 2
    folder = project(tmp_path / "p", [mask], classes={1: 1, 2: 2})
    read = object_reader(ClassMap(((2,),), ("b",)), by_class=False)
    sample = read(read_project(folder).records[0])
    assert sample.labels[8, 8] == 0 and sample.labels[8, 20] == 1
    assert sample.planes[:, 8, 8].tolist() == [0, 0, 0]


def test_a_network_that_answers_the_truth_is_measured_as_nearly_perfect_and_chooses_its_rules(
    crowds: Path,
) -> None:
    work = work_of(crowds)
    validation = work.validate(Told().eval())
    assert validation.metrics["pq"] > 0.9 > 0.5 > validation.metrics["pq_pieces"]
    assert list(validation.images[0])[-1] == "pq" and validation.loss < 1
    kept = validation.chosen["objects"]
    assert kept.smallest in smallest_candidates(work.learned_from)
    card = work.card.model_copy(update=validation.chosen)
    again = measured_objects(
        Segmenter(Told().eval(), card, device="cpu", half=False), work.validated_on
    )
    assert again.metrics["pq"] == pytest.approx(validation.metrics["pq"], abs=0.02)
    assert again.chosen == {}


def test_specks_that_are_found_are_told_from_objects_by_their_size(tmp_path: Path) -> None:
    masks = [crowd(i, 110, 200) for i in range(2)]
    folder = project(tmp_path / "p", masks)
    record = read_project(folder).records
    for one in record:  # specks in the image that nobody labelled
        image = iio.imread(one.image)
        free = np.argwhere(image[..., 0] == 0)[::97]
        image[free[:, 0], free[:, 1]] = 255 // 2
        iio.imwrite(one.image, image)
    validation = work_of(folder).validate(Told().eval())
    assert validation.chosen["objects"].smallest > 1 and validation.metrics["pq"] > 0.85


def test_previews_are_label_maps_of_objects(crowds: Path, tmp_path: Path) -> None:
    work = work_of(crowds)
    (file,) = work.preview(Told().eval(), tmp_path / "previews", 1)
    labels = read_labels(tmp_path / file["prediction"])
    truth = read_labels(crowds / file["truth"])
    assert match(labels, truth).pq > 0.85


def test_shown_windows_have_gaps_between_objects_that_touch(crowds: Path) -> None:
    shown = work_of(crowds).first_windows(2)
    assert all(target.shape == (64, 64) for _, target in shown)
    assert any((target == 1).any() for _, target in shown)


# ---- what a project says


def checked(folder: Path, **fields: Any) -> tuple[str, ...]:
    return prepare(spec_of(folder, **fields)).warnings


def test_what_is_assumed_of_images_that_do_not_say_whether_they_are_complete_is_said(
    tmp_path: Path,
) -> None:
    from napari_clickseg.data.annotations import ProjectClick

    click = ProjectClick(y=1, x=1, object=1)
    clicked = project(tmp_path / "p", [crowd(i, 60, 30) for i in range(4)], clicks=(click,))
    with pytest.raises(TrainingError, match="complete: yes"):
        checked(clicked)
    writer = ProjectWriter(clicked)
    for record in read_project(clicked).records[:3]:
        writer.mark_complete(record.name, True)
    (said,) = [text for text in checked(clicked) if "annotated by clicks" in text]
    assert said.startswith("1 image was annotated by clicks (images/3.png)")
    free = project(tmp_path / "q", [crowd(i, 60, 30) for i in range(3)])
    assert any("count as complete" in text for text in checked(free))
    prepared = prepare(spec_of(clicked))
    read = object_reader(prepared.classes, by_class=False)
    samples = [read(record) for record in read_project(clicked).records]
    assert [bool(one.unknown.any()) for one in samples] == [False, False, False, True]
    assert not samples[3].unknown[samples[3].labels > 0].any()


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_of_partly_annotated_images_it_is_said_what_other_tasks_learn(
    tmp_path: Path, task: str
) -> None:
    from napari_clickseg.data.annotations import ProjectClick

    click = ProjectClick(y=1, x=1, object=1)
    folder = project(tmp_path / "p", [crowd(i, 60, 30) for i in range(4)], clicks=(click,))
    silent = checked(folder, task=task)
    assert any("4 images were annotated by clicks" in text for text in silent)
    writer = ProjectWriter(folder)
    for record in read_project(folder).records:
        writer.mark_complete(record.name, False)
    with pytest.raises(TrainingError, match="No image to train on is complete"):
        checked(folder, task=task)
    for record in read_project(folder).records[:3]:
        writer.mark_complete(record.name, True)
    (said,) = [text for text in checked(folder, task=task) if "complete" in text]
    assert said.startswith("1 image is not complete (images/3.png), so what is not labelled")


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        ([BLOCK, 0 * BLOCK], "so there is nothing to train on"),
        ([np.diag(np.arange(30, dtype=np.uint8))] * 2, "have 1 pixels"),
    ],
)
def test_what_can_not_be_told_apart_is_refused_in_a_line(
    tmp_path: Path, masks: list[Any], says: str
) -> None:
    folder = project(tmp_path / "p", masks)
    with pytest.raises(TrainingError, match=says) as refused:
        checked(folder)
    assert "\n" not in str(refused.value)


def test_odd_masks_are_named(tmp_path: Path) -> None:
    masks = [crowd(i, 90, 40).astype(np.uint8) for i in range(3)]
    masks[0][:9, :9], masks[1][0, 0] = 255, 200
    said = " ".join(checked(project(tmp_path / "p", masks)))
    assert "images/0.png the id 255 stands alone" in said
    assert "1 object has fewer than 4 pixels (images/1.png)" in said
    black = [(crowd(i, 90, 40) > 0).astype(np.uint8) * 255 for i in range(3)]
    assert any(
        "each connected piece" in text
        for text in checked(project(tmp_path / "q", black), scheme="auto")
    )


def alone(value: int) -> Any:
    mask = np.zeros((60, 60), np.int32)
    mask[10:30, 12:40] = value
    return mask


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([alone(1), alone(1)], "images/0.png, images/1.png hold one object each"),
        ([alone(255), alone(255)], "images/0.png, images/1.png hold one object each"),
        ([np.arange(1, 17).reshape(4, 4).repeat(15, 0).repeat(15, 1)] * 2, "none is background"),
    ],
    ids=["one object", "255 alone", "touching everything"],
)
def test_masks_that_teach_little_of_telling_apart_are_learned_and_it_is_said(
    tmp_path: Path, masks: list[Any], said: str
) -> None:
    assert any(said in text for text in checked(project(tmp_path / "p", masks)))


def test_ids_beyond_16_bits_are_ids_like_any_others(tmp_path: Path) -> None:
    labels = crowd(0, 90, 40).astype(np.int32)
    masks = [np.where(labels > 0, labels * 100_000 + i, 0) for i in range(3)]
    folder = project(tmp_path / "p", masks)
    assert not any("one object each" in text for text in checked(folder))
    read = object_reader(prepare(spec_of(folder)).classes, by_class=False)
    for record in read_project(folder).records:
        assert read(record).labels.max() == len(np.unique(labels)) - 1


def test_a_class_without_objects_and_objects_without_a_class_are_said(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", [crowd(i, 90, 40) for i in range(3)], classes={1: 1, 2: 2})
    text = (
        '{"schema_version": 1, "scheme": "instances", "classes": [{"id": 1, "name": "cell"}, '
        '{"id": 2, "name": "bud"}, {"id": 3, "name": "spore"}]}'
    )
    (folder / "classes.json").write_text(text)
    prepared = prepare(spec_of(folder))
    assert prepared.classes.names == ("cell", "bud") and prepared.spec.classes == (1, 2)
    said = " ".join(prepared.warnings)
    assert "no class" in said and "Of spore no object is labelled" in said
    with pytest.raises(TrainingError, match="no object is of class 7"):
        prepare(spec_of(folder, classes=(7,)))


@pytest.mark.parametrize(("span", "zoom"), [(8, 3.0), (12, 2.0), (40, 1.0), (300, 64 / 300)])
def test_the_size_of_objects_sets_the_zoom(tmp_path: Path, span: int, zoom: float) -> None:
    mask = np.zeros((2 * span + 9, 2 * span + 9), np.uint8)
    mask[2 : span + 2, 2 : span + 2] = 1
    mask[span + 2 : 2 * span + 2, 2 : span + 2] = 2
    findings = inspect_project(read_project(project(tmp_path / "p", [mask, mask])))
    spec = defaults.completed(spec_of(tmp_path / "p", size=0), findings)
    assert defaults.zoom(spec, findings) == pytest.approx(zoom)
    assert defaults.large_span(replace(findings, scheme="instances")) == span
