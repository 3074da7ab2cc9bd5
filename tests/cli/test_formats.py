from __future__ import annotations

import json

import numpy as np

from napari_clickseg.cli import main
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter


def test_what_is_exported_is_imported_again(tmp_path, capsys):
    writer = ProjectWriter(tmp_path / "project")
    writer.add("a", np.zeros((9, 12), np.uint8), np.eye(9, 12, dtype=np.uint8) * 3)
    out, back = tmp_path / "a.json", tmp_path / "back"
    size = ["--pixel-size", "0.5 0.5 µm"]
    assert main(["export", str(writer.folder), "--to", "coco", "--out", str(out), *size]) == 0
    assert capsys.readouterr().out == f"{out}: 1 image as COCO instances.\n"
    images = str(writer.folder / "images")
    command = ["import", str(out), "--images", images, "--out", str(back), "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"images": 1, "unannotated": 0, "objects": 1}
    (record,) = read_project(back).records
    assert str(record.pixel_size) == "0.5 0.5 µm"


def test_errors_are_one_line_with_status_2(tmp_path, capsys):
    assert main(["import", str(tmp_path / "no.json"), "--out", str(tmp_path / "p")]) == 2
    assert capsys.readouterr().err == f"clickseg: There is no file {tmp_path / 'no.json'}.\n"
    (tmp_path / "m.txt").write_text("x")
    arguments = ["export", str(tmp_path / "m.txt"), "--to", "yolo", "--out", str(tmp_path / "o")]
    assert main([*arguments, "--polygons"]) == 2
    assert "--polygons goes with --to coco" in capsys.readouterr().err
    assert main([*arguments, "--pixel-size", "big"]) == 2
    assert "is not a pixel size" in capsys.readouterr().err
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
