"""What the ids mean, and what is known of objects beyond their pixels."""

import json
import re
from pathlib import Path

import pytest

from napari_clickseg.data.annotations import Annotations, ProjectClick, read_clicks
from napari_clickseg.data.classes import ProjectClass, ProjectClasses, read_classes
from napari_clickseg.data.errors import ProjectError

CLASSES = ProjectClasses(
    scheme="classes",
    classes=(
        ProjectClass(id=1, name="mother", colour="#ff0000"),
        ProjectClass(id=7, name="bud", colour="#00FF00"),
    ),
    ignore=255,
)
ANNOTATIONS = Annotations(
    clicks=(ProjectClick(y=1.5, x=-0.25, object=3), ProjectClick(y=2, x=3, positive=False)),
    classes={3: 1},
)


def test_classes_are_read_as_they_were_written(tmp_path):
    assert read_classes(tmp_path) is None
    (tmp_path / "classes.json").write_text(CLASSES.to_json())
    assert read_classes(tmp_path) == CLASSES
    assert json.loads(CLASSES.to_json())["schema_version"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"schema_version": 2}', "has version 2, this program knows up to 1; update"),
        ('{"scheme": "colours"}', r"not valid \(scheme"),
        ('{"classes": [{"id": 0, "name": "a"}]}', r"not valid \(classes.0.id"),
        ('{"classes": [{"id": 1, "name": "a", "colour": "red"}]}', "classes.0.colour"),
        ('{"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "the same id"),
        (
            '{"scheme": "classes", "classes": [{"id": 1, "name": "a"}], "ignore": 1}',
            "to be ignored at once",
        ),
    ],
)
def test_what_are_no_classes_is_said_in_one_line(tmp_path, text, message):
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(ProjectError, match=message) as caught:
        read_classes(tmp_path)
    assert "\n" not in str(caught.value)
    assert "classes.json" in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "classes.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ProjectError, match="cannot be read"):
        read_classes(tmp_path)


def test_clicks_are_read_as_they_were_written(tmp_path):
    (tmp_path / "a.json").write_text(ANNOTATIONS.to_json())
    assert read_clicks(tmp_path / "a.json") == ANNOTATIONS
    assert ANNOTATIONS and not Annotations()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as clicks"),
        ('{"schema_version": 9}', "has version 9"),
        ('{"clicks": [{"y": 1}]}', r"not valid \(clicks.0.x"),
        ('{"clicks": [{"y": NaN, "x": 1}]}', r"not valid \(clicks.0.y"),
    ],
)
def test_what_are_no_clicks_is_said_in_one_line(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ProjectError, match=message):
        read_clicks(tmp_path / "a.json")


def test_the_documentation_s_examples_are_valid(tmp_path):
    text = (Path(__file__).parents[2] / "docs/project-folder.md").read_text()
    classes, clicks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert ProjectClasses.from_json(classes).ignore == 255
    (tmp_path / "a.json").write_text(clicks)
    assert read_clicks(tmp_path / "a.json").classes == {3: 1}
