from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from default_model import trainer as default_model
from default_model.pool import Pool
from default_model.trainer import (
    DefaultModelSpec,
    Stage,
    Trainer,
    train_default_model,
)
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.models.card import DataSource, InputRange
from napari_clickseg.models.checkpoint import load_network, read_card, save_model
from napari_clickseg.models.guided import GuidedNetwork
from napari_clickseg.training.clicks.record import TrainingImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_clickseg.training.clicks.live import Lesson

OPTIONS = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}


def spec(samples: int, **fields: Any) -> DefaultModelSpec:
    known: dict[str, Any] = {
        "architecture": "unet",
        "encoder": "tu-test_resnet",
        "options": OPTIONS,
        "learning_rate": 2e-3,
        "stages": [Stage(size=32, batch=4, share=1.0)],
        "generated": 4,
        "superpixel_images": 0,
        "steps": 2,
        "live": 8,
        "samples": samples,
    }
    return DefaultModelSpec.model_validate(known | fields)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order would make runs differ in their last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool([], generated=6, superpixel_images=0)


def disk(size: int = 48, radius: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    cy, cx = rng.uniform(radius + 2, size - radius - 2, 2)
    truth = np.hypot(y - cy, x - cx) < radius
    image = np.where(truth, 200, 50) + rng.normal(0, 5, truth.shape)
    return image.clip(0, 255).astype(np.uint8), truth


class Disks:
    """A toy set: one bright disk in each image."""

    def __init__(self) -> None:
        self.records: list[TrainingImage] = []
        for seed in range(8):
            image, truth = disk(seed=seed)
            self.records.append(
                TrainingImage(np.repeat(image[None], 3, 0), truth.astype(np.int32), (1,))
            )

    def draw(self, rng: np.random.Generator, n: int) -> list[TrainingImage]:
        return [self.records[i] for i in rng.integers(len(self.records), size=n).tolist()]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_network(path / "model.safetensors")[0].state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def iou_after_one_click(path: Path) -> float:
    network, card = load_network(path / "model.safetensors")
    segmenter = Segmenter(network, card, device="cpu")
    ious = []
    for seed in range(100, 106):
        image, truth = disk(seed=seed)
        session = segmenter.start(image)
        session.click(*np.argwhere(truth).mean(0))
        mask = session.predict().mask
        ious.append((mask & truth).sum() / (mask | truth).sum())
    return float(np.mean(ious))


def test_a_run_learns_and_leaves_a_model_that_segments(tmp_path: Path) -> None:
    long = spec(800, learning_rate=5e-3, ema=0.9, stages=[Stage(size=32, batch=8, share=1.0)])
    Trainer(long, Disks(), tmp_path / "none").save()
    card = Trainer(long, Disks(), tmp_path / "run").run()
    lines = (tmp_path / "run/events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert events[-1]["loss"] < 0.9 * events[0]["loss"]
    assert [event["iteration"] for event in events] == list(range(50, 50 * len(events) + 1, 50))
    assert card.training["samples"] >= 800
    before, after = iou_after_one_click(tmp_path / "none"), iou_after_one_click(tmp_path / "run")
    assert after > 0.7
    assert after > before + 0.2


def test_a_run_is_decided_by_its_seed(tmp_path: Path, pool: Pool) -> None:
    runs = {name: tmp_path / name for name in ("first", "again", "other")}
    for name, folder in runs.items():
        Trainer(spec(24, seed=7 if name == "other" else 0), pool, folder).run()
    first, again, other = (weights(folder) for folder in runs.values())
    assert same(first, again)
    assert not same(first, other)


def test_the_cards_of_a_run_say_what_it_was(tmp_path: Path) -> None:
    """And the spec in it makes the same run again."""
    asked = spec(8)
    data = (DataSource(name="set", images=3, licence="CC0"),)
    written = train_default_model(asked, [], tmp_path, data)
    _, card = load_network(tmp_path / "model.safetensors")
    assert card == written
    assert card.data == data
    assert card.window.size == 32
    assert (card.architecture, card.encoder, card.options) == ("unet", "tu-test_resnet", OPTIONS)
    assert DefaultModelSpec.model_validate(card.training["spec"]) == asked
    assert DefaultModelSpec.model_validate_json((tmp_path / "spec.json").read_text()) == asked


def test_a_run_may_start_from_a_model_that_has_fewer_inputs(tmp_path: Path, pool: Pool) -> None:
    Trainer(spec(8, encoding="channels"), pool, tmp_path / "old").run()
    start = tmp_path / "old/model.safetensors"
    Trainer(spec(8), pool, tmp_path / "new", start=start).save()
    (old, old_card), (new, new_card) = (
        load_network(tmp_path / name / "model.safetensors") for name in ("old", "new")
    )
    assert (old_card.encoding, new_card.encoding) == ("channels", "likeness")
    inputs = torch.rand(2, 10, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(new(inputs), old(inputs[:, :6]))


class Interrupted:
    """A pool that is cut off after some images, as by closing the computer."""

    def __init__(self, pool: Pool, images: int) -> None:
        self.pool, self.left = pool, images

    def draw(self, rng: np.random.Generator, n: int) -> list[TrainingImage]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.pool.draw(rng, n)


def test_an_interrupted_run_goes_on_where_it_was_last_saved(tmp_path: Path, pool: Pool) -> None:
    saving = spec(40, checkpoint_minutes=1e-9)
    with pytest.raises(KeyboardInterrupt):
        Trainer(saving, Interrupted(pool, 16), tmp_path).run()
    half = weights(tmp_path)
    resumed = Trainer(saving, pool, tmp_path)
    assert 0 < resumed.iteration < 10
    assert 0 < resumed.samples < 40
    assert resumed.seconds > 0
    assert all(part["state"] for part in resumed.optimizer.state_dict()["parts"])
    resumed.save()
    assert same(weights(tmp_path), half)
    card = resumed.run()
    assert card.training["samples"] >= 40
    assert not same(weights(tmp_path), half)
    finished = weights(tmp_path)
    Trainer(saving, pool, tmp_path).run()
    assert same(weights(tmp_path), finished), "a finished run stays as it is"


def test_a_run_goes_on_with_the_settings_that_it_was_begun_with(tmp_path: Path, pool: Pool) -> None:
    Trainer(spec(8), pool, tmp_path, commit="abc").run()
    with pytest.raises(ValueError, match="another learning_rate, steps"):
        Trainer(spec(8, learning_rate=1e-3, steps=3), pool, tmp_path)
    assert DefaultModelSpec.model_validate_json((tmp_path / "spec.json").read_text()) == spec(8)
    assert Trainer(spec(16), pool, tmp_path, commit="abc").run().training["commit"] == "abc"


def test_a_resumed_run_still_knows_what_it_started_from(tmp_path: Path, pool: Pool) -> None:
    Trainer(spec(8), pool, tmp_path / "old").run()
    started = Trainer(spec(8), pool, tmp_path / "new", start=tmp_path / "old/model.safetensors")
    before = started.run().training["started_from"]
    assert before["samples"] == 8
    assert Trainer(spec(16), pool, tmp_path / "new").run().training["started_from"] == before


def test_a_run_shows_the_encoder_what_its_start_did(tmp_path: Path, pool: Pool) -> None:
    Trainer(spec(8), pool, tmp_path / "old").save()
    start = tmp_path / "old/model.safetensors"
    shown = InputRange(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    save_model(start, load_file(start), read_card(start).model_copy(update={"input_range": shown}))
    assert Trainer(spec(8), pool, tmp_path / "new", start=start).save().input_range == shown
    assert Trainer(spec(16), pool, tmp_path / "new").card().input_range == shown


def test_the_encoder_sees_a_window_once_and_learns_from_that(tmp_path: Path, pool: Pool) -> None:
    beside = spec(80, fusion="beside", encoding="prompts", guidance_widths=(4, 8, 8, 8), steps=6)
    run = Trainer(beside, pool, tmp_path / "run")
    seen: list[int] = []
    network = run.network
    assert isinstance(network, GuidedNetwork)
    see = network.features

    def count(image: torch.Tensor) -> list[torch.Tensor]:
        seen.append(image.shape[0])
        return see(image)

    network.features = count  # type: ignore[method-assign]
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    run.run()
    assert seen[0] == 4  # nothing is known at first
    assert sum(seen) < 0.8 * 80
    after = network.encoder.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    live = run.live
    assert live is not None
    kept = next(a for a in live.in_progress if a.features is not None)
    network.eval()
    with torch.no_grad(), run.precision.autocast():
        known = see(kept.image[None])
    for now, then in zip(known[1:], (kept.features or [])[1:], strict=True):
        # The encoder has learned a little since.
        torch.testing.assert_close(now[0].float(), then.float(), atol=0.5, rtol=0.5)
    assert live._move(kept)
    assert kept.features is None


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_committed_specs_are_specs(name: str) -> None:
    text = (Path(__file__).parents[2] / f"default_model/{name}.json").read_text()
    committed = DefaultModelSpec.model_validate_json(text)
    assert sum(stage.share for stage in committed.stages) == pytest.approx(1)


def test_windows_grow_and_the_rate_rises_and_falls_in_the_course_of_a_run(
    tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [Stage(size=32, batch=8, share=0.5), Stage(size=64, batch=4, share=0.5)]
    trainer = Trainer(spec(64, stages=stages, warm_up=0.3, decay=0.5), pool, tmp_path)
    seen: list[tuple[int, ...]] = []
    right = trainer._step

    def step(lesson: Lesson) -> float:
        seen.append(tuple(lesson.target.shape))
        return right(lesson)

    monkeypatch.setattr(trainer, "_step", step)
    rates: list[float] = []
    trainer.optimizer.register_step_post_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    trainer.run()
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {(8, 1, 32, 32), (4, 1, 64, 64)}
    peak = int(np.argmax(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[0] < rates[peak] <= 2e-3
    assert rates[-1] < 0.3 * rates[peak]
    _, card = load_network(tmp_path / "model.safetensors")
    assert card.window.size == 64


def test_a_run_can_start_from_a_model_and_its_card_says_so(tmp_path: Path, pool: Pool) -> None:
    Trainer(spec(24), pool, tmp_path / "first").run()
    start = tmp_path / "first/model.safetensors"
    trainer = Trainer(spec(8, seed=1), pool, tmp_path / "second", start=start)
    assert same(trainer.network.state_dict(), weights(tmp_path / "first"))
    card = trainer.run()
    assert card.training["started_from"]["samples"] >= 24
    assert not same(weights(tmp_path / "second"), weights(tmp_path / "first"))


def test_one_loss_that_is_no_number_does_not_end_a_run(
    tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, calls = default_model.click_loss, []

    def sometimes(*args: torch.Tensor, **options: Any) -> torch.Tensor:
        calls.append(1)
        return right(*args, **options) * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(default_model, "click_loss", sometimes)
    Trainer(spec(16), pool, tmp_path).run()
    assert len(calls) >= 4
    weights(tmp_path)  # refuses what is not finite


@pytest.mark.parametrize(
    "fields",
    [
        {"samples": 0},
        {"stages": [{"size": 33, "batch": 4, "share": 1.0}]},
        {"stages": [{"size": 32, "batch": 1, "share": 1.0}]},
        {"ema": 1.0},
        {"steps": 0},
        {"minuets": 3},
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**({"samples": 8} | fields))


def test_runs_from_before_there_were_composed_images_are_known_by_their_settings() -> None:
    before = DefaultModelSpec.model_validate({"shares": [0.13, 0.06]})
    assert before.shares == (0.13, 0.06, 0.0)
    for shares in ((0.5, 0.3, 0.2), (0.1, -0.1, 0.1)):
        with pytest.raises(ValueError, match="leave some for the real images"):
            DefaultModelSpec(shares=shares)
