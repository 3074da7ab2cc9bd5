"""A training that is one of several: it stops with them, and says what it says in their log.

Cross-fittings and comparisons are made of such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg.runs.conduct import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg.runs.log import EventLog
    from napari_clickseg.training.run_folder import RunFolder
    from napari_clickseg.training.spec import TrainingSpec


def train(
    spec: TrainingSpec,
    run: RunFolder,
    log: EventLog,
    tell: Callable[..., object],
    where: str,
) -> None:
    """Train, or go on with what was stopped or killed; one of several trainings.

    Parameters
    ----------
    spec : TrainingSpec
        What is left open is chosen from the data.
    log : EventLog
        Of all of them; where that is asked to stop, so is the training.
    tell : callable
        Is told done, total and what else is known of each batch and epoch, as named arguments.
    where : str
        Stands before what the training says.

    Raises
    ------
    Stopped
        If it was asked to stop.
    ValueError, OSError
        As `finetune.finetune`.
    """
    from napari_clickseg.training.finetune import finetune, resume

    epochs = 0
    known = {event["text"] for event in log.events()[0] if event["event"] == "message"}

    def listen(event: dict[str, Any]) -> None:
        nonlocal epochs
        if log.stop_requested():
            run.request_stop()
        match event["event"]:
            case "started":
                epochs = event["epochs"]
            case "message" if event["text"] not in known:  # what is so of all was said
                log.add("message", level=event["level"], text=f"{where}: {event['text']}")
            case "batch" | "epoch":
                more = {k: event[k] for k in ("batch", "batches", "metrics") if k in event}
                tell(done=event["epoch"], total=epochs, **more)

    if run.state == "new" and not run.checkpoint.exists():
        outcome = finetune(spec, run.path, on_event=listen, compare=False)
    else:
        run.write_spec(spec)  # folders may have been moved
        outcome = resume(run.path, on_event=listen, compare=False, alone=True)
    if outcome.reason == "stopped":
        raise Stopped
