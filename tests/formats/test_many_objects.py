"""As many objects as there are in the largest images go out and come in whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_clickseg.data.annotations import Annotations, ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.formats.annotated import AnnotatedImage, annotated_record
from napari_clickseg.formats.exporting import ExportSource, export
from napari_clickseg.formats.importing import ImportChoice, import_into

if TYPE_CHECKING:
    from pathlib import Path

SIDE, CELL = 4096, 12
CLASSES = ProjectClasses(classes=(ProjectClass(id=1, name="a"), ProjectClass(id=2, name="b")))


def many_objects() -> np.ndarray:
    """Return 116,281 objects in 4,096²; every third has a hole, every fifth is in pieces."""
    labels = np.zeros((SIDE, SIDE), np.uint32)
    for number, (i, j) in enumerate(np.ndindex(SIDE // CELL, SIDE // CELL), 1):
        cell = labels[i * CELL : i * CELL + CELL, j * CELL : j * CELL + CELL]
        cell[1:10, 1 : 8 + number % 4] = number
        if number % 3 == 0:
            cell[4:6, 4:6] = 0
        if number % 5 == 0:
            cell[7] = 0
    return labels


@pytest.mark.slow
@pytest.mark.timeout(1200)  # COCO takes a minute and a half of a processor
@pytest.mark.parametrize("to", ["coco", "stardist"])  # stardist: plain TIFF
def test_a_hundred_thousand_objects_go_out_and_come_in_whole(tmp_path: Path, to: str) -> None:
    labels = many_objects()
    count = int(labels.max())
    assert count > 100_000
    (tmp_path / "images").mkdir()
    picture = tmp_path / "images" / "a.png"
    Image.fromarray((labels % 251).astype(np.uint8)).save(picture, compress_level=1)
    notes = Annotations(
        classes={one: 1 + one % 2 for one in range(1, count + 1)},
        objects={one: ObjectNote(score=one % 8 / 8) for one in range(1, count + 1, 7)},
    )
    image = AnnotatedImage("a", labels, picture, "a.png", classes=CLASSES, annotations=notes)
    out = tmp_path / ("a.json" if to == "coco" else "set")
    export([ExportSource("a", lambda: image)], to, out)
    import_into(out, tmp_path / "p", ImportChoice(to, tmp_path / "images"))
    back = read_project(tmp_path / "p")
    (record,) = back.records
    assert (read_labels(record.mask) == labels).all()
    annotated = annotated_record(record, back).annotations
    assert annotated.classes == notes.classes
    assert annotated.objects == notes.objects
