"""The loop alone, with a network and a task that take no time."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_clickseg.models.card import ModelCard, WindowSpec
from napari_clickseg.models.checkpoint import read_card
from napari_clickseg.training.loop.loop import Loop, Outcome, _parts
from napari_clickseg.training.loop.optimising import (
    Average,
    add_dropout,
    freeze,
    make_optimizer,
    rate,
)
from napari_clickseg.training.loop.work import Batch, TrainingError, Validation
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CARD = ModelCard(
    name="toy", architecture="unet", encoder="toy", encoding="image", image_channels=1,
    automatic=True, window=WindowSpec(size=64, zoom=1.0),
)  # fmt: skip


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.segmentation_head = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.segmentation_head(self.encoder(x))


class Threshold:
    """A task: say where the image is bright."""

    steps, waited = 4, 0.0

    def __init__(self, figures: Callable[[int], float] | None = None) -> None:
        self.figures, self.epochs = figures, 0
        self.sizes: list[int] = []
        self.spoil: dict[tuple[int, int], float] = {}

    def batches(self, epoch: int) -> Iterator[Batch]:
        for step in range(self.steps):
            rng = np.random.default_rng([epoch, step])
            x = torch.from_numpy(rng.random((4, 1, 8, 8)).astype(np.float32))
            factor = self.spoil.get((epoch, step), 1.0)
            yield Batch(x * factor, (x > 0.5).float())

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        self.sizes.append(len(batch))
        return nn.functional.binary_cross_entropy_with_logits(logits, batch.target)

    def learned(self, logits: Tensor, batch: Batch) -> None:
        assert logits.shape == batch.target.shape

    def validate(self, network: nn.Module) -> Validation:
        assert not network.training
        self.epochs += 1
        batch = next(self.batches(0))
        with torch.no_grad():
            logits = network(batch.inputs)
        accuracy = float(((logits > 0) == (batch.target > 0.5)).float().mean())
        value = self.figures(self.epochs) if self.figures else accuracy
        return Validation(1 - value, {"dice_macro": value}, ({"image": "a", "dice": value},))

    def preview(self, network: nn.Module, folder: Path, epoch: int) -> list[dict[str, str]]:
        return [{"image": "a", "prediction": f"previews/a-{epoch}.png", "truth": "b"}]


def spec(**fields: Any) -> TrainingSpec:
    known: dict[str, Any] = {
        "project": "p", "task": "binary", "epochs": 4, "batch": 4, "metric": "dice_macro",
        "learning_rate": 0.05, "ema": 0.5, "dropout": 0.2,
    }  # fmt: skip
    return TrainingSpec(**known | fields)


def loop(
    folder: Path, asked: TrainingSpec, work: Threshold, stop: Callable[[], bool] = lambda: False
) -> Loop:
    run = RunFolder(folder)
    if not run.events_path.exists():
        run.create(asked)
        run.add("started", pid=1)
    return Loop(asked, run, work, Toy(), CARD, trained_encoder=True, stop=stop)


def train(folder: Path, asked: TrainingSpec, work: Threshold | None = None) -> Outcome:
    return loop(folder, asked, work or Threshold()).run()


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    return [event for event in RunFolder(folder).events()[0] if event["event"] == name]


def weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(RunFolder(folder).model)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_training_learns_and_keeps_the_best_round(tmp_path: Path) -> None:
    outcome = train(tmp_path, spec(epochs=8, dropout=0.0, learning_rate=0.3, encoder_rate=0.1))
    assert outcome.reason == "done"
    epochs = events(tmp_path, "epoch")
    assert [one["epoch"] for one in epochs] == list(range(1, 9))
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    best = max(epochs, key=lambda one: one["metrics"]["dice_macro"])
    assert outcome.best_epoch == [one["epoch"] for one in epochs if one["best"]][-1]
    assert best["metrics"]["dice_macro"] > 0.9
    card = read_card(RunFolder(tmp_path).model)
    assert card.training["epoch"] == outcome.best_epoch
    assert card.metrics["validation"]["dice_macro"] == pytest.approx(best["metrics"]["dice_macro"])
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == pytest.approx([one["loss"] for one in epochs])
    assert events(tmp_path, "previews")[-1]["files"]


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "constant"])
def test_a_resumed_training_gives_the_weights_of_an_unbroken_one(
    tmp_path: Path, schedule: str
) -> None:
    asked = spec(schedule=schedule)
    train(tmp_path / "whole", asked)
    count = 0

    def stop() -> bool:
        nonlocal count
        count += 1
        return count == 7  # in the middle of the second epoch

    assert loop(tmp_path / "broken", asked, Threshold(), stop).run().reason == "stopped"
    assert len(events(tmp_path / "broken", "epoch")) == 1
    assert (tmp_path / "broken/best.safetensors").exists()
    again = loop(tmp_path / "broken", asked, Threshold())
    assert again.resume()
    assert again.epoch == 1
    assert again.run().reason == "done"
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    tables = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "broken")]
    cut = [[line.split(",")[:2] for line in table.splitlines()] for table in tables]
    assert cut[0] == cut[1]
    finished = loop(tmp_path / "broken", asked, Threshold())
    assert finished.resume()
    assert finished.run().reason == "done"
    assert len(events(tmp_path / "broken", "epoch")) == 4, "nothing is done twice"


def test_a_training_that_is_stopped_at_once_leaves_a_model(tmp_path: Path) -> None:
    outcome = loop(tmp_path, spec(), Threshold(), lambda: True).run()
    assert outcome == Outcome("stopped", 0)
    assert weights(tmp_path)
    assert not loop(tmp_path, spec(), Threshold()).resume(), "no epoch was finished"


def test_it_ends_when_it_gets_no_better(tmp_path: Path) -> None:
    work = Threshold(lambda n: 0.9 if n == 2 else 0.5)
    outcome = train(tmp_path, spec(epochs=30, patience=3), work)
    assert outcome == Outcome("early", 2)
    assert len(events(tmp_path, "epoch")) == 5
    assert read_card(tmp_path / "best.safetensors").metrics["validation"]["dice_macro"] == 0.9


def test_a_plateau_lowers_the_rate(tmp_path: Path) -> None:
    work = Threshold(lambda n: 0.5)
    train(tmp_path, spec(epochs=12, patience=0, schedule="plateau", warm_up=0.0), work)
    rates = [one["learning_rate"] for one in events(tmp_path, "epoch")]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * rates[0]


def test_a_loss_that_is_no_number_ends_it_and_the_last_good_weights_stay(tmp_path: Path) -> None:
    good, bad = Threshold(), Threshold()
    bad.spoil[(3, 1)] = float("nan")
    train(tmp_path / "good", spec(patience=0), Threshold(lambda n: n / 10))
    del good
    bad.figures = lambda n: n / 10
    with pytest.raises(TrainingError, match=r"no longer a number.*epoch 3.*learning rate"):
        train(tmp_path / "bad", spec(patience=0), bad)
    assert read_card(tmp_path / "bad/best.safetensors").training["epoch"] == 2
    assert all(bool(value.isfinite().all()) for value in weights(tmp_path / "bad").values())


def test_without_a_finished_round_no_model_is_promised(tmp_path: Path) -> None:
    bad = Threshold()
    bad.spoil[(1, 1)] = float("nan")
    with pytest.raises(TrainingError, match=r"epoch 1; there is no model yet\. Lower"):
        train(tmp_path, spec(), bad)
    assert not RunFolder(tmp_path).model.exists()


class Steep(Threshold):
    """A finite loss, whose gradients of some steps are none."""

    def __init__(self, good: Callable[[int], bool]) -> None:
        super().__init__()
        self.good, self.count = good, 0

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        self.count += 1
        loss = super().loss(logits, batch)
        return loss if self.good(self.count) else loss + (logits * 0).abs().sqrt().sum()


def test_gradients_that_stay_no_numbers_end_it(tmp_path: Path) -> None:
    """It would go on to its end without ever learning anything."""
    work = Steep(lambda count: count <= 4)
    with pytest.raises(TrainingError, match=r"50 batches in a row.*epoch 14; the best weights"):
        train(tmp_path / "bad", spec(epochs=40, patience=0), work)
    assert work.count == 54
    assert all(bool(value.isfinite().all()) for value in weights(tmp_path / "bad").values())
    few = Steep(lambda count: count % 3 == 0)
    assert train(tmp_path / "few", spec(epochs=40, patience=0), few).reason == "done"
    assert few.count > 50


def test_full_memory_halves_the_batch_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Threshold()
    training = loop(tmp_path, spec(epochs=1), work)
    right = Toy.forward

    def forward(self: Toy, x: Tensor) -> Tensor:
        if self.training and len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(self, x)

    monkeypatch.setattr(Toy, "forward", forward)
    training.run()
    assert set(work.sizes) == {2}
    assert len(work.sizes) == 2 * work.steps, "as many windows are learned from"
    (said,) = events(tmp_path, "message")
    assert said["level"] == "warning"
    assert "2 windows at a time" in said["text"]

    def never(self: Toy, x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Toy, "forward", never)
    with pytest.raises(TrainingError, match="too small for two windows"):
        train(tmp_path / "other", spec(epochs=1))


def full_at_times(
    work: Any, measure: str, monkeypatch: pytest.MonkeyPatch, kept: list[bool]
) -> None:
    """Have a measurement find no room at the first call, and at all from the fourth on."""
    right, calls = getattr(work, measure), 0

    def full(network: nn.Module, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1 or calls > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        kept.append(any(p.grad is not None for p in kept_by[0].parameters()))
        return right(network, *args)

    kept_by: list[nn.Module] = []
    begun = Loop.__init__

    def noted(self: Loop, *args: Any, **options: Any) -> None:
        begun(self, *args, **options)
        kept_by.append(self.network)

    monkeypatch.setattr(Loop, "__init__", noted)
    monkeypatch.setattr(work, measure, full)


def test_validation_gets_the_memory_that_training_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, kept = Threshold(), []
    full_at_times(work, "validate", monkeypatch, kept)
    with pytest.raises(TrainingError, match="too small to validate in; close what else uses it"):
        train(tmp_path, spec(epochs=3, patience=0), work)
    assert [one["epoch"] for one in events(tmp_path, "epoch")] == [1, 2], "epochs before are kept"
    assert kept == [False, True], "gradients are let go where there is no room, and only there"


def test_a_training_goes_on_without_previews_that_find_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Threshold()
    full_at_times(work, "preview", monkeypatch, [])
    assert train(tmp_path, spec(epochs=4, patience=0), work).reason == "done"
    assert [one["epoch"] for one in events(tmp_path, "epoch")] == [1, 2, 3, 4]
    said = [one["text"] for one in events(tmp_path, "message")]
    assert len(said) == 2
    assert all(text.startswith("No previews: ") for text in said)


def test_gradients_of_parts_are_those_of_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = []
    for micro in (4, 2):
        training = loop(tmp_path / str(micro), spec(dropout=0.0, clip=0.0, amp=False), Threshold())
        training.micro = micro
        training.network.get_submodule("encoder.1").eval()  # its figures depend on the part
        monkeypatch.setattr(training.network, "train", lambda mode=True: None)
        training._gradients(next(training.work.batches(1)))
        gradients.append(
            [p.grad.clone() for p in training.network.parameters() if p.grad is not None]
        )
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("count", "most"), [(8, 8), (8, 3), (9, 2), (5, 2), (2, 1), (1, 8), (3, 2)]
)
def test_parts_cover_a_batch_and_none_is_a_single_window(count: int, most: int) -> None:
    parts = _parts(count, most)
    assert parts[0][0] == 0
    assert parts[-1][1] == count
    sizes = [stop - start for start, stop in parts]
    assert sum(sizes) == count
    assert min(sizes) >= min(2, count)


def test_a_metric_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no figure 'beauty'.*dice_macro"):
        train(tmp_path, spec(metric="beauty"))


def test_the_validation_loss_can_be_what_counts(tmp_path: Path) -> None:
    work = Threshold(lambda n: [0.2, 0.9, 0.4, 0.3][n - 1])
    assert train(tmp_path, spec(metric="validation_loss"), work).best_epoch == 2


def test_a_frozen_encoder_stays_as_it_is_batch_norm_included(tmp_path: Path) -> None:
    before = {n: v.clone() for n, v in Toy().encoder.state_dict().items()}
    training = loop(tmp_path, spec(freeze_encoder=True, epochs=2), Threshold())
    training.run()
    after = training.network.get_submodule("encoder").state_dict()
    assert same(before, after)
    assert not torch.equal(
        training.network.get_parameter("segmentation_head.weight"), Toy().segmentation_head.weight
    )


def test_the_encoder_has_its_own_rate_where_it_starts_trained() -> None:
    for trained, factor in ((True, 0.1), (False, 1.0)):
        groups = make_optimizer(Toy(), spec(encoder_rate=0.1), trained_encoder=trained).param_groups
        assert [group["factor"] for group in groups] == [1.0, factor]
        assert sum(len(group["params"]) for group in groups) == 6
    network = Toy()
    freeze(network)
    assert len(make_optimizer(network, spec(), trained_encoder=True).param_groups) == 1


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "constant"])
def test_the_rate_rises_to_one_and_never_exceeds_it(schedule: Any) -> None:
    asked = spec(schedule=schedule, warm_up=0.2)
    rates = [rate(asked, progress) for progress in np.linspace(0, 1, 101)]
    assert rates[:20] == sorted(rates[:20])
    assert max(rates) == pytest.approx(1.0, abs=0.06)
    assert min(rates) > 0
    assert (rates[-1] < 0.01) == (schedule == "cosine")


def test_dropout_acts_in_training_alone_and_changes_no_name() -> None:
    network = Toy()
    names = list(network.state_dict())
    add_dropout(network, 0.5)
    assert list(network.state_dict()) == names
    x = torch.rand(2, 1, 8, 8)
    network.eval()
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))


def test_an_average_without_memory_is_the_network_itself() -> None:
    network, kept = Toy(), Average(Toy(), 0.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    kept.update(network)
    assert same(network.state_dict(), kept.network.state_dict())
    slow = Average(Toy(), 0.9)
    for _ in range(200):
        slow.update(network)
    for a, b in zip(network.parameters(), slow.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
