"""Which mask belongs to which image."""

import pytest

from napari_clickseg.data.project import ProjectError, read_records


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_index_says_what_belongs_together(tmp_path):
    (tmp_path / "index.csv").write_text(
        "\ufeffimage,mask,group\nimages/a.png,masks/b.png,patient 1\nimages/c.png,masks/c.png,\n"
        "images/unlabelled.png,,patient 2\n",
        encoding="utf-8",
    )
    first, second = read_records(tmp_path)
    assert (first.image, first.mask) == (tmp_path / "images/a.png", tmp_path / "masks/b.png")
    assert (first.name, first.group) == ("images/a.png", "patient 1")
    assert second.group == "images/c.png"


def test_in_a_pair_of_folders_names_belong_together(tmp_path):
    touch(
        *(tmp_path / "images" / name for name in ("b.jpg", "a.tif", "alone.png", ".hidden")),
        *(tmp_path / "masks" / name for name in ("a.png", "b.png", ".hidden")),
    )
    records = read_records(tmp_path)
    assert [record.name for record in records] == ["images/a.tif", "images/b.jpg"]
    assert [record.mask.name for record in records] == ["a.png", "b.png"]
    assert [record.group for record in records] == ["a", "b"]


def test_two_images_of_one_name_are_named(tmp_path):
    touch(tmp_path / "images/a.png", tmp_path / "images/a.tif", tmp_path / "masks/a.png")
    with pytest.raises(ProjectError, match=r"a\.png and a\.tif"):
        read_records(tmp_path)


def test_what_is_no_project_says_what_is_missing(tmp_path):
    with pytest.raises(ProjectError, match="There is no folder"):
        read_records(tmp_path / "none")
    with pytest.raises(ProjectError, match=r"neither an index\.csv nor"):
        read_records(tmp_path)
    (tmp_path / "index.csv").write_text("picture,mask\na,b\n")
    with pytest.raises(ProjectError, match="lacks the column image"):
        read_records(tmp_path)
    (tmp_path / "index.csv").write_text("image,mask\n")
    with pytest.raises(ProjectError, match="no image with a mask"):
        read_records(tmp_path)
