"""What is said of a project before training: what is there, and what will not work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_clickseg.data.inspection.findings import inspect_project, measure
from napari_clickseg.data.inspection.summary import summarise
from napari_clickseg.data.project import read_project

if TYPE_CHECKING:
    from pathlib import Path

    from napari_clickseg.data.inspection.facts import Findings

H, W = 24, 32


def image(seed: int = 0, *channels: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (H, W, *channels)).astype(np.uint8)


def labels(*ids: int) -> np.ndarray:
    """A label map with a block of 4 × 6 pixels of each id."""
    out = np.zeros((H, W), np.uint8)
    for at, identifier in enumerate(ids):
        out[2 + 5 * (at // 4) : 6 + 5 * (at // 4), 1 + 8 * (at % 4) : 7 + 8 * (at % 4)] = identifier
    return out


def project(folder: Path, *rows: tuple[Any, Any, str] | tuple[Any, Any, str, str]) -> Path:
    """Write a project of images, masks, groups (and splits)."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    lines = ["image,mask,group,split"]
    for i, (pixels, mask, group, *split) in enumerate(rows):
        if pixels.dtype == np.uint8:
            name = f"images/{i}.png"
            iio.imwrite(folder / name, pixels)
        else:
            name = f"images/{i}.tif"
            contig = {"planarconfig": "contig", "metadata": {"axes": "YXC"}}
            options: Any = contig if pixels.ndim == 3 else {}
            tifffile.imwrite(folder / name, pixels, photometric="minisblack", **options)
        if mask is not None:
            iio.imwrite(folder / f"masks/{i}.png", mask)
        lines.append(
            f"{name},{f'masks/{i}.png' if mask is not None else ''},{group},{''.join(split)}"
        )
    (folder / "index.csv").write_text("\n".join(lines))
    return folder


def inspect(folder: Path) -> Findings:
    findings = inspect_project(read_project(folder))
    assert all("\n" not in problem.text for problem in findings.problems)
    assert list(findings.problems) == [*findings.fatal, *findings.warnings]
    assert all(problem.text in summarise(findings) for problem in findings.problems)
    return findings


def test_what_is_there_is_told_in_words(tmp_path: Path) -> None:
    project(
        tmp_path,
        (image(0), labels(1, 2), "a"),
        (image(1), labels(1), "b"),
        (image(2), labels(2, 2), "c"),
        (image(3), labels(), "c"),
        (image(4), None, "d"),
    )
    calls: list[tuple[int, int]] = []
    findings = inspect_project(read_project(tmp_path), lambda *at: calls.append(at))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert findings.problems == ()
    assert findings.shapes == {(H, W): 4}
    assert findings.dtypes == {"uint8": 4}
    assert findings.channels == {1: 4}
    assert findings.groups == {"a": 1, "b": 1, "c": 2}
    assert findings.pixels == {1: 48, 2: 72}
    assert findings.scheme == "classes"
    assert findings.spans == (6,) * 5
    assert findings.empties == ("images/3.png",)
    assert findings.share == pytest.approx(120 / (4 * H * W))
    assert summarise(findings).splitlines() == [
        "4 annotated images in 3 groups, 1 not annotated yet.",
        "Images: 24 × 32 pixels (height × width), grey, uint8.",
        "Masks: ids are classes, as it seems: 1 1.6% of the pixels, in 2 images; 2 2.3% of the "
        "pixels, in 2 images.",
        "5 objects, about 6 pixels across (6 to 6).",
        "1 mask is empty: there is really nothing in images/3.png.",
    ]


def test_ids_that_differ_from_image_to_image_are_objects(tmp_path: Path) -> None:
    project(tmp_path, (image(0), labels(1, 2, 3), "a"), (image(1), labels(1, 2, 3, 4, 5, 6), "b"))
    findings = inspect(tmp_path)
    assert findings.scheme == "instances"
    assert findings.objects == 9
    assert "each object has an id of its own, as it seems" in summarise(findings)


def test_classes_json_says_what_ids_mean(tmp_path: Path) -> None:
    unknown = labels(1, 2)
    unknown[-2:] = 255
    project(tmp_path, (image(0), unknown, "a"), (image(1), labels(1, 9), "b"))
    classes = [{"id": i, "name": name} for i, name in ((1, "cell"), (2, "bud"), (3, "scar"))]
    text = {"scheme": "classes", "classes": classes, "ignore": 255}
    (tmp_path / "classes.json").write_text(json.dumps(text))
    findings = inspect(tmp_path)
    assert findings.pixels == {1: 48, 2: 24, 9: 24}
    assert findings.images[0].ignored == 2 * W
    assert "cell 3.3% of the pixels" in summarise(findings)
    texts = [problem.text for problem in findings.problems if problem.kind == "ids"]
    assert texts == [
        "The id 9 in the masks are not in classes.json; they count as classes without a name.",
        "Of scar nothing is annotated, so it can't be learnt.",
    ]


FINE = [(image(0), labels(1, 2), "a"), (image(1), labels(1, 2), "b")]


@pytest.mark.parametrize(
    ("rows", "kind", "fatal", "text"),
    [
        ([(image(0), None, "a")], "no_annotation", True, "No pixel is annotated anywhere"),
        ([(image(0), labels(), "a")] * 2, "no_annotation", True, "outline some objects first"),
        ([(image(0), labels(1), "a")], "one_image", True, "annotate another one"),
        (
            [(image(0), labels(1), "a"), (image(1), labels(), "b")],
            "one_group",
            True,
            "All that is annotated is in a,",
        ),
        (
            [(image(0), labels(1), ""), (image(1), labels(), "")],
            "one_group",
            True,
            "is in images/0.png,",
        ),
        (
            [(image(0), labels(1)[:-1], "a"), *FINE],
            "size",
            True,
            "images/0.png is 24 × 32 pixels, its mask 23 × 32",
        ),
        (
            [*FINE, (image(2), labels(1, 3, 3), "b")],
            "class_in_one_group",
            True,
            "class 3 is in b only",
        ),
        (
            [*FINE, (image(2).astype(np.uint16)[..., None].repeat(2, 2), labels(1), "c")],
            "channels",
            True,
            "a model takes one number of channels",
        ),
        ([*FINE, (image(2, 3), labels(1), "c")], "channels", False, "grey ones are used as colour"),
        ([*FINE, (image(2).astype(np.uint16), labels(1), "c")], "dtypes", False, "uint8 (2) and"),
        ([(i, m, "") for i, m, _ in FINE], "ungrouped", False, "the same patient, specimen"),
        ([*FINE, (image(2), labels(1), "")], "ungrouped", False, "1 image has no group"),
        ([(i, m, "p") for i, m, _ in FINE], "leak", False, "All images are of one group (p)"),
        (
            [
                (image(0), labels(1), "a", "training"),
                (image(1), labels(1), "a", "validation"),
                (image(2), labels(1), "b", "test"),
            ],
            "leak",
            False,
            "1 group is in more than one split (a)",
        ),
        (
            [(image(0), labels(1), "a", "test"), (image(1), labels(1), "b", "validation")],
            "split",
            True,
            "No image is left to train on",
        ),
        (
            [
                (image(0), labels(1), "a", ""),
                (image(1), labels(1), "b", "test"),
                (image(2), labels(), "c", "validation"),
            ],
            "split",
            True,
            "labelled in the images to validate on (images/2.png); annotate another group",
        ),
        (
            [
                (image(0), labels(), "a", "training"),
                (image(1), labels(1), "b", "test"),
                (image(2), labels(1), "c", "validation"),
            ],
            "split",
            True,
            "labelled in the images to train on (images/0.png)",
        ),
        (
            [(image(i), labels(1, 255), str(i)) for i in range(2)],
            "ids",
            False,
            'write "ignore": 255',
        ),
        ([*FINE, (image(0), labels(1), "c")], "duplicates", False, "are the same image"),
        (
            [*FINE, *((image(i), labels(), "d") for i in range(5, 10))],
            "empty",
            False,
            "5 of 7 masks are empty",
        ),
        ([*FINE, (image(2), image(0, 3), "c")], "unreadable", True, "holds colours, not ids"),
    ],
)
def test_what_will_not_work_is_said_before(
    tmp_path: Path, rows: list[Any], kind: str, fatal: bool, text: str
) -> None:
    findings = inspect(project(tmp_path, *rows))
    (problem,) = [problem for problem in findings.problems if problem.kind == kind]
    assert problem.fatal == fatal
    assert text in problem.text
    assert [p.kind for p in findings.problems if p.fatal] == ([kind] if fatal else [])


def test_a_class_in_one_group_stops_only_where_classes_are_told_apart(tmp_path: Path) -> None:
    findings = inspect(project(tmp_path, *FINE, (image(2), labels(1, 3, 3), "b")))
    assert [problem.names for problem in findings.stopping("multiclass")] == [("3",)]
    assert findings.stopping("click") == findings.stopping("binary") == ()
    assert findings.stopping("multiclass", (1, 3)) == findings.stopping("multiclass")
    assert findings.stopping("multiclass", (1, 2)) == (), "it is left out"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("images/1.png", b"no image"),
        ("masks/1.png", b""),
        ("masks/1.png", None),
        ("images/1.png", None),
        ("images/1.png", "half"),
        ("masks/1.png", "half"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, path: str, content: bytes | str | None
) -> None:
    noise = np.random.default_rng(3).integers(0, 9, (H, W)).astype(np.uint8)
    project(tmp_path, FINE[0], (image(5), noise, "x"), FINE[1], (image(6), noise, "y"))
    if content is None:
        (tmp_path / path).unlink()
    elif isinstance(content, str):
        whole = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(whole[: len(whole) // 2])
    else:
        (tmp_path / path).write_bytes(content)
    findings = inspect(tmp_path)
    assert findings.unreadable == ("images/1.png",)
    assert path in findings.fatal[0].text
    assert str(tmp_path) not in findings.fatal[0].text
    assert len(findings.images) == 3


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_broken_compressed_tiff_is_named(tmp_path: Path, part: float) -> None:
    project(tmp_path, *FINE, (image(2).astype(np.uint16), labels(1, 2), "c"))
    path = tmp_path / "images/2.tif"
    tifffile.imwrite(path, tifffile.imread(path), compression="zlib")
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[: int(part * len(whole))])
    assert inspect(tmp_path).unreadable == ("images/2.tif",)
    whole[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    path.write_bytes(whole)
    assert inspect(tmp_path).unreadable == ("images/2.tif",)


def test_a_mask_with_blurred_ids_is_refused(tmp_path: Path) -> None:
    project(tmp_path, *FINE)
    iio.imwrite(tmp_path / "masks/0.jpg", labels(1))
    index = (tmp_path / "index.csv").read_text().replace("masks/0.png", "masks/0.jpg")
    (tmp_path / "index.csv").write_text(index)
    assert (
        "masks/0.jpg is compressed as a JPEG is, which blurs ids" in inspect(tmp_path).fatal[0].text
    )


def test_ids_below_zero_are_refused(tmp_path: Path) -> None:
    project(tmp_path, *FINE)
    (tmp_path / "masks/0.png").unlink()
    tifffile.imwrite(tmp_path / "masks/0.tif", labels(1).astype(np.int16) - 1)
    index = (tmp_path / "index.csv").read_text().replace("masks/0.png", "masks/0.tif")
    (tmp_path / "index.csv").write_text(index)
    assert "masks/0.tif holds ids below 0" in inspect(tmp_path).fatal[0].text


@settings(deadline=None, max_examples=60)
@given(
    values=hnp.arrays(
        st.sampled_from([np.uint8, np.int32, np.uint64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 3),
    ),
    factor=st.sampled_from([1, 60]),
)
def test_ids_and_their_parts_are_measured_as_one_would_by_hand(
    values: np.ndarray, factor: int
) -> None:
    values = values * np.asarray(factor, values.dtype)
    pixels, id_spans, spans = measure(values)
    ids = sorted(set(values.ravel().tolist()) - {0})
    assert pixels == {i: int((values == i).sum()) for i in ids}
    expected = []
    for i in ids:
        rows, columns = np.nonzero(values == i)
        assert id_spans[i] == max(np.ptp(rows), np.ptp(columns)) + 1
        parts, _ = ndimage.label(values == i, np.ones((3, 3)))
        for box in ndimage.find_objects(parts):
            expected.append((i, max(part.stop - part.start for part in box)))
    assert sorted(spans) == sorted(expected)
