"""The `clickseg` command: each verb a few lines over the same functions that napari calls.

Answers go to standard output; progress, notes and errors to standard error. An error that the
user can do something about is one line, with exit status 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.cli import (
    _clean,
    _clicks,
    _compare,
    _crossfit,
    _demo,
    _explain,
    _export,
    _import,
    _measure,
    _models,
    _predict,
    _project,
    _report,
    _train,
)
from napari_clickseg.cli._common import STOPPED, WRONG, Parser, note
from napari_clickseg.cli.evaluating import _evaluate, _replay
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 where the input was wrong, or 130 where the user stopped it.
    """
    try:
        args = _parser().parse_args(argv)
        status: int = args.run(args)
    except SystemExit as done:  # --help, --version and wrong arguments
        return done.code if isinstance(done.code, int) else WRONG
    except KeyboardInterrupt:
        note("stopped")
        return STOPPED
    except (ValueError, OSError) as error:
        if not _for_the_user(error):
            raise
        note(one_line(error))
        return WRONG
    return status


def _for_the_user(error: Exception) -> bool:
    """Whether an error says what the user can do; a traceback helps with any other."""
    return isinstance(error, OSError) or type(error).__module__.startswith("napari_clickseg.")


def _parser() -> argparse.ArgumentParser:
    from napari_clickseg import __version__

    parser = Parser(prog="clickseg", description="Segment images by clicking.")
    parser.add_argument("--version", action="version", version=f"clickseg {__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for verb in (
        _predict,
        _clean,
        _clicks,
        _train,
        _crossfit,
        _compare,
        _models,
        _evaluate,
        _explain,
        _export,
        _import,
        _measure,
        _project,
        _report,
        _replay,
        _demo,
    ):
        verb.add(verbs)
    return parser
