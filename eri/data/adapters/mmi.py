"""The MMI facial expression database: frontal videos of one of six expressions; docs/data-sets.md shows the layout.

Sessions of another code, of action units alone, of still images, or seen from the side (view 1) or from both sides in
one image (view 2) are passed over, as the papers do, who keep 205 sequences of 30 subjects.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from eri.config.tasks import Task
from eri.data.adapters.expressions import (
    CONFLICT,
    NO_SUBJECT,
    UNKNOWN_CLASS,
    make_id,
    make_table,
    visible_files,
    visible_folders,
)
from eri.data.adapters.listing import VIDEO_SUFFIXES, find_child, find_folder
from eri.data.clips import Clip, ClipTable
from eri.data.tables import Kind, Problems, parse_number
from eri.utils.errors import DataError

NAME = "mmi"
LOOKS_FOR = "Sessions/<number>/session.xml (MMI)"
TASK = Task.of_classes(NAME, ("anger", "disgust", "fear", "happiness", "sadness", "surprise"))
"""In the order of the codes 1 to 6."""

FRONTAL = "0"
"""The view of a track that shows the face from the front; a track that names none is taken for one."""

_SESSIONS, _SESSION = "Sessions", "session.xml"
_UNREADABLE = Kind("files that are no XML", "Copy the session again from the data set.")
_SUBJECT = re.compile(r"S0*(\d+)[-_].*", re.IGNORECASE)


def matches(source: Path) -> bool:
    """Say whether a folder holds, or is, the folder of sessions with one that has its description."""
    home = _home(source)
    folders = visible_folders(home).items() if home is not None else ()
    return any(name.isdigit() and find_child(path, _SESSION).is_file() for name, path in folders)


def load(source: Path) -> ClipTable:
    """Read the clip table from the folder that holds ``Sessions``, or ``Sessions`` itself."""
    home = _home(source)
    if home is None:
        raise DataError(f"{source}: does not hold the data set '{NAME}'", hint=f"Looked for {LOOKS_FOR}.")
    problems = Problems(home, "session")
    clips = (_read_session(session, folder, problems) for session, folder in visible_folders(home).items())
    nothing = DataError(
        f"{home}: no session holds a frontal video of one of {', '.join(TASK.labels)}",
        hint="Download sessions whose emotion is annotated, with their videos and XML files.",
    )
    return make_table(NAME, home.parent, TASK, filter(None, clips), problems, nothing)


def _home(source: Path) -> Path | None:
    if source.name.lower() == _SESSIONS.lower() and source.is_dir():
        return source
    return find_folder(source, _SESSIONS)


def _read_session(session: str, folder: Path, problems: Problems) -> Clip | None:
    """Return the clip of a session; None where it is passed over or its problem is recorded."""
    try:
        files = visible_files(folder, (".xml",))
        described = {stem.lower(): ElementTree.parse(path).getroot() for stem, path in files.items()}
    except ElementTree.ParseError as error:
        problems.add(_UNREADABLE, session, str(error))
        return None
    description = described.pop("session", None)
    tags = [tag for root in described.values() for tag in root.iter("Metatag")]
    codes = {tag.get("Value", "").strip() for tag in tags if tag.get("Name", "").lower() == "emotion"}
    video = _frontal_video(folder, description)
    if not codes or video is None:
        return None
    if len(codes) > 1:
        problems.add(CONFLICT, session, f"is annotated as {' and '.join(sorted(codes))}")
        return None
    number = parse_number(code := codes.pop())
    if number is None:
        problems.add(UNKNOWN_CLASS, session, f"its code is '{code}'; known: 1 ({TASK.labels[0]}) to 6")
        return None
    if number not in range(1, len(TASK.labels) + 1):
        return None
    subject = _subject(video, description)
    if subject is None:
        problems.add(NO_SUBJECT, session, f"neither {_SESSION} nor the file name {video.name} names the subject")
        return None
    return Clip(make_id(session), "train", video, labels=TASK.one_hot(int(number) - 1), group=subject)


def _frontal_video(folder: Path, description: ElementTree.Element | None) -> Path | None:
    """Return the first video that is not described as seen otherwise than from the front."""
    tracks = description.iter("track") if description is not None else ()
    views = {Path(track.get("filename", "")).stem: track.get("view", FRONTAL) for track in tracks}
    videos = sorted(visible_files(folder, VIDEO_SUFFIXES).items())
    # A lone track may leave its file unnamed.
    lone = views.get("", FRONTAL) if len(views) == 1 else FRONTAL
    return next((path for stem, path in videos if views.get(stem, lone) == FRONTAL), None)


def _subject(video: Path, description: ElementTree.Element | None) -> str | None:
    element = next(description.iter("subject"), None) if description is not None else None
    number = parse_number(element.get("id", "")) if element is not None else None
    if number is None and (named := _SUBJECT.fullmatch(video.name)):
        number = int(named[1])
    return None if number is None else f"S{int(number):03d}"
