"""Where data files lie, and how the missing ones are fetched.

Files already in the folder are used as they are; checksums are for downloads alone.
"""

import os
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "EBM_DATA"
_CACHE = "ebm-framework"


class MissingData(FileNotFoundError, ValueError):
    """A data file is not there and could not be downloaded; the message says the cure."""


def data_folder() -> Path:
    """Return the folder that EBM_DATA names, or else the user's cache folder."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache(_CACHE))


def fetch(path: Path, *, url: str, md5: str, needed: Sequence[str] = ()) -> Path:
    """Return the path, its file downloaded if there is none.

    `needed` names the files to put there by hand when this one cannot be downloaded.

    Raises:
        MissingData: The download failed, or is not the file that was published.
    """
    if path.is_file():
        return path
    import pooch

    # Compressed files must arrive as they are: their checksums are of the compressed bytes.
    downloader = pooch.HTTPDownloader(
        progressbar=True, chunk_size=2**16, headers={"Accept-Encoding": "identity"}
    )
    try:
        pooch.retrieve(
            url,
            known_hash=f"md5:{md5}",
            fname=path.name,
            path=path.parent,
            downloader=downloader,  # pyright: ignore[reportArgumentType]
        )
    except (OSError, ValueError) as error:  # no network, no such page, no room; a wrong checksum
        files = ", ".join(needed or [path.name])
        raise MissingData(
            f"{path.name} must lie in {path.parent}, got no such file there and no download from "
            f"{url} ({_reason(error)}). Put {files} into that folder, or set {VARIABLE} to a "
            "folder that holds the data."
        ) from error
    return path


def _reason(error: Exception) -> str:
    """Return one short line on why a download failed."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError) and "hash" in text.lower():
        return "its md5 checksum is not the published one"
    if "resolve" in text.lower() or "unreachable" in text.lower():
        return "no connection to the network"
    return text if len(text) <= 120 else f"{type(error).__name__}: {text[:100]}..."
