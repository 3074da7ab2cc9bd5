"""Bring the file of a model here: from an address, or from a repository of Hugging Face.

Addresses are https, redirects included; http is taken from this computer alone, where nobody can
come between. What comes is a file of bytes, bounded, and looked at by whoever asked for it.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from napari_clickseg.models.checkpoint import ModelFileError
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPMessage
    from typing import IO

LARGEST = 4 * 1024**3  # bytes of a model's file
HUB = "hf:"
_BLOCK = 1 << 20  # bytes read at once
_PATIENCE = 30.0  # seconds without any answer
_HUB = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?P<file>(?:/[^@/]+)*)(?:@(?P<revision>[\w./-]+))?", re.ASCII
)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository of Hugging Face.

    Parameters
    ----------
    path : Path
        In huggingface_hub's cache.
    revision : str
        The commit that it is of.
    """

    path: Path
    name: str
    revision: str


def is_address(source: str) -> bool:
    """Whether a model is asked for by an address, rather than by a file."""
    return re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE) is not None


def download(
    address: str, path: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> str:
    """Write what lies at an address into a file, and return the name that it has there.

    Parameters
    ----------
    address : str
        https://…; http:// of this computer.
    path : Path
        Replaced.
    progress : callable
        Told how many bytes are done, of how many; of 0 where that is not known.

    Raises
    ------
    ModelFileError
        If the address is another one, nobody answers, or the answer is too long or cut short.
    """
    _check(address)
    shown = _plain(address)
    with _opened(address, shown) as answer:
        total = int(answer.headers.get("Content-Length") or 0)
        _check_room(total, path, shown)
        done = _copy(answer, path, total, progress, shown)
    if total and done != total:
        raise ModelFileError(f"{shown} was cut short ({done:,} of {total:,} bytes); try again.")
    return unquote(PurePosixPath(urlsplit(address).path).name)


def _opened(address: str, shown: str) -> Any:
    try:
        request = Request(address, headers={"User-Agent": "napari-clickseg"})
        return build_opener(_Redirects).open(request, timeout=_PATIENCE)
    except ModelFileError:
        raise
    except HTTPError as error:
        error.close()
        raise ModelFileError(
            f"{shown} answers {error.code} ({error.reason}); check the address."
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise ModelFileError(
            f"{shown} can't be reached ({_reason(reason)}); check the network and the address."
        ) from error


def from_hub(source: str, *, endpoint: str | None = None) -> HubFile:
    """Bring a file of a repository of Hugging Face into its cache.

    Without a network, or where HF_HUB_OFFLINE is set, what is in the cache is taken.

    Parameters
    ----------
    source : str
        ``hf:USER/REPO``, with ``/FILE`` where there are several, and ``@REVISION``.
    endpoint : str, optional
        The server; by default huggingface_hub's own, which HF_ENDPOINT moves.

    Raises
    ------
    ModelFileError
        If there is no such file, it is too large, or it can't be had.
    """
    match = _HUB.fullmatch(source)
    if match is None or ".." in source:
        raise ModelFileError(
            f"'{source}' is no model on Hugging Face; write hf:USER/REPO, hf:USER/REPO/FILE or "
            "hf:USER/REPO@REVISION."
        )
    repo, wanted, revision = match["repo"], match["file"].lstrip("/"), match["revision"]
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    if constants.HF_HUB_OFFLINE:
        return _cached(repo, wanted, revision, "HF_HUB_OFFLINE is set")
    try:
        return _brought(repo, wanted, revision, endpoint)
    except (ConnectionError, TimeoutError, LocalEntryNotFoundError) as error:
        return _cached(repo, wanted, revision, _reason(error))


def _brought(repo: str, wanted: str, revision: str | None, endpoint: str | None) -> HubFile:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub import errors as hub

    try:
        info = HfApi(endpoint=endpoint).model_info(
            repo, revision=revision, files_metadata=True, timeout=_PATIENCE
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        name = _chosen(sizes, wanted, repo)
        if sizes[name] > LARGEST:
            raise ModelFileError(_too_large(f"{HUB}{repo}/{name}"))
        commit = info.sha or revision or "main"
        path = hf_hub_download(repo, name, revision=commit, endpoint=endpoint)
    except ModelFileError:
        raise
    except hub.GatedRepoError as error:
        raise ModelFileError(
            f"{repo} is given to those who asked for it; ask on its page, and log in with 'hf auth "
            "login'."
        ) from error
    except hub.RevisionNotFoundError as error:
        raise ModelFileError(f"{repo} has no revision '{revision}'; check it.") from error
    except hub.RepositoryNotFoundError as error:
        raise ModelFileError(
            f"There is no model {repo} on Hugging Face, or it is private; check the name, or log "
            "in with 'hf auth login'."
        ) from error
    except (hub.HfHubHTTPError, hub.HFValidationError) as error:
        raise ModelFileError(f"{HUB}{repo} can't be had ({_reason(error)}).") from error
    except Exception as error:
        raise _of_transport(error) from error
    return HubFile(Path(path), name, commit)


def _of_transport(error: Exception) -> Exception:
    """Return what huggingface_hub's client raised as an error of Python's own where it is one.

    Its versions use different clients (requests, httpx), each with errors of its own for a server
    that can't be reached.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"TimeoutException", "Timeout"}:
        return TimeoutError(_reason(error))
    if kinds & {"TransportError", "RequestException"}:
        return ConnectionError(_reason(error))
    return error


def _cached(repo: str, wanted: str, revision: str | None, why: str) -> HubFile:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        snapshot = Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise ModelFileError(
            f"{HUB}{repo} can't be had: {why}, and it is not in Hugging Face's cache; connect, or "
            "give the model as a file."
        ) from error
    sizes = {p.relative_to(snapshot).as_posix(): 0 for p in snapshot.rglob("*") if p.is_file()}
    name = _chosen(sizes, wanted, f"{repo} (in the cache)")
    return HubFile(snapshot / name, name, snapshot.name)


def _chosen(names: dict[str, int], wanted: str, repo: str) -> str:
    models = [name for name in names if name.lower().endswith(".safetensors")]
    if wanted:
        models = [name for name in models if name == wanted]
    if len(models) == 1:
        return models[0]
    shown = ", ".join(sorted(models)[:_SHOWN])
    if models:
        raise ModelFileError(f"{repo} has several models ({shown}); say which: {HUB}{repo}/FILE.")
    raise ModelFileError(
        f"{repo} has no {wanted or '.safetensors file'}, so there is no model of napari-clickseg "
        "in it; check the name."
    )


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to https alone."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return what is asked next."""
        try:
            _check(newurl, only_https=not _is_here(req.full_url))
        except ModelFileError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(address: str, *, only_https: bool = False) -> None:
    """See that nobody can come between."""
    scheme = urlsplit(address).scheme.lower()
    if scheme == "https" or (scheme == "http" and not only_https and _is_here(address)):
        return
    raise ModelFileError(f"{_plain(address)} is not https, so what comes could be anybody's.")


def _is_here(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_room(total: int, path: Path, shown: str) -> None:
    if total > LARGEST:
        raise ModelFileError(_too_large(shown))
    if total > shutil.disk_usage(path.parent).free:
        raise ModelFileError(
            f"There is no room for {shown} ({total / 1e6:,.0f} MB) in {path.parent}; make some."
        )


def _copy(
    answer: IO[bytes], path: Path, total: int, progress: Callable[[int, int], None], shown: str
) -> int:
    done = 0
    with path.open("wb") as file:
        while block := _read(answer, shown):
            done += len(block)
            if done > LARGEST:
                raise ModelFileError(_too_large(shown))
            file.write(block)
            progress(done, total)
    return done


def _read(answer: IO[bytes], shown: str) -> bytes:
    try:
        return answer.read(_BLOCK)
    except (OSError, HTTPException) as error:  # not the disk's, which the caller tells of
        raise ModelFileError(f"{shown} was cut short ({_reason(error)}); try again.") from error


def _too_large(shown: str) -> str:
    return f"{shown} is larger than {LARGEST >> 30} GiB, so it is no model that is used here."


def _plain(address: str) -> str:
    """Return an address without what may be secret in it."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"[:200]


def _reason(error: object) -> str:
    return one_line(error)[:200] if isinstance(error, BaseException) else str(error)[:200]
