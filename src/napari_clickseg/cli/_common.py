"""What the verbs of the `clickseg` command share: arguments, progress, output."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from tqdm import tqdm

WRONG = 2  # exit status where the input is wrong
STOPPED = 130
_PATIENCE = 2.0  # seconds after which a progress bar appears
_TICK = 0.5  # seconds between two looks at the clock


class UsageError(ValueError):
    """Arguments that don't go together; the message says which."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with that line."""
        self.exit(WRONG, f"{self.prog}: {message}; see {self.prog} --help\n")


def add_verb(
    verbs: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, more: str = ""
) -> argparse.ArgumentParser:
    """Add a verb.

    Parameters
    ----------
    name : str
        What the user types.
    run : callable
        Takes the arguments and returns the exit status.
    text, more : str
        What --help says above and below the arguments.
    """
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=text, epilog=more or None
    )
    parser.set_defaults(run=run)
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the choice of model and device."""
    parser.add_argument("--model", default="default", metavar="M", help="name or .safetensors file")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or mps")


def position(text: str) -> tuple[float, float]:
    """Read Y,X."""
    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not Y,X such as 120,88.5") from None
    return y, x


def integers(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between."""
    return tuple(count(part) for part in text.split(","))


def count(text: str) -> int:
    """Read a whole number of at least 0."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number, 0 or more")
    return int(text)


def positive_count(text: str) -> int:
    """Read a whole number of at least 1."""
    if (value := count(text)) == 0:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return value


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 0 and 1")
    return value


def identifier(text: str) -> int | None:
    """Read an id, or none."""
    return None if text == "none" else count(text)


def progress(total: int, unit: str) -> tqdm[NoReturn]:
    """Return a progress bar that appears where the work is long and a terminal is there."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, delay=_PATIENCE, disable=None, leave=False)


def shown_on(bar: tqdm[Any]) -> Callable[[int, int], None]:
    """Return what shows on a bar how much is done, of how much, where that is known at last."""

    def show(done: int, total: int) -> None:
        bar.total = total or None
        bar.update(done - bar.n)

    return show


class Waiting:
    """A line on the terminal, from the first second, that says what is waited for and how long.

    Where there is no terminal nothing is shown.
    """

    def __init__(self, text: str) -> None:
        self._text, self._began = text, time.monotonic()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._count, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def say(self, text: str) -> None:
        """Say that something else is waited for now."""
        self._text = text

    def end(self) -> None:
        """Wipe the line; nothing happens the second time."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._write("")

    def _count(self) -> None:
        while not self._over.is_set():
            self._write(f"{self._text} … {time.monotonic() - self._began:.0f} s")
            self._over.wait(_TICK)

    def _write(self, text: str) -> None:
        with self._lock:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()


def say(text: str) -> None:
    """Write an answer to standard output."""
    sys.stdout.write(f"{text}\n")


def say_json(value: object) -> None:
    """Write an answer as JSON."""
    say(json.dumps(value, indent=2))


def note(text: str) -> None:
    """Write what is not the answer to standard error."""
    sys.stderr.write(f"clickseg: {text}\n")


class EventBar:
    """A progress bar that what follows a run opens, and that is closed at the end."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class StepsBar(EventBar):
    """Shows the events of several trainings as a bar of the steps that are done, and notes.

    Parameters
    ----------
    steps : str
        What a beginning calls its list of steps.
    event : str
        That tells of one of them.
    unit : str
        What the bar counts.
    """

    def __init__(self, steps: str, event: str, unit: str) -> None:
        super().__init__()
        self._steps, self._event, self._unit = steps, event, unit

    def show(self, event: dict[str, Any]) -> None:
        """Show an event; runs in a thread."""
        kind = event["event"]
        if kind == "started":
            self._bar = progress(len(event[self._steps]), self._unit)
            self._bar.update(sum(step["done"] for step in event[self._steps]))
        elif kind == "message":
            note(event["text"])
        elif self._bar is not None and kind == self._event:
            if event["state"] == "started":
                fold = f" {event['fold']}" if event.get("fold") else ""
                self._bar.set_description(f"{event[kind]}{fold}", refresh=False)
            elif event["state"] != "stopped":
                self._bar.update()
        elif self._bar is not None and kind == "progress":
            done, total = event["done"], event["total"]
            self._bar.set_postfix({event["unit"]: f"{done}/{total}"}, refresh=True)
