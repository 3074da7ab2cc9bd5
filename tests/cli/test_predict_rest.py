"""`clickseg predict --rest`: as the function, and one line where something is wrong."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.cli import main
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.engine.segmenter import load_segmenter
from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.network import build_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard

WORDS = ("predict", "project", "--rest", "--device", "cpu")


@pytest.fixture(autouse=True)
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_project: Callable[..., Path],
    make_card: Callable[..., ModelCard],
) -> Path:
    """A project of three images, two of them without mask, and a model with random weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    make_project(tmp_path / "project", 3)
    for name in "12":
        (tmp_path / "project" / "masks" / f"{name}.png").unlink()
    card = make_card(encoding="image", automatic=True, window={"size": 64, "zoom": 1.0})
    save_model(tmp_path / "tiny.safetensors", build_network(card).state_dict(), card)
    return tmp_path


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main([*words])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_rest_is_predicted_by_the_model_of_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*WORDS, "--model", "tiny.safetensors")
    assert run(*words, "--limit", "1", capsys=capsys) == (
        0,
        "project: 1 predicted, 1 to review\n",
        "",
    )
    status, out, err = run(*words, "--json", capsys=capsys)
    assert (status, err) == (0, "")
    output: dict[str, Any] = json.loads(out)
    assert output["predicted"] == ["images/2.png"]
    assert (output["kept"], output["left"], output["waiting"], output["stopped"]) == (
        1,
        0,
        2,
        False,
    )
    queue = ReviewQueue(folder / "project")
    segmenter = load_segmenter(folder / "tiny.safetensors", "cpu")
    for review in queue.waiting():
        image = read_labels(folder / "project" / review.image)
        known = segmenter.start(image).predict().labels
        assert (read_labels(queue.path(review)) > 0).sum() == (known > 0).sum()


def test_shares_are_predicted_by_commands_of_their_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*WORDS, "--model", "tiny.safetensors")
    shares = [run(*words, "--shard", f"{n}/3", capsys=capsys) for n in (1, 2, 3)]
    assert shares == [
        (0, "project: 0 predicted, 0 to review\n", ""),
        (0, "project: 1 predicted, 1 to review\n", ""),
        (0, "project: 1 predicted, 2 to review\n", ""),
    ]


def test_a_scheduler_that_does_not_answer_is_said_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_clickseg.runs.spread._PATIENCE", 0.2)
    words = (*WORDS, "--model", "tiny.safetensors", "--scheduler", "127.0.0.1:9")
    status, out, err = run(*words, capsys=capsys)
    assert (status, out) == (2, "")
    assert "No dask scheduler answers at 127.0.0.1:9" in err


def test_corrupt_images_are_named_and_if_none_is_left_the_status_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "project" / "images" / "1.png").write_bytes(b"no picture")
    words = (*WORDS, "--model", "tiny.safetensors")
    status, out, err = run(*words, capsys=capsys)
    assert (status, out) == (0, "project: 1 predicted, 1 to review\n")
    assert err.startswith("clickseg: skipped: ")
    assert "1.png cannot be read" in err
    assert run(*words, capsys=capsys)[:2] == (2, "project: 0 predicted, 1 to review\n")


def test_a_signal_ends_it_after_the_image(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    add = ReviewQueue.propose

    def interrupted(queue: ReviewQueue, *args: Any, **fields: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        while signal.getsignal(signal.SIGTERM) is not before:
            pass  # the main thread has not seen it yet
        return add(queue, *args, **fields)

    monkeypatch.setattr(ReviewQueue, "propose", interrupted)
    words = (*WORDS, "--model", "tiny.safetensors")
    status, out, _ = run(*words, capsys=capsys)
    assert status == 130
    assert out == "project: 1 predicted, 1 to review; stopped, the same command goes on\n"
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert run(*words, capsys=capsys)[1] == "project: 1 predicted, 2 to review\n"


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_what_happens_is_written_as_it_happens(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "project" / "images" / "1.png").write_bytes(b"no picture")
    words = (*WORDS, "--model", "tiny.safetensors", "--events", "seen")
    assert run(*words, capsys=capsys)[0] == 0
    told = events(folder / "seen")
    assert [one["event"] for one in told] == ["started", "image", "image", "image", "finished"]
    assert told[0]["pid"] == os.getpid()
    assert [(one["done"], one["total"]) for one in told[1:4]] == [(0, 2), (1, 2), (2, 2)]
    assert (told[4]["reason"], told[4]["predicted"]) == ("done", 1)
    assert "1.png cannot be read" in told[4]["problems"][0]


def test_a_file_called_stop_ends_it_after_the_image(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ReviewQueue.propose

    def interrupted(queue: ReviewQueue, *args: Any, **fields: Any) -> Any:
        (folder / "seen" / "stop").touch()
        return add(queue, *args, **fields)

    monkeypatch.setattr(ReviewQueue, "propose", interrupted)
    words = (*WORDS, "--model", "tiny.safetensors", "--events", "seen")
    assert run(*words, capsys=capsys)[0] == 130
    assert events(folder / "seen")[-1]["reason"] == "stopped"
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert run(*words, capsys=capsys)[1] == "project: 1 predicted, 2 to review\n"


def test_why_it_failed_is_the_last_event(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*WORDS, "--events", "seen", capsys=capsys)[0] == 2
    assert "needs clicks" in events(folder / "seen")[-1]["message"]


WRONG = {
    "a model that needs clicks": ("predict project --rest", "clickseg train"),
    "unknown model": ("predict project --rest --model none", "no model"),
    "no project": ("predict . --rest", "neither an index.csv"),
    "clicks": ("predict project --rest --positive 1,1", "leave --positive"),
    "an output": ("predict project --rest --out m.tif", "leave --out"),
    "no images at a time": ("predict project --rest --workers 0", "1 or more"),
    "events without --rest": ("predict a.png --out m.tif --events f", "go with --rest"),
    "no share": ("predict project --rest --shard 0/2", "the first is 1/8"),
    "a share beyond the last": ("predict project --rest --shard 3/2", "is no share"),
    "a share without --rest": ("predict a.png --out m.tif --shard 1/2", "go with --rest"),
    "two kinds of workers": (
        "predict project --rest --scheduler tcp://a:1 --workers 2",
        "leave --workers out",
    ),
    "a limit without --rest": ("predict a.png --out m.tif --limit 3", "go with --rest"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, text = WRONG[case]
    status, out, err = run(*words.split(), capsys=capsys)
    assert (status, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1
