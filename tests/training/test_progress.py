from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_clickseg._napari.train.text import (
    figure_text,
    metric_text,
    shown_metrics,
    status_text,
    time_text,
)
from napari_clickseg.training.progress import HelpRow, RunProgress, follow, parted
from napari_clickseg.training.verdict import Verdict

RUN = Path("/runs/yeast")
STARTED = {
    "event": "started", "time": 100.0, "pid": 7, "epochs": 10, "training": 6, "validation": 2,
    "device": "cpu", "resumed": False,
}  # fmt: skip


def epoch(number: int, **more: Any) -> dict[str, Any]:
    figures = {"loss": 1 / number, "validation_loss": 2 / number, "metrics": {"dice_macro": 0.5}}
    return {"event": "epoch", "epoch": number, "best": False, **figures, **more}


def batch(number: int, done: int, loss: float | None = 0.5) -> dict[str, Any]:
    return {
        "event": "batch", "epoch": number, "batch": done, "batches": 4, "loss": loss,
        "seconds_left": 90,
    }  # fmt: skip


def seen(*events: dict[str, Any]) -> RunProgress:
    return follow(RunProgress(RUN, "yeast"), events)


def test_a_run_is_followed_from_its_start_to_its_end() -> None:
    run = seen(STARTED)
    assert (run.status, run.epoch, run.epochs, run.alive) == ("running", 1, 10, True)
    run = follow(run, [batch(1, 2)])
    assert run.done == pytest.approx(0.05)
    assert run.seconds_left == 90
    run = follow(run, [epoch(1, best=True, waiting_share=0.25), epoch(2)])
    assert run.curves.loss == {1: 1.0, 2: 0.5}
    assert run.curves.metrics == {"dice_macro": {1: 0.5, 2: 0.5}}
    assert (run.curves.best, run.done) == (1, pytest.approx(0.2))
    files = [{"image": "images/a.png", "prediction": "previews/a.png", "truth": None}]
    run = follow(run, [{"event": "previews", "epoch": 2, "files": files}])
    assert (run.preview_epoch, run.previews[0].prediction) == (2, "previews/a.png")
    table = [{"metric": "IoU", "before": 0.4, "after": 0.8}]
    run = follow(run, [{"event": "help", "table": table}])
    assert run.table == (HelpRow("IoU", 0.4, 0.8),)
    none = {"metric": "NoC@85", "before": None, "after": None, "note": "it takes no clicks"}
    (row,) = follow(run, [{"event": "help", "table": [none]}]).table
    assert (row.text, row.better) == ("NoC@85: it takes no clicks", None)
    end = {"event": "finished", "reason": "early", "best_epoch": 1, "model": "best.safetensors"}
    run = follow(run, [end])
    assert (run.status, run.alive, run.done) == ("finished", False, 1.0)
    assert run.model == RUN / "best.safetensors"


def test_what_a_resumed_run_does_again_replaces_what_was_there() -> None:
    run = seen(STARTED, epoch(1), epoch(2), batch(3, 1), epoch(3, loss=9.0))
    run = follow(run, [{**STARTED, "resumed": True, "time": 200.0}, epoch(2, loss=0.3)])
    assert run.curves.loss == {1: 1.0, 2: 0.3}
    assert set(run.curves.metrics["dice_macro"]) == {1, 2}
    assert run.since == 200.0


def test_a_new_run_in_the_same_folder_begins_with_empty_curves() -> None:
    assert not seen(STARTED, epoch(1), STARTED).curves.loss


def test_losses_that_are_no_numbers_are_gaps_and_nothing_fails() -> None:
    run = seen(STARTED, batch(1, 1, None), epoch(1, loss=None, validation_loss=float("nan")))
    assert run.curves.loss == run.curves.validation_loss == {}
    assert run.curves.batches == ()


def test_a_failure_says_why_in_one_line() -> None:
    run = seen(STARTED, {"event": "failed", "message": "The loss is NaN;\n lower the rate."})
    assert (run.status, run.error) == ("failed", "The loss is NaN; lower the rate.")
    assert "lower the rate" in status_text(run)


def test_a_long_run_keeps_few_batches_and_all_of_its_length() -> None:
    run = seen(STARTED, *(batch(1 + i // 4, i % 4) for i in range(5000)))
    assert 400 <= len(run.curves.batches) <= 800
    assert run.curves.batches[0][0] < 20 < 1200 < run.curves.batches[-1][0]


def test_the_last_messages_are_kept() -> None:
    run = seen(*({"event": "message", "level": "info", "text": str(i)} for i in range(80)))
    assert [one.text for one in run.messages] == [str(i) for i in range(30, 80)]
    warned = follow(run, [{"event": "message", "level": "warning", "text": "The disk is slow."}])
    assert warned.messages[-1].warning


@given(
    st.lists(
        st.fixed_dictionaries(
            {"event": st.sampled_from(["started", "batch", "epoch", "finished", "strange"])},
            optional={
                "epoch": st.integers(1, 9),
                "batch": st.integers(0, 4),
                "batches": st.integers(0, 4),
                "loss": st.one_of(st.none(), st.floats()),
                "epochs": st.integers(0, 9),
                "resumed": st.booleans(),
                "metrics": st.dictionaries(st.sampled_from("ab"), st.none() | st.floats()),
                "reason": st.sampled_from(["done", "stopped"]),
            },
        )
    )
)
def test_whatever_comes_the_share_that_is_done_is_one(events: list[dict[str, Any]]) -> None:
    run = seen(*events)
    assert 0 <= run.done <= 1
    assert status_text(run)
    assert list(run.curves.batches) == sorted(run.curves.batches)


def test_fewer_clicks_are_better_and_a_larger_iou_is() -> None:
    assert HelpRow("NoC@85, jittered clicks", 6.0, 3.0).better is True
    assert HelpRow("NoC@85", 3.0, 6.0).better is False
    assert HelpRow("IoU", 0.5, 0.8).better is True
    assert HelpRow("Dice", 0.8, 0.5).better is False
    assert HelpRow("IoU", None, 0.8).better is None
    assert HelpRow("IoU", 0.8, 0.805).better is None
    assert HelpRow("NoC@85", 6.0, 5.9).better is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (12, "10 s"), (70, "1 min"), (3540, "59 min"), (3600, "1 h 00 min"),
     (7500, "2 h 05 min")],
)  # fmt: skip
def test_times_are_as_exact_as_anybody_wants_them(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_every_state_is_said_in_words() -> None:
    assert status_text(RunProgress()) == "No training yet."
    assert "Preparing" in status_text(RunProgress(status="preparing"))
    assert "Starting" in status_text(RunProgress(status="starting"))
    running = seen(STARTED, epoch(1), batch(2, 1))
    text = status_text(running)
    assert "Epoch 2 of 10" in text and "2 min left" in text and "on cpu" in text
    assert "6 images for training, 2 for validation" in text
    # Of many images it takes a while, after the last epoch or earlier where it ends early.
    after = follow(running, [epoch(2), {"event": "measuring"}])
    assert (status_text(after), after.alive) == ("Seeing whether it helped, after 2 epochs …", True)
    assert "Epoch 3" in status_text(follow(after, [STARTED | {"resumed": True}]))
    stopped = seen(STARTED, epoch(1), {"event": "finished", "reason": "stopped", "model": "b"})
    assert status_text(stopped) == "Stopped after 1 epoch. The best model so far is kept."
    early = seen(STARTED, epoch(1), epoch(2), {"event": "finished", "reason": "early",
                 "best_epoch": 1, "model": "b"})  # fmt: skip
    assert status_text(early) == (
        "Done after 2 epochs, as it got no better. The model of epoch 1 is kept."
    )
    measured = replace(early, verdict=Verdict("better", "It takes fewer clicks.", ()))
    assert status_text(measured) == f"{status_text(early)} Whether it helped stands below."


@pytest.mark.parametrize(("share", "said"), [(0.1, False), (0.11, True), (0.62, True)])
def test_waiting_is_said_while_it_is_more_than_a_tenth_of_the_time(
    share: float, said: bool
) -> None:
    going = seen(STARTED, epoch(1, waiting_share=share), batch(2, 1))
    assert (f"{share:.0%} of the time waiting for windows" in status_text(going)) is said
    end = {"event": "finished", "reason": "done", "best_epoch": 1, "model": "b"}
    assert "waiting" not in status_text(follow(going, [end]))
    assert "waiting" not in status_text(seen(STARTED, epoch(1)))


def test_metrics_over_all_classes_come_first_and_few_are_drawn() -> None:
    names = ["dice_micro", "dice_macro", "dice_imagewise", "iou_macro", "precision"]
    assert shown_metrics([*names, "dice_cell", "iou_cell"]) == ["dice_macro", "iou_macro"]
    classes = [f"dice_{i}" for i in range(9)]
    assert shown_metrics([*names, *classes]) == ["dice_macro", "iou_macro", *classes[:2]]
    assert shown_metrics(["accuracy"]) == ["accuracy"]
    clicked = ["iou_clicks", "iou_1", "dice_1", "dice_3", "dice_5", "iou_micro_1"]
    assert shown_metrics(clicked) == ["iou_clicks"]
    assert metric_text("dice_macro") == "Dice"
    assert metric_text("iou_mother_cell") == "IoU mother cell"


def test_of_objects_told_apart_the_figures_that_the_field_uses_are_drawn() -> None:
    names = ["ap_50", "ap_75", "ap_mean", "f1_50", "pq", "splits", "pq_imagewise", "pq_pieces"]
    assert shown_metrics([*names, "pq_cell"]) == ["pq", "ap_50", "f1_50", "pq_pieces"]
    assert [metric_text(name) for name in ("pq", "ap_50")] == ["PQ", "AP50"]
    rows = [
        HelpRow(metric, 0.4, 0.5)
        for metric in ("Panoptic quality", "AP, mean over IoU 0.5 to 0.9", "AP at IoU 0.5",
                       "F1 at IoU 0.5", "Splits")
    ]  # fmt: skip
    first, others = parted(rows)
    assert [row.metric for row in first] == ["AP at IoU 0.5", "Panoptic quality", "F1 at IoU 0.5"]
    assert len(others) == 2 and others[-1].better is False, "more splits are no gain"


def test_figures_are_short() -> None:
    assert [figure_text(v) for v in (None, 0.8123, 6.25)] == ["-", "0.812", "6.2"]
