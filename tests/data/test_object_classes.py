"""Where masks hold objects and the project says their classes, classes can be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.annotations import ProjectClick
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.index import INDEX
from napari_clickseg.data.inspection.findings import inspect_project
from napari_clickseg.data.object_classes import by_classes, read_mask
from napari_clickseg.data.project import read_project
from napari_clickseg.data.sets.dataset import read_sample
from napari_clickseg.data.sets.derived import write_derived
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.training.prepare import prepare
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ProjectClasses(
    classes=(ProjectClass(id=1, name="round"), ProjectClass(id=2, name="long"))
)


def objects() -> np.ndarray:
    """Three objects: 1 and 3 are of the one class, 2 of the other."""
    mask = np.zeros((64, 80), np.uint16)
    for value, left in ((1, 5), (2, 30), (3, 55)):
        mask[10:30, left : left + 15] = value
    return mask


@pytest.fixture
def project(tmp_path: Path) -> Path:
    writer = ProjectWriter(tmp_path / "p")
    for number in range(4):
        writer.add(
            f"image {number}",
            np.random.default_rng(number).integers(0, 255, (64, 80), np.uint8),
            objects(),
            group=f"g{number}",
            clicks=[ProjectClick(y=20, x=10, object=1)],
            object_classes={1: 1, 2: 2, 3: 1},
            classes=CLASSES,
        )
    return tmp_path / "p"


def spec(project: Path, task: str, **fields: object) -> TrainingSpec:
    return TrainingSpec.model_validate({"project": str(project), "task": task} | fields)


def test_the_mask_of_classes_holds_each_objects_class(project: Path) -> None:
    record = by_classes(read_project(project)).records[0]
    there = objects()
    expected = np.select([there == 1, there == 2, there == 3], [1, 2, 1], 0)
    np.testing.assert_array_equal(read_mask(record), expected)
    np.testing.assert_array_equal(read_sample(record).labels, expected)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_two_classes_of_objects_are_learned_as_two_classes(project: Path, task: str) -> None:
    prepared = prepare(spec(project, task))
    assert prepared.classes.names == ("round", "long")
    assert {1, 2} == set(np.unique(prepared.training[0].labels)) - {0}
    assert not any("one class" in text for text in prepared.warnings)


def test_one_class_alone_can_be_learned(project: Path) -> None:
    prepared = prepare(spec(project, "binary", classes=(2,)))
    assert prepared.classes.names == ("long",)
    indices = prepared.classes.indices(prepared.training[0].labels)
    np.testing.assert_array_equal(indices == 1, objects() == 2)


def test_clicks_are_learned_on_objects_whatever_their_class(project: Path) -> None:
    prepared = prepare(spec(project, "click"))
    assert set(np.unique(prepared.training[0].labels)) == {0, 1, 2, 3}


def test_objects_without_a_class_are_neither_a_class_nor_background(project: Path) -> None:
    clicks = next((project / "clicks").glob("*0.json"))
    clicks.write_text('{"classes": {"1": 1, "2": 2}}')
    findings = inspect_project(by_classes(read_project(project)))
    (told,) = [problem for problem in findings.problems if problem.kind == "classless"]
    assert told.text.startswith("1 object has no class") and not told.fatal
    prepared = prepare(spec(project, "multiclass"))
    samples = [*prepared.training.records, *prepared.validation.records]
    record = next(record for record in samples if record.name.endswith("0.png"))
    indices = prepared.classes.indices(read_sample(record).labels)
    assert (indices[objects() == 3] == 255).all() and (indices[objects() == 0] == 0).all()


def test_it_is_said_where_objects_have_no_classes_to_tell_apart(project: Path) -> None:
    for clicks in (project / "clicks").iterdir():
        clicks.unlink()
    prepared = prepare(spec(project, "multiclass"))
    assert prepared.classes.names == ("foreground",)
    assert any("learned as one class" in text for text in prepared.warnings)


def test_a_table_of_another_projects_images_knows_their_objects_classes(
    project: Path, tmp_path: Path
) -> None:
    known = read_project(project)
    write_derived(tmp_path / "split", known, known.records, ["training"] * 3 + ["validation"])
    prepared = prepare(spec(tmp_path / "split" / INDEX, "multiclass"))
    assert prepared.classes.names == ("round", "long")


def test_clicks_that_cannot_be_read_stop_the_training_of_classes(project: Path) -> None:
    record = by_classes(read_project(project)).records[0]
    assert record.clicks is not None
    record.clicks.write_text("{")
    with pytest.raises(ImageError, match="mend it"):
        read_mask(record)
