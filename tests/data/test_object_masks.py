"""Masks read object by object, and what counts as unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.index import read_table
from napari_clickseg.data.object_masks import counts_as_complete, read_object_mask
from napari_clickseg.data.project import ProjectError, Record, read_project
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

MASK = np.array([[0, 7, 7, 0], [0, 255, 3, 3], [7, 0, 0, 3]], np.uint8)
CLICK = {"y": 0, "x": 1, "positive": True, "object": 7}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("images", "masks", "clicks"):
        (tmp_path / folder).mkdir()
    iio.imwrite(tmp_path / "images/a.png", np.zeros((3, 4), np.uint8))
    iio.imwrite(tmp_path / "masks/a.png", MASK)
    return tmp_path


def record(folder: Path, complete: str = "", notes: dict[str, Any] | None = None) -> Record:
    (folder / "index.csv").write_text(f"image,mask,complete\nimages/a.png,masks/a.png,{complete}\n")
    if notes is not None:
        (folder / "clicks/a.json").write_text(json.dumps(notes))
    (only,) = read_project(folder).records
    return only


def test_objects_are_ids_or_pieces_of_classes(project: Path) -> None:
    one = record(project)
    mask = read_object_mask(one, by_class=False, ignore=255)
    assert mask.objects.tolist() == [[0, 1, 1, 0], [0, 0, 2, 2], [1, 0, 0, 2]]
    assert mask.classes.tolist() == [0, 0]
    mask = read_object_mask(one, by_class=True, ignore=255)
    assert mask.objects.tolist() == [[0, 1, 1, 0], [0, 0, 2, 2], [3, 0, 0, 2]]
    assert mask.classes.tolist() == [7, 3, 7]
    assert np.array_equal(mask.unknown, MASK == 255)


def test_ids_beyond_sixteen_bits_are_objects_like_others(project: Path) -> None:
    iio.imwrite(project / "masks/a.tif", MASK.astype(np.uint32) * 70_000)
    (project / "index.csv").write_text("image,mask\nimages/a.png,masks/a.tif\n")
    (one,) = read_project(project).records
    assert read_object_mask(one, by_class=False).objects.max() == 3


def test_the_class_of_an_object_comes_from_the_project(project: Path) -> None:
    mask = read_object_mask(record(project, notes={"classes": {"3": 2}}), by_class=False)
    assert mask.classes.tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("said", "notes", "complete"),
    [
        ("", None, True),
        ("", {"classes": {"3": 1}}, True),
        ("", {"clicks": [CLICK]}, False),
        ("yes", {"clicks": [CLICK]}, True),
        ("No", None, False),
        ("TRUE", {"clicks": [CLICK]}, True),
    ],
)
def test_what_is_not_labelled_is_background_where_the_project_says_so_or_nobody_clicked(
    project: Path, said: str, notes: dict[str, Any] | None, complete: bool
) -> None:
    one = record(project, said, notes)
    assert counts_as_complete(one) is complete
    mask = read_object_mask(one, by_class=False, ignore=255)
    assert np.array_equal(mask.unknown, (MASK == 255) | ((MASK == 0) & (not complete)))


def test_a_word_that_is_neither_yes_nor_no_is_named_and_counts_as_not_said(project: Path) -> None:
    assert record(project, "perhaps").complete is None
    (said,) = read_project(project).left_out
    assert said == (
        "index.csv, line 2: complete is 'perhaps'; write yes, no or nothing. It counts as not said."
    )


def test_an_image_is_marked_as_complete_and_nothing_else_changes(project: Path) -> None:
    (project / "index.csv").write_text("image,mask,mine\nimages/a.png,masks/a.png,kept\n")
    writer = ProjectWriter(project)
    for said, text in ((True, "yes"), (False, "no"), (None, "")):
        writer.mark_complete("images/a.png", said)
        (row,) = read_table(project / "index.csv").rows
        assert dict(row.more) == {"mine": "kept", "complete": text}
        assert read_project(project).records[0].complete is said
    writer.mark_complete("images/a.png", True)
    labels = np.ones((3, 4), np.uint8)
    digest = writer.entry("images/a.png")
    assert isinstance(digest, Record) and digest.complete
    writer.add("a", np.zeros((3, 4), np.uint8), labels)
    assert read_project(project).records[0].complete
    with pytest.raises(ProjectError, match="no image"):
        writer.mark_complete("images/b.png", True)


def test_broken_clicks_are_said_with_their_file(project: Path) -> None:
    one = record(project, notes={"clicks": "none"})
    with pytest.raises(ImageError, match=r"a\.json"):
        read_object_mask(one, by_class=False)
