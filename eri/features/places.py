"""Where features are: a folder of this machine, or a URL with the mirror that stands for it here."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from eri.features.folder import FeatureFolder
from eri.features.problems import explained
from eri.storage import ObjectUrl, mirrored_url, parse_url
from eri.storage.location import mirror_path


def open_folder(path: Path, digest: str) -> FeatureFolder:
    """Return the feature folder at a path: one in an object store where the path is in a mirror.

    Args:
        path: The folder.
        digest: Digest of the extractor's identity.
    """
    url = mirrored_url(path, "features")
    if url is None or path.parent.name.startswith("."):  # the latter is being put together, and seen by no one yet
        return FeatureFolder(path, digest)
    from eri.features.mirrored import MirroredFolder

    return MirroredFolder(path, digest, url)


def local_features(features: str | Path) -> Path:
    """Return the folder that stands for a feature store on this machine.

    Of one in an object store, that is its mirror, in which identities, configs and lists of failures are brought up to
    date; features are fetched later, where they are asked for.

    Args:
        features: A folder, returned as it is, or a URL such as ``s3://bucket/features``.

    Raises:
        RemoteError: The store cannot be reached, or refuses.
        MissingDependencyError: Its client is not installed.
        StoreError: The mirror cannot be written.

    Examples:
        >>> local_features("features")
        PosixPath('features')
    """
    url = parse_url(features)
    if url is None:
        return Path(features)
    from eri.storage.objects import ObjectStore

    root = mirror_path(url, "features")
    for name in ObjectStore(url).folders():
        if not name.startswith("."):
            _update_descriptions(url / name, root / name)
    return root


def _update_descriptions(url: ObjectUrl, folder: Path) -> None:
    from eri.features.mirrored import DESCRIPTIONS, fetch_changed
    from eri.storage.objects import ObjectStore

    store = ObjectStore(url)
    found = {name: stamp for begin in DESCRIPTIONS for name, stamp in store.stamps(begin).items() if "/" not in name}
    for name, stamp in found.items():
        fetch_changed(store, name, folder / name, stamp)
    if "failures.csv" not in found:
        with explained(folder), suppress(FileNotFoundError):
            (folder / "failures.csv").unlink()
