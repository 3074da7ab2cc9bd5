"""From a project of touching objects to a model, and on to all objects of other images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from default_model.crowds import crowd
from napari_clickseg.cli import main
from napari_clickseg.core.window import Box
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import Record, read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.engine.finding import ObjectFinder
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.formats.annotated import annotated_mask, annotated_record
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.training.finetune import finetune, resume
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

TINY: dict[str, Any] = {
    "task": "instances", "start": "scratch", "architecture": "unet", "encoder": "tu-test_resnet",
    "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}, "size": 64, "batch": 4,
    "windows": 8, "epochs": 2, "device": "cpu", "ema": 0.5,
}  # fmt: skip


def picture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of touching ellipses of two brightnesses, and its objects."""
    labels = crowd(seed, 96, 60)
    bright = np.where(labels % 2, 120, 200) * (labels > 0)
    image = gaussian_filter(30.0 + bright, 1) + np.random.default_rng(seed).normal(
        0, 5, bright.shape
    )
    return image.clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four annotated images of two classes, and one that is not annotated."""
    folder = tmp_path_factory.mktemp("data") / "cells"
    writer = ProjectWriter(folder)
    classes = (ProjectClass(id=3, name="dark"), ProjectClass(id=9, name="light"))
    writer.set_classes(ProjectClasses(scheme="instances", classes=classes))
    for seed in range(4):
        image, labels = picture(seed)
        of = {int(one): 3 if one % 2 else 9 for one in np.unique(labels) if one}
        writer.add(f"{seed}", image, labels, group=f"g{seed}", object_classes=of)
    writer.add("rest", picture(7)[0], None)
    return folder


@pytest.fixture(scope="module")
def run(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    finetune(TrainingSpec(project=str(project), **TINY), folder)
    return folder


def test_a_run_keeps_its_rules_in_the_card_and_its_figures_in_the_report(run: Path) -> None:
    card = read_card(run / "best.safetensors")
    assert card.classes == ("dark", "light") and card.class_ids == (3, 9)
    assert card.objects is not None and card.objects.span > 10 and card.outputs == 5
    figures = card.metrics["validation"]
    assert {"pq", "ap_50", "splits", "merges", "pq_pieces", "pq_dark", "pq_light"} <= figures.keys()
    report = (run / "report.md").read_text()
    assert "| Panoptic quality |" in report and "| ap_50 |" in report
    (event,) = [e for e in RunFolder(run).events()[0] if e["event"] == "help"]
    assert "the panoptic quality of an image is" in event["text"]


def test_a_run_that_was_stopped_goes_on_to_the_same_model(
    project: Path, run: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    spec = TrainingSpec(project=str(project), **TINY | {"epochs": 2})

    def after_an_epoch(event: dict[str, Any]) -> None:
        if event["event"] == "epoch" and event["epoch"] == 1:
            (again / "stop").touch()

    finetune(spec, again, on_event=after_an_epoch)
    (again / "stop").unlink(missing_ok=True)
    resume(again)
    epochs = [
        [row.split(",")[:3] for row in (one / "metrics.csv").read_text().splitlines()]
        for one in (run, again)
    ]
    assert epochs[0] == epochs[1]


def test_all_objects_of_an_image_are_written_with_classes_and_scores(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, out = tmp_path / "a.png", tmp_path / "a_mask.tif"
    iio.imwrite(image, picture(5)[0])
    model = str(run / "best.safetensors")
    words = ["predict", str(image), "--model", model, "--device", "cpu", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["objects"]
    annotated = annotated_mask(out)
    wanted = ObjectFinder.of(load_segmenter(model, "cpu"), picture(5)[0]).find()
    assert wanted is not None and np.array_equal(annotated.labels, wanted.labels)
    assert [one["id"] for one in said] == list(wanted.least_certain)
    scores = [one["score"] for one in said]
    assert scores == sorted(scores)
    rows = annotated.rows()
    assert {one["id"]: (one["class"], one["score"]) for one in said} == {
        n: (row.class_name, row.score) for n, row in rows.items()
    }
    assert main(words) == 2 and "there already" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--smallest", "100000"]) == 0
    assert "0 objects" in capsys.readouterr().out and read_labels(out).max() == 0
    assert main([*words, "--overwrite", "--positive", "3,3"]) == 2
    assert "finds all objects by itself" in capsys.readouterr().err


def test_the_rest_is_predicted_object_by_object_and_accepted_with_scores_and_classes(
    project: Path, run: Path
) -> None:
    model = str(run / "best.safetensors")
    assert main(["predict", str(project), "--rest", "--model", model, "--device", "cpu"]) == 0
    queue = ReviewQueue(project)
    (review,) = queue.waiting()
    notes = queue.notes(review)
    labels = read_labels(queue.path(review))
    assert set(notes.objects) == set(np.unique(labels)) - {0} and set(notes.classes.values()) <= {
        3,
        9,
    }
    scores = [one.score for one in notes.objects.values() if one.score is not None]
    assert review.uncertainty == pytest.approx(1 - np.mean(scores), abs=1e-3)
    record = queue.accept("images/rest.png")
    accepted = annotated_record(record, read_project(project)).rows()
    assert {n: row.score for n, row in accepted.items()} == {
        n: one.score for n, one in notes.objects.items()
    }
    assert {n: row.class_id for n, row in accepted.items()} == notes.classes
    assert isinstance(record, Record) and record.complete is None
    queue.take_back("images/rest.png", replacing=_digest(record))
    # Labels without notes, as a class model's, leave no scores of other objects behind.
    queue.propose("images/rest.png", labels > 0, model="m", uncertainty=0.5)
    assert not queue.notes(queue.waiting()[0])


def _digest(record: Record) -> str:
    from napari_clickseg.data.masks import file_digest

    return file_digest(record.mask)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 5, 32])
def test_images_of_any_number_of_channels_are_learned_and_searched_with_all_of_them(
    tmp_path: Path, channels: int
) -> None:
    writer = ProjectWriter(tmp_path / "cells")
    writer.set_classes(ProjectClasses(scheme="instances"))

    def deep(seed: int) -> np.ndarray:
        """Objects in the last channel, noise in the others."""
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 60, (96, 96, channels)).astype(np.uint16)
        image[..., -1] = picture(seed)[0]
        return image

    for seed in range(3):
        writer.add(f"{seed}", deep(seed), picture(seed)[1], rgb=False)
    spec = TrainingSpec(project=str(tmp_path / "cells"), **TINY | {"epochs": 1})
    finetune(spec, tmp_path / "run", compare=False)
    segmenter = load_segmenter(tmp_path / "run" / "best.safetensors", "cpu")
    assert segmenter.card.image_channels == max(3, channels)
    image, maps = deep(5), []
    for last in (image[..., -1], image[::-1, :, -1]):
        image[..., -1] = last.copy()
        finder = ObjectFinder.of(segmenter, image, rgb=False)
        objects = finder.find()
        assert objects is not None and objects.labels.shape == (96, 96)
        maps.append(finder.maps(Box(0, 0, 96, 96)).foreground)
    assert np.abs(maps[0] - maps[1]).max() > 1e-4, "the last channel is looked at"


def test_windows_are_drawn_as_they_will_be_learned_from(project: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "windows.png"
    settings = [f"--set={k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in TINY.items()]
    assert main(["train", str(project), "--samples", str(sheet), *settings]) == 0
    assert iio.imread(sheet).shape[0] > 200
