"""The lines of events.jsonl, checked: what is none is left out, and nothing else suffers.

Other programs, other versions and crashes write such files, too. So whoever follows a run is given
numbers where numbers belong.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_MOST = 10**12  # of whatever is counted

_Count = Annotated[int, Field(ge=0, le=_MOST)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class _Event(_Model):
    """What all events have."""

    event: str
    time: Annotated[float, Field(ge=0, le=_MOST)] = 0.0


class _Step(_Model):
    stage: str
    fold: _Count | None = None
    done: bool | None = None


class _Started(_Event):
    pid: Annotated[int, Field(ge=0, lt=2**31)] = 0
    epochs: _Count = 0
    training: _Count = 0
    validation: _Count = 0
    device: str = ""
    resumed: bool | None = None
    stages: tuple[_Step, ...] = ()


class _Message(_Event):
    text: str
    level: str = ""


class _Batch(_Event):
    epoch: _Count = 1
    batch: _Count = 0
    batches: _Count = 1
    loss: float | None = None
    seconds_left: float | None = None


class _Epoch(_Event):
    epoch: _Count = 1
    loss: float | None = None
    validation_loss: float | None = None
    metrics: dict[str, float | None] | None = None
    best: bool | None = None
    waiting_share: float | None = None


class _Preview(_Model):
    image: str
    prediction: str
    truth: str | None = None


class _Previews(_Event):
    epoch: _Count = 0
    files: tuple[_Preview, ...] = ()


class _HelpRow(_Model):
    metric: str
    before: float | None = None
    after: float | None = None
    note: str | None = None


class _Help(_Event):
    table: tuple[_HelpRow, ...] = ()
    kind: str = ""
    text: str = ""
    advice: tuple[str, ...] = ()


class _Finished(_Event):
    reason: str = "done"
    model: str | None = None
    best_epoch: _Count | None = None
    predicted: _Count = 0
    problems: tuple[str, ...] = ()


class _Failed(_Event):
    message: str = ""


class _Stage(_Event):
    stage: str
    fold: _Count | None = None
    state: str
    seconds: Annotated[float, Field(ge=0)] | None = None
    message: str | None = None


class _Progress(_Event):
    stage: str
    fold: _Count | None = None
    done: _Count | None = None
    total: _Count | None = None
    batch: _Count = 0
    batches: _Count | None = None
    metrics: dict[str, float | None] | None = None


class _Image(_Event):
    done: _Count = 0
    total: _Count = 0


class _Trial(_Event):
    trial: str
    state: str
    seconds: Annotated[float, Field(ge=0)] | None = None
    message: str | None = None


_KINDS: dict[str, type[_Event]] = {
    "started": _Started,
    "message": _Message,
    "batch": _Batch,
    "epoch": _Epoch,
    "previews": _Previews,
    "help": _Help,
    "finished": _Finished,
    "failed": _Failed,
    "stage": _Stage,
    "progress": _Progress,
    "image": _Image,
    "trial": _Trial,
}


def read_event(line: bytes) -> dict[str, Any] | None:
    """Return the event that a line says; None where that makes no sense.

    What is not known of an event is kept as it is.
    """
    try:
        event = _Event.model_validate_json(line)
        kind = _KINDS.get(event.event)
        checked = event if kind is None else kind.model_validate_json(line)
    except ValidationError:
        return None
    return checked.model_dump(exclude_unset=True)
