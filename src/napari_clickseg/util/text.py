"""Words for people: an error in one line."""

from __future__ import annotations


def one_line(error: BaseException, *, kind: bool = False) -> str:
    """Return what an error says in one line; its kind where it says nothing.

    Parameters
    ----------
    kind : bool
        Say its kind in any case, as for errors that nobody foresaw.
    """
    text, name = " ".join(_message(error).split()), type(error).__name__
    if not text:
        return name
    return f"{name}: {text}" if kind else text


def _message(error: BaseException) -> str:
    """Return what an error says; of the system's, the file and what is wrong with it."""
    if not isinstance(error, OSError) or not (error.strerror and error.filename):
        return str(error)
    todo = "; choose another place, or have its permissions changed"
    return (
        f"{error.filename}: {error.strerror}{todo if isinstance(error, PermissionError) else ''}."
    )


def counted(number: int, what: str, plural: str = "") -> str:
    """Return how many there are of something, as "1 image" or "3 images".

    Parameters
    ----------
    what : str
        The word for one.
    plural : str
        The word for several; empty: with an "s".
    """
    return f"{number:,} {what if number == 1 else plural or what + 's'}"
