"""Files of runs as crashes, other programs and other versions leave them."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg._napari.train.runs import list_runs, reader_of
from napari_clickseg.runs.events import read_event
from napari_clickseg.training.reader import RunReader
from napari_clickseg.training.run_folder import RunError, RunFolder, Sets
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = TrainingSpec(name="cells", project="/none")
EVENTS: list[dict[str, Any]] = [
    {
        "event": "started",
        "pid": 2**22,
        "epochs": 3,
        "training": 4,
        "validation": 2,
        "device": "cpu",
    },
    {"event": "message", "level": "warning", "text": "Few images."},
    {"event": "batch", "epoch": 1, "batch": 2, "batches": 5, "loss": 0.5, "seconds_left": 9.0},
    {"event": "epoch", "epoch": 1, "loss": 0.4, "metrics": {"iou": 0.7}, "best": True},
    {"event": "previews", "epoch": 1, "files": [{"image": "a", "prediction": "b", "truth": None}]},
    {"event": "measuring"},
    {"event": "help", "table": [{"metric": "IoU", "before": None, "after": 0.7, "note": None}]},
    {"event": "stage", "stage": "clicked", "fold": 1, "state": "finished", "seconds": 3.0},
    {"event": "progress", "stage": "final", "fold": None, "done": 1, "total": 2, "batches": None},
    {"event": "finished", "reason": "done", "best_epoch": 1, "model": "best.safetensors"},
]
STRANGE: list[Any] = [
    None, True, -1, 10**400, 1e308, float("nan"), "", "x", "\ud800", [], [[]], {}, {"a": []},
]  # fmt: skip


def begin(folder: Path, *lines: bytes) -> RunFolder:
    run = RunFolder(folder)
    run.create(SPEC)
    run.events_path.write_bytes(b"".join(line + b"\n" for line in lines))
    return run


def line(event: dict[str, Any]) -> bytes:
    return json.dumps({"time": 1e9} | event).encode()


def test_what_a_run_writes_is_read_as_it_was(tmp_path: Path) -> None:
    run = begin(tmp_path)
    for event in EVENTS:
        kind, values = event["event"], {k: v for k, v in event.items() if k != "event"}
        run.add(kind, **values)
    read = run.events()[0]
    assert [{k: v for k, v in e.items() if k != "time"} for e in json.loads(json.dumps(read))] == (
        EVENTS
    )


@pytest.mark.parametrize("strange", [json.dumps(one) for one in STRANGE])
@pytest.mark.parametrize("kind", [event["event"] for event in EVENTS])
def test_an_event_with_a_strange_value_is_left_out_or_harmless(
    tmp_path: Path, kind: str, strange: str
) -> None:
    (event,) = (event for event in EVENTS if event["event"] == kind)
    for name in event:
        text = json.dumps(event | {name: "here"}).replace('"here"', strange)
        run = begin(tmp_path / name, text.encode(), line(EVENTS[1]))
        progress = RunReader(run.path).look()
        assert progress.messages[-1].text == "Few images."
        assert run.state in ("new", "running", "stopped", "finished", "failed")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b"\0" * 40, b"[" * 100_000, b'{"a": 1}']
)
def test_a_line_that_is_no_event_hides_no_other_one(tmp_path: Path, text: bytes) -> None:
    run = begin(tmp_path, line(EVENTS[0]), text, line(EVENTS[1]))
    assert [event["event"] for event in run.events()[0]] == ["started", "message"]
    assert read_event(text) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("events.jsonl", b'{"event": "started", "pid": [], "epochs": "many"}\n'),
        ("events.jsonl", b'{"event": "stage"}\n{"event": "help", "table": 3}\n'),
        ("folds.csv", b"\xff\xfe"),
        ("folds.csv", b"image,group\na,b\n"),
        ("spec.json", b"[" * 100_000),
    ],
)
def test_one_odd_run_hides_no_other_one(tmp_path: Path, name: str, content: bytes) -> None:
    for folder in ("sound", "odd"):
        begin(tmp_path / "runs" / folder, line(EVENTS[0]), line(EVENTS[-1]))
    (tmp_path / "runs/odd" / name).write_bytes(content)
    statuses = {entry.name: entry.status for entry in list_runs(tmp_path)}
    assert set(statuses) == {"sound", "odd"}
    assert statuses["sound"] == "finished"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", '{"folder": 1}', "[" * 100_000]
    + [
        json.dumps({"folder": "a", "training": ["x"], "validation": ["y"], "zoom": zoom})
        for zoom in (0, -1, "large", None, float("nan"), 1e999)
    ],
)
def test_sets_that_make_no_sense_are_said_in_one_line(tmp_path: Path, text: str) -> None:
    run = begin(tmp_path)
    run.keep_sets(Sets("a", ("x",), ("y",), 0.5))
    assert run.sets == Sets("a", ("x",), ("y",), 0.5)
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(RunError, match="is broken, so the run can't be resumed") as caught:
        _ = run.sets
    assert "\n" not in str(caught.value)


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Change a file somewhere, as bad disks and other programs do."""
    at, length = dice.randrange(len(data) + 1), dice.randrange(1, 30)
    match dice.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + dice.randbytes(length) + data[at:]
        case 3:
            return data[:at] + data[max(0, at - 200) :]
        case _:
            words = [json.dumps(one).encode() for one in STRANGE]
            parts = data.split(b": ")
            which = dice.randrange(len(parts))
            end = max(parts[which].find(b","), 0)
            parts[which] = dice.choice(words) + parts[which][end:]
            return b": ".join(parts)


def test_any_change_of_a_runs_events_is_read_without_harm(tmp_path: Path) -> None:
    run = begin(tmp_path, *(line(event) for event in EVENTS))
    check_mutations(run, 300)


@pytest.mark.slow
def test_ten_thousand_changes_of_a_runs_events_are_read_without_harm(tmp_path: Path) -> None:
    run = begin(tmp_path, *(line(event) for event in EVENTS))
    check_mutations(run, 10_000)


def check_mutations(run: RunFolder, count: int) -> None:
    dice = random.Random(int(os.environ.get("CLICKSEG_SEED", "0")))
    sound = run.events_path.read_bytes()
    for _ in range(count):
        data = sound
        for _ in range(dice.randrange(1, 4)):
            data = mutate(data, dice)
        run.events_path.write_bytes(data)
        RunReader(run.path).look()
        reader_of(run.path).look()
        assert run.state in ("new", "running", "stopped", "finished", "failed")
