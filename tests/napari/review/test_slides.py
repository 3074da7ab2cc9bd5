"""Slides in a review: corrected where they fit into memory, and never without a word where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_clickseg._napari.formats.saved_labels import get_reader
from napari_clickseg._napari.review.reading import Reader
from napari_clickseg.data.annotations import Annotations, ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.review import TO_REVIEW, ReviewQueue
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats.annotated import AnnotatedImage
from napari_clickseg.formats.omezarr import begin_labels, finish_labels

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (1100, 60)
CLASSES = ProjectClasses(scheme="instances", classes=(ProjectClass(id=1, name="cell"),))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one image, whose prediction is OME-Zarr."""
    folder = tmp_path / "project"
    writer = ProjectWriter(folder)
    writer.set_classes(CLASSES)
    writer.add("a", np.zeros(SHAPE, np.uint8))
    queue, notes = ReviewQueue(folder), Annotations(objects={5: ObjectNote(score=0.5)})
    place = queue.place_of_slide("images/a.png")
    begin_labels(place, SHAPE, np.uint16)[10:40, 5:50] = 5
    about = AnnotatedImage("a", np.array([[5]]), classes=CLASSES, annotations=notes)
    finish_labels(place, about)
    queue.propose_slide("images/a.png", model="m", uncertainty=0.5, notes=notes)
    return folder


def test_a_slide_that_fits_into_memory_is_reviewed_as_other_images_are(
    project: Path, tmp_path: Path
) -> None:
    reader = Reader(tmp_path / "home")
    opened = reader.open(project, "images/a.png")
    opened.file.release()
    assert opened.state == TO_REVIEW
    assert (opened.shown.labels > 0).sum() == (opened.shown.labels == 5).sum() == 30 * 45
    assert opened.shown.notes.objects[5].score == 0.5


def test_what_does_not_fit_is_said_with_where_it_lies_and_is_shown_lazily_from_there(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ReviewQueue(project).place_of_slide("images/a.png")
    monkeypatch.setattr("napari_clickseg.data.images.WHOLE", 1000)
    with pytest.raises(ProjectError, match="too large to be corrected or accepted here") as error:
        Reader(tmp_path / "home").open(project, "images/a.png")
    assert str(place) in str(error.value)
    monkeypatch.setattr("napari_clickseg._napari.formats.saved_labels._SMALL", 100)
    reader = get_reader(str(place))
    assert reader is not None
    ((levels, meta, kind),) = reader(str(place))
    assert kind == "labels"
    assert [level.shape for level in levels] == [(1100, 60), (550, 30), (275, 15)]
    assert not isinstance(levels[0], np.ndarray), "read where it is looked at"
    assert list(meta["features"]["index"]) == [5]
