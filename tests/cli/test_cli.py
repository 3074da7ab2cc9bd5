"""The command line: the same mask as the API, and one line where something is wrong."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import skimage.data
import tifffile

import napari_clickseg as clickseg
from napari_clickseg.cli import main
from napari_clickseg.cli._common import Waiting
from napari_clickseg.data.masks import read_labels
from napari_clickseg.models.registry import BUNDLED

CLICKS = [(120.0, 88.5, True), (60.0, 200.0, False), (130.0, 90.0, True)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, without the user's own models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    return tmp_path


@pytest.fixture
def coins(folder):
    iio.imwrite(folder / "coins.png", skimage.data.coins())
    return skimage.data.coins()


@pytest.fixture
def project(folder):
    """Two images with two objects each."""
    for part in ("images", "masks"):
        (folder / "squares" / part).mkdir(parents=True)
    for n in range(2):
        labels = np.zeros((64, 64), np.uint8)
        labels[5:25, 5 + n : 25] = 1
        labels[35:60, 30:55] = 2
        iio.imwrite(folder / "squares" / "images" / f"{n}.png", labels * 100)
        iio.imwrite(folder / "squares" / "masks" / f"{n}.png", labels)
    return folder / "squares"


def run(*argv, capsys):
    """Return the exit status, and what was written to standard output and error."""
    status = main([str(word) for word in argv])
    return status, *capsys.readouterr()


def session(image, clicks=CLICKS, **options):
    session = clickseg.load_segmenter("default", "cpu").start(image, **options)
    for click in clicks:
        session.click(*click)
    return session


def test_mask_and_probability_are_the_same_as_through_the_api(coins, capsys):
    status, out, err = run(
        *("predict", "coins.png", "--device", "cpu", "--out", "m.tif", "--probability", "p.tif"),
        *("--positive", "120,88.5", "--negative", "60,200", "--positive", "130,90"),
        capsys=capsys,
    )
    assert (status, err) == (0, "")
    prediction = session(coins).predict()
    mask = tifffile.imread("m.tif")
    assert mask.dtype == np.uint8
    assert mask.tobytes() == prediction.mask.astype(np.uint8).tobytes()
    assert tifffile.imread("p.tif").tobytes() == prediction.probability.tobytes()
    assert out == f"m.tif: {int(mask.sum())} of 303 x 384 pixels\n"


def test_threshold_and_starting_mask_are_passed_on(coins, capsys):
    start = np.zeros(coins.shape, np.uint8)
    start[100:150, 60:110] = 3
    iio.imwrite("start.png", start)
    status, *_ = run(
        *("predict", "coins.png", "--mask", "start.png", "--threshold", "0.3"),
        *("--positive", "120,88.5", "--out", "m.png", "--device", "cpu"),
        capsys=capsys,
    )
    assert status == 0
    known = session(coins, CLICKS[:1], mask=start)
    known.refinement = clickseg.Refinement(threshold=0.3)
    assert np.array_equal(read_labels(Path("m.png")), known.predict().mask)
    seen = iio.imread("m.png")  # in colours, as a viewer shows it
    assert int(np.ptp(seen[known.predict().mask], axis=0).max()) == 0
    assert int(seen.max()) > 100, "The object can be seen."


def test_a_starting_mask_alone_comes_back_as_it_is(coins, capsys):
    start = np.zeros(coins.shape, np.uint8)
    start[100:150, 60:110] = 3
    iio.imwrite("start.png", start)
    assert run(*"predict coins.png --mask start.png --out m.tif".split(), capsys=capsys)[0] == 0
    assert np.array_equal(tifffile.imread("m.tif"), start > 0)


def test_clicks_count_in_the_order_in_which_they_are_given(coins, capsys):
    status, out, _ = run(
        *"predict coins.png --out m.tif --json --positive 9,9 8,8 --negative 50,60".split(),
        *"--positive 7,7".split(),
        capsys=capsys,
    )
    assert status == 0
    output = json.loads(out)
    assert [tuple(click) for click in output["clicks"]] == [
        (9, 9, True),
        (8, 8, True),
        (50, 60, False),
        (7, 7, True),
    ]
    assert output["shape"] == [303, 384]
    assert output["pixels"] == int(tifffile.imread("m.tif").sum())


def test_a_plane_and_channel_of_a_stack(coins, capsys):
    stack = np.zeros((2, 3, *coins.shape), np.uint8)
    stack[1, 2] = coins
    tifffile.imwrite("stack.ome.tif", stack, metadata={"axes": "ZCYX"}, photometric="minisblack")
    words = "predict stack.ome.tif --plane 1 --channel 2 --positive 120,88.5 --out m.tif".split()
    assert run(*words, "--device", "cpu", capsys=capsys)[0] == 0
    known = session(coins, CLICKS[:1]).predict()
    assert np.array_equal(tifffile.imread("m.tif"), known.mask)


def test_what_the_user_should_know_of_the_image_is_noted(coins, capsys):
    iio.imwrite("rgba.png", np.dstack([coins] * 4))
    status, _, err = run(*"predict rgba.png --positive 9,9 --out m.tif".split(), capsys=capsys)
    assert status == 0
    assert err.startswith("clickseg: ") and "alpha" in err


WRONG = {
    "no command": ("", "COMMAND"),
    "unknown command": ("fly", "invalid choice"),
    "no image": ("predict", "IMAGE"),
    "no output": ("predict coins.png --positive 1,1", "--out"),
    "no click": ("predict coins.png --out m.tif", "positive click"),
    "negative clicks only": ("predict coins.png --negative 1,1 --out m.tif", "positive click"),
    "no position": ("predict coins.png --positive 12 --out m.tif", "'12' is not Y,X"),
    "no number": ("predict coins.png --positive nan,1 --out m.tif", "not a position"),
    "click outside": ("predict coins.png --positive 303,1 --out m.tif", "outside the image"),
    "missing image": ("predict none.png --positive 1,1 --out m.tif", "no file none.png"),
    "no image file": ("predict notes.txt --positive 1,1 --out m.tif", "cannot be read"),
    "missing mask": ("predict coins.png --mask none.png --out m.tif", "no file none.png"),
    "mask of another shape": ("predict coins.png --mask small.png --out m.tif", "shape"),
    "no such plane": ("predict coins.png --plane 1 --positive 1,1 --out m.tif", "single plane"),
    "plane of words": ("predict coins.png --plane a --positive 1,1 --out m.tif", "'a'"),
    "no such channel": ("predict coins.png --channel 1 --positive 1,1 --out m.tif", "channel 1"),
    "threshold": ("predict coins.png --threshold 2 --positive 1,1 --out m.tif", "'2'"),
    "threshold of words": ("predict coins.png --threshold x --positive 1,1 --out m.tif", "'x'"),
    "unknown model": ("predict coins.png --model none --positive 1,1 --out m.tif", "no model"),
    "broken model": ("predict coins.png --model b.safetensors --positive 1,1 --out m.tif", "broke"),
    "pickled model": ("predict coins.png --model b.pt --positive 1,1 --out m.tif", "pickle"),
    "unknown device": ("predict coins.png --device abacus --positive 1,1 --out m.tif", "abacus"),
    "output is there": ("predict coins.png --positive 1,1 --out small.png", "--overwrite"),
    "output is input": ("predict coins.png --positive 1,1 --overwrite --out coins.png", "is given"),
    "output twice": ("predict coins.png --positive 1,1 --out a.tif --probability a.tif", "twice"),
    "unknown kind of output": ("predict coins.png --positive 1,1 --out m.jpg", ".tif or .png"),
    "float PNG": ("predict coins.png --positive 1,1 --out m.tif --probability p.png", ".tif"),
    "no folder for output": ("predict coins.png --positive 1,1 --out none/m.tif", "no folder"),
    "missing set": ("evaluate none", "no folder none"),
    "no set": ("evaluate .", "neither an index.csv"),
    "no clicks": ("evaluate squares --clicks 0", "1 or more"),
    "clicks of words": ("evaluate squares --clicks many", "'many'"),
    "set twice": ("evaluate squares ./squares", "same name: squares"),
    "results are there": ("evaluate squares --json small.png", "--overwrite"),
    "no results to resume": ("evaluate squares --resume small.png", "no results"),
    "model of no kind": ("evaluate squares --model b.safetensors", "broken"),
    "no objects": ("evaluate specks --device cpu", "There is no object of 64 pixels"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "reason"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_one_line_and_status_2(coins, project, folder, capsys, words, reason):
    (folder / "notes.txt").write_text("no image\n")
    (folder / "b.safetensors").write_bytes(b"no model")
    (folder / "b.pt").write_bytes(b"no model")
    iio.imwrite("small.png", np.zeros((5, 5), np.uint8))
    shutil.copytree(project, "specks")
    for path in (folder / "specks" / "masks").iterdir():
        iio.imwrite(path, np.eye(64, dtype=np.uint8) * 255)
    before = sorted(folder.rglob("*"))
    status, out, err = run(*words.split(), capsys=capsys)
    assert (status, out) == (2, "")
    assert err.startswith("clickseg") and err.count("\n") == 1
    assert reason in err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("verb", ["predict", "models", "evaluate", "demo"])
def test_every_verb_has_help(verb, capsys):
    status, out, err = run(verb, "--help", capsys=capsys)
    assert (status, err) == (0, "")
    assert f"clickseg {verb}" in out


def test_version(capsys):
    assert run("--version", capsys=capsys)[:2] == (0, f"clickseg {clickseg.__version__}\n")


def test_models_are_listed_and_broken_ones_do_not_hide_the_others(folder, capsys):
    (folder / "models").mkdir()
    (folder / "models" / "broken.safetensors").write_bytes(b"nothing")
    shutil.copy(BUNDLED / "default.safetensors", folder / "models" / "mine.safetensors")
    status, out, _ = run("models", capsys=capsys)
    assert status == 0
    names = [line.split(":")[0] for line in out.splitlines()]
    assert names[:4] == ["default", "nuclei", "broken", "mine"]
    assert "broken: cannot be used" in out
    assert str(folder / "models") in out

    status, out, _ = run("models", "--json", capsys=capsys)
    models = {one["name"]: one for one in json.loads(out)}
    assert models["default"]["bundled"] and not models["mine"]["bundled"]
    assert models["default"]["card"]["encoder"] == models["mine"]["card"]["encoder"]
    assert "error" in models["broken"]


def test_evaluate_gives_the_same_when_it_is_resumed(project, folder, capsys):
    words = ["evaluate", project, "--clicks", "2", "--objects", "1", "--device", "cpu"]
    status, out, _ = run(*words, "--json", "all.json", "--workers", "1", capsys=capsys)
    assert status == 0
    assert out.splitlines()[2].split("|")[1].strip() == "squares"

    part = [*words, "--resume", "part.jsonl"]
    assert run(*part, "--limit", "1", capsys=capsys)[0] == 0
    assert len((folder / "part.jsonl").read_text().splitlines()) == 2
    assert run(*part, "--json", "part.json", capsys=capsys)[0] == 0
    whole, resumed = (json.loads((folder / f"{n}.json").read_text()) for n in ("all", "part"))
    for figures in (whole, resumed):
        assert figures["mean"].pop("seconds_per_click") > 0
    assert whole["mean"] == resumed["mean"]
    assert whole["spec"]["clicks"] == 2
    assert len(whole["sha256"]) == 64


def test_evaluate_jitters_three_times_and_starts_from_masks(project, folder, capsys):
    words = ["evaluate", project, "--clicks", "1", "--objects", "1", "--limit", "1"]
    words += ["--jitter", "--from-mask", "--seed", "5", "--resume", "r.jsonl", "--ignore", "none"]
    assert run(*words, "--device", "cpu", capsys=capsys)[0] == 0
    header, line = map(json.loads, (folder / "r.jsonl").read_text().splitlines())
    assert header["spec"]["jitter"] == 3.0
    assert header["spec"]["ignore"] is None
    assert [one["repeat"] for one in line["objects"]] == [0, 1, 2]
    assert all(0.5 < one["start_iou"] < 0.9 for one in line["objects"])


def test_demo_is_given_the_folder_and_its_status_is_returned(monkeypatch, folder, capsys):
    from types import ModuleType

    demo, seen = ModuleType("demo"), []
    demo.run = lambda out: seen.append(out) or 0
    monkeypatch.setitem(sys.modules, "napari_clickseg._qt.demo.demo", demo)
    assert run("demo", "--out", "here", capsys=capsys)[0] == 0
    assert run("demo", capsys=capsys)[0] == 0
    assert [str(out) for out in seen] == ["here", "None"]


def test_a_stop_by_the_user_is_no_error(monkeypatch, capsys):
    def stop(path, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_clickseg.data.images.open_image", stop)
    status, _, err = run(*"predict a.png --positive 1,1 --out m.tif".split(), capsys=capsys)
    assert (status, err) == (130, "clickseg: stopped\n")


def test_a_full_disk_is_one_line_and_a_bug_keeps_its_traceback(coins, monkeypatch, capsys):
    def fail(error):
        def write(*args, **kwargs):
            raise error

        monkeypatch.setattr("napari_clickseg.data.encode.write_labels", write)
        return run(*"predict coins.png --positive 9,9 --out m.tif".split(), capsys=capsys)

    assert fail(OSError(28, "No space left"))[::2] == (2, "clickseg: [Errno 28] No space left\n")
    with pytest.raises(ValueError, match="not ours"):
        fail(ValueError("not ours"))


@pytest.mark.parametrize("words", ["--help", "models", "models --json", "predict --help"])
def test_nothing_heavy_is_loaded_for_a_quick_answer(words):
    code = (
        "import sys; from napari_clickseg.cli import main; status = main(sys.argv[1:]);"
        "heavy = {'torch', 'napari', 'qtpy', 'PyQt6', 'scipy', 'skimage', 'dask', 'zarr'};"
        "sys.exit(status or ', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_shows_from_the_first_second_what_is_waited_for(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Waiting("loading the network") as waiting:
        time.sleep(0.2)
        assert "loading the network … 0 s" in capsys.readouterr().err
        waiting.say("predicting")
        time.sleep(0.7)
        assert "predicting … 1 s" in capsys.readouterr().err
    assert capsys.readouterr().err.endswith("\x1b[K"), "The line is wiped."


def test_elsewhere_nothing_is_shown_while_waiting(capsys):
    with Waiting("loading the network"):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_setting_with_a_slip_is_recognised(capsys):
    status = main(["train", "nowhere", "--set", "epoch=3"])
    assert status == 2
    assert "epoch: there is no such setting; did you mean epochs?" in capsys.readouterr().err
