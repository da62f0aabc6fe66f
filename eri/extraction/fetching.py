"""Clips of an object store on their way to the decoder: what features are made from is fetched for that long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from eri.data.clips import Clip
from eri.remote.media import fetched
from eri.store.sources import Source


@contextmanager
def at_hand(clip: Clip, source: Source | None, folder: Path | None = None) -> Iterator[tuple[Clip, Source | None]]:
    """Yield a clip and its source as files of this machine.

    Args:
        clip: The clip.
        source: What its features are made from; one that is here already is yielded as it is.
        folder: Where a copy may stand meanwhile.

    Raises:
        MediaError: The source is not there or may not be read; its message and those of the block name the URL.
        RemoteError: The object store cannot be reached.
        StoreError: There is no room for a copy.
    """
    if source is None or source.url is None:
        yield clip, source
        return
    with fetched(source.url, folder) as path:
        here = {name: path for name in ("video", "audio") if getattr(clip, name) == source.path}
        yield (
            replace(clip, video=here.get("video", clip.video), audio=here.get("audio", clip.audio)),
            replace(source, path=path, url=None),
        )
