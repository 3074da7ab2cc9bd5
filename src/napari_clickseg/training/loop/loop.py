"""The training loop: learns, validates, keeps the best, and can go on after any interruption."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.metrics import higher_is_better
from napari_clickseg.training.loop.optimising import (
    Average,
    Precision,
    add_dropout,
    freeze,
    lowered,
    make_optimizer,
    rate,
)
from napari_clickseg.training.loop.work import TrainingError
from napari_clickseg.training.tables import write_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.training.loop.work import Batch, Validation, Work
    from napari_clickseg.training.run_folder import RunFolder
    from napari_clickseg.training.spec import TrainingSpec

Measured = TypeVar("Measured")
_SMALLEST = 2  # windows at a time: batch normalisation needs two
_LEFT_OUT = 50  # steps in a row without usable gradients, after which nothing will come of it


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    reason: Literal["done", "early", "stopped"]
    best_epoch: int


class Loop:
    """A training.

    Parameters
    ----------
    spec : TrainingSpec
        Completed.
    network : torch.nn.Module
        To be trained, on its device.
    card : ModelCard
        Of the model that is kept.
    trained_encoder : bool
        Whether the encoder starts trained.
    stop : callable
        Asked after each batch; True ends the training, which can be resumed.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        run: RunFolder,
        work: Work,
        network: nn.Module,
        card: ModelCard,
        *,
        trained_encoder: bool,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.spec, self.run_folder, self.work, self.card = spec, run, work, card
        self.network, self.stop = network, stop
        self.device = next(network.parameters()).device
        self.average = Average(copy.deepcopy(network), spec.ema)
        add_dropout(network, spec.dropout)
        if spec.freeze_encoder:
            freeze(network)
        self.optimizer = make_optimizer(network, spec, trained_encoder=trained_encoder)
        self.precision = Precision(self.device, spec.amp)
        self.epoch, self.best_epoch, self.idle, self.lowered = 0, 0, 0, 0
        self.left_out = 0  # steps in a row
        self.best: float | None = None
        self.micro = spec.batch
        self.history: list[dict[str, Any]] = []
        self.ended: Literal["done", "early"] | None = None

    def resume(self) -> bool:
        """Go on from what the run's folder keeps; return whether there is anything."""
        state = self.run_folder.load_checkpoint()
        if state is None:
            return False
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.average.steps = state["average_steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.scaler.load_state_dict(state["scaler"])
        for name in ("epoch", "best_epoch", "idle", "lowered", "best", "micro", "history", "ended"):
            setattr(self, name, state[name])
        return True

    def run(self) -> Outcome:
        """Train until it is done, gets no better, or is stopped.

        Raises
        ------
        TrainingError
            If the loss, or the gradients for long, are no numbers any more, or the device's memory
            is too small.
        OSError
            If nothing can be written.
        """
        while self.ended is None:
            if self.epoch >= self.spec.epochs:
                self.ended = "done"
            elif not self._learn(self.epoch + 1):
                return self._outcome("stopped")
        return self._outcome(self.ended)

    def _outcome(self, reason: Literal["done", "early", "stopped"]) -> Outcome:
        if not self.run_folder.model.exists():
            self._save_model()  # stopped in the first epoch
        return Outcome(reason, self.best_epoch)

    def _learn(self, epoch: int) -> bool:
        """Learn for an epoch and validate; False where it was stopped on the way."""
        began = time.perf_counter()
        # All that is drawn in an epoch depends on its number, so that a resumed one is the same.
        torch.manual_seed(self.spec.seed * 1_000_003 + epoch)
        losses: list[float] = []
        for index, batch in enumerate(self.work.batches(epoch), 1):
            progress = (epoch - 1 + index / self.work.steps) / self.spec.epochs
            losses.append(self._step(batch, progress))
            self._tell_batch(epoch, index, losses[-1], time.perf_counter() - began)
            if self.stop():
                return False
        learned = time.perf_counter() - began
        validation = self._with_room(lambda: self.work.validate(self.average.network))
        self._finish_epoch(epoch, sum(losses) / max(1, len(losses)), validation, began, learned)
        return True

    def _finish_epoch(
        self, epoch: int, loss: float, validation: Validation, began: float, learned: float
    ) -> None:
        """Keep what was reached, and say so."""
        self.epoch = epoch
        is_best = self._judge(validation, epoch)
        if is_best:
            self._save_model(validation)
            write_tables(self.run_folder, images=validation.images, confusion=validation.confusion)
        if self.spec.patience and self.idle >= self.spec.patience:
            self.ended = "early"
        known = {
            "epoch": epoch,
            "loss": loss,
            "validation_loss": validation.loss,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "metrics": validation.metrics,
            "best": is_best,
            "seconds": time.perf_counter() - began,
            "waiting_share": self.work.waited / max(learned, 1e-9),
        }
        self.history.append(known)
        self._save_state()
        write_tables(self.run_folder, history=self.history)
        self.run_folder.add("epoch", **known)
        files = self._previews(epoch)
        if files:
            self.run_folder.add("previews", epoch=epoch, files=files)

    def _judge(self, validation: Validation, epoch: int) -> bool:
        """Return whether this is the best epoch so far; count those that are not."""
        figures = validation.metrics | {"validation_loss": validation.loss}
        value = figures.get(self.spec.metric)
        if value is None and validation.metrics:
            raise TrainingError(
                f"metric: there is no figure '{self.spec.metric}'; choose one of "
                f"{', '.join(sorted(figures))}."
            )
        if value is None or not math.isfinite(value):
            value = -float("inf")
        if not higher_is_better(self.spec.metric) and math.isfinite(value):
            value = -value
        if self.spec.learn_all or self.best is None or value > self.best:
            self.best, self.best_epoch, self.idle = value, epoch, 0
            return True
        self.idle += 1
        self.lowered += lowered(self.idle)
        return False

    def _step(self, batch: Batch, progress: float) -> float:
        """Learn from a batch; return its mean loss."""
        factor = rate(self.spec, progress, self.lowered)
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * group["factor"] * factor
        while True:
            try:
                loss, answer = self._gradients(batch)
                break
            except torch.OutOfMemoryError:
                self._halve()
        if not math.isfinite(loss):
            raise self._lost(f"The loss is no longer a number in epoch {self.epoch + 1}")
        self._change()
        self.work.learned(answer, batch)
        return loss

    def _change(self) -> None:
        """Change the weights by the gradients, unless those are not numbers."""
        scaler = self.precision.scaler
        scaler.unscale_(self.optimizer)
        limit = self.spec.clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        if scaler.is_enabled() or bool(torch.isfinite(norm)):
            scaler.step(self.optimizer)  # leaves a step with infinite gradients out
            self.average.update(self.network)
            self.left_out = 0
        else:
            self.left_out += 1
        scaler.update()
        if self.left_out >= _LEFT_OUT:
            raise self._lost(
                f"The gradients of {self.left_out} batches in a row are not numbers in epoch "
                f"{self.epoch + 1}"
            )

    def _lost(self, what: str) -> TrainingError:
        """Say what went wrong for good, what there is, and what to do."""
        there = "the best weights so far are kept" if self.best_epoch else "there is no model yet"
        return TrainingError(f"{what}; {there}. Lower the learning rate, or choose other losses.")

    def _gradients(self, batch: Batch) -> tuple[float, Tensor]:
        """Add up the gradients of a batch, part by part; return the loss and the logits."""
        self.network.train()
        if self.spec.freeze_encoder:
            self.network.get_submodule("encoder").eval()
        self.optimizer.zero_grad(set_to_none=True)
        there = batch.to(self.device)
        total = 0.0
        answers: list[Tensor] = []
        for start, stop in _parts(len(there), self.micro):
            part = there.part(start, stop)
            with self.precision.autocast():
                logits = self.network(part.inputs)
            logits = logits.float()
            loss = self.work.loss(logits, part) * (len(part) / len(there))
            self.precision.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            answers.append(logits.detach())
        return total, torch.cat(answers)

    def _with_room(self, measure: Callable[[], Measured]) -> Measured:
        """Measure; where the memory is full, once more without what training left in it."""
        with contextlib.suppress(torch.OutOfMemoryError):
            return measure()
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            return measure()
        except torch.OutOfMemoryError:
            raise TrainingError(
                "The device's memory is too small to validate in; close what else uses it, or "
                "choose a smaller size of windows, a smaller network, or device=cpu."
            ) from None

    def _previews(self, epoch: int) -> list[dict[str, str]]:
        """Write previews, if there is room; a training goes on without them."""
        try:
            return self._with_room(
                lambda: self.work.preview(self.average.network, self.run_folder.previews, epoch)
            )
        except TrainingError as error:
            self.run_folder.add("message", level="warning", text=f"No previews: {error}")
            return []

    def _halve(self) -> None:
        """Take fewer windows at a time; as many are learned from as before."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.micro <= _SMALLEST:
            raise TrainingError(
                "The device's memory is too small for two windows; choose a smaller size of "
                "windows, a smaller network, or device=cpu."
            )
        self.micro = max(_SMALLEST, self.micro // 2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.run_folder.add(
            "message",
            level="warning",
            text=f"The device's memory is full: {self.micro} windows at a time now, with their "
            f"gradients added up to batches of {self.spec.batch * self.spec.accumulate}.",
        )

    def _tell_batch(self, epoch: int, index: int, loss: float, seconds: float) -> None:
        steps = self.work.steps
        per_epoch = [one["seconds"] for one in self.history[-5:]]
        whole = sum(per_epoch) / len(per_epoch) if per_epoch else seconds / index * steps
        left = whole * (self.spec.epochs - epoch) + max(0.0, whole - seconds)
        self.run_folder.add(
            "batch", epoch=epoch, batch=index, batches=steps, loss=loss, seconds_left=left
        )

    def _save_model(self, validation: Validation | None = None) -> None:
        figures = {} if validation is None else dict(validation.metrics)
        training = {
            **self.card.training,
            "epoch": self.epoch,
            "seconds": round(sum(one["seconds"] for one in self.history)),
        }
        known = {"metrics": {**self.card.metrics, "validation": figures}, "training": training}
        chosen = {} if validation is None else validation.chosen
        card = self.card.model_copy(update=known | chosen)
        save_model(self.run_folder.model, self.average.network.state_dict(), card)

    def _save_state(self) -> None:
        names = ("epoch", "best_epoch", "idle", "lowered", "best", "micro", "history", "ended")
        self.run_folder.save_checkpoint(
            {name: getattr(self, name) for name in names}
            | {
                "network": self.network.state_dict(),
                "average": self.average.network.state_dict(),
                "average_steps": self.average.steps,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.precision.scaler.state_dict(),
            }
        )


def _parts(count: int, most: int) -> list[tuple[int, int]]:
    """Cut a batch into parts of about equal size, none with a single window if that can be."""
    pieces = max(1, min(-(-count // most), count // _SMALLEST))
    edges = [round(i * count / pieces) for i in range(pieces + 1)]
    return list(pairwise(edges))
