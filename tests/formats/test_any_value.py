"""Whatever stands in a file of another program, it is read or refused in a line."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.formats.annotated import FormatError
from napari_clickseg.formats.external_objects import drawn
from napari_clickseg.formats.importing import ImportChoice, read_annotations
from napari_clickseg.formats.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANY: tuple[Any, ...] = (
    None, -1, 1.5, 10**30, 10**400, float("nan"), float("inf"), "", "\ud800", "a\nb\"", "z" * 3000,
    [None], {"a": 1}, [[[]]],
)  # fmt: skip
RING = [[2, 2], [8, 2], [8, 8], [2, 8], [2, 2]]
FILES: dict[str, dict[str, Any]] = {
    "coco": {
        "images": [
            {"id": 1, "file_name": "a.png", "height": 20, "width": 30, "group": "g",
             "split": "val", "pixel_size": {"y": 1, "x": 1, "unit": "µm"}},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[2, 2, 8, 2, 8, 8]],
             "iscrowd": 0, "object": 3, "score": 0.5, "clicks": 2, "model": "m"},
            {"id": 2, "image_id": 1, "category_id": 1, "iscrowd": 1,
             "segmentation": {"size": [20, 30], "counts": [400, 5, 195]}},
        ],
        "categories": [{"id": 1, "name": "cell", "color": [1, 2, 3]}],
    },
    "geojson": {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [RING]},
             "properties": {
                 "measurements": {"Score": 0.5, "Clicks": 2},
                 "classification": {"name": "cell", "color": [1, 2, 3]},
                 "metadata": {"clickseg id": "3", "clickseg class": "1", "clickseg model": "m"}}},
            {"type": "Feature",
             "geometry": {
                 "type": "MultiPolygon", "coordinates": [[[[12, 12], [18, 12], [18, 18]]]]},
             "properties": {"classification": {"names": ["a", "b"], "colorRGB": -377282}}},
        ],
    },
    "labelme": {
        "shapes": [
            {"label": "cell", "points": RING[:4], "group_id": 3, "shape_type": "polygon",
             "description": '{"score": 0.5}', "mask": None},
            {"label": "b", "points": [[10, 10], [12, 12]], "shape_type": "mask", "mask": "iVBO"},
        ],
        "imagePath": "a.png", "imageHeight": 20, "imageWidth": 30,
        "clickseg": {"classes": [{"id": 1, "name": "cell", "colour": "#ff0000"}], "ignore": 9},
    },
}  # fmt: skip


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value in a document, of lists the first two."""
    yield before
    inside = (
        list(value)
        if isinstance(value, dict)
        else range(min(len(value), 2))
        if isinstance(value, list)
        else ()
    )
    for key in inside:
        yield from _places(value[key], (*before, key))


def _put(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(document)
    inside = changed
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return changed


@pytest.mark.parametrize("form", FILES)
def test_any_value_at_any_place_is_read_or_refused_in_a_line(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("a.geojson" if form == "geojson" else "a.json")
    for place in _places(FILES[form]):
        for value in ANY:
            path.write_text(json.dumps(_put(FILES[form], place, value)))
            for line in _lines(path, form):
                assert line.isprintable(), (place, value)
                assert len(line) < 1200, (place, value)


def _lines(path: Path, form: str) -> list[str]:
    """Read a file and draw what it tells of; return what is said of it."""
    lines: list[str] = []
    problems = Problems(skip=True, note=lines.append)
    try:
        file = read_annotations(path, ImportChoice(form), problems)
        for image in file.images:
            drawn(image, (20, 30), 255, problems)
    except (FormatError, ProjectError) as error:
        lines.append(str(error))
    return lines
