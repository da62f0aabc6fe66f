"""What a media file holds: its streams, length, frame rate, size and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from eri.media.canvas import fit, frame_orientation
from eri.media.images import list_images, read_image, unreadable
from eri.media.streams import (
    MAX_DAMAGED,
    Damage,
    audio_streams,
    check_file,
    decoded,
    guard,
    has_decoder,
    is_folder,
    open_container,
    packets,
    video_streams,
)
from eri.media.timeline import Track, clip_start, pixel_aspect, scan, video_timeline
from eri.utils.errors import NoVideoError


@dataclass(frozen=True)
class MediaInfo:
    """What a media file, or a folder of images, holds; None where it does not say or has no such stream."""

    path: Path
    size_bytes: int
    duration: float | None = None  # seconds from the first audio or image to the last
    has_video: bool = False  # cover art does not count
    has_audio: bool = False  # that can be decoded
    width: int | None = None  # as displayed, in pixels
    height: int | None = None
    rotation: int = 0  # clockwise degrees by which the stored frames are rotated for display: 0, 90, 180 or 270
    mirrored: bool = False  # left and right are swapped after rotating
    frame_rate: float | None = None  # mean frames per second
    variable_frame_rate: bool = False
    frames: int | None = None
    video_codec: str | None = None  # FFmpeg's name
    audio_codec: str | None = None
    sample_rate: int | None = None  # of the stored audio
    audio_duration: float | None = None
    notes: tuple[str, ...] = ()


def probe_media(path: Path) -> MediaInfo:
    """Look into a media file or a folder of numbered images: every packet is read, one image is decoded.

    A file without images or without audio is no error; one without both, or that is damaged or not media, raises a
    MediaError whose subclass and ``reason`` say why.
    """
    if is_folder(path):
        return _probe_folder(path)
    info = MediaInfo(path, check_file(path))
    damage, first = Damage(), _FirstFrames()
    with open_container(path) as container:
        audio = [stream for stream in audio_streams(container) if has_decoder(stream)]
        video = video_streams(container)
        video = [stream for stream in video if has_decoder(stream)] or video
        for stream in video:
            guard(stream, path)
        tracks = scan(first.watch(packets(container, [*video, *audio], damage)))
        info = _with_video(info, tracks, first, clip_start(container))
        info = _with_audio(info, audio, tracks, clip_start(container))
        notes = [*info.notes, *damage.notes("video or audio")]
        if len(audio) < len(container.streams.audio):
            notes.append("an audio track has no decoder, or its description is missing")
    if not info.has_video and not info.has_audio:
        raise NoVideoError(path, "holds neither video nor audio")
    return replace(info, notes=tuple(notes))


class _FirstFrames:
    """The first image of each video stream, decoded from packets that are on their way to someone else."""

    def __init__(self) -> None:
        self.frames: dict[int, VideoFrame] = {}
        self.damage: dict[int, Damage] = {}

    def watch(self, source: Iterator[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        for packet in source:
            index, damage = packet.stream.index, self.damage.setdefault(packet.stream.index, Damage())
            if packet.stream.type == "video" and index not in self.frames and damage.packets < MAX_DAMAGED:
                for frame in decoded(iter([packet]), VideoFrame, damage):
                    self.frames.setdefault(index, frame)
            yield packet


def _probe_folder(folder: Path) -> MediaInfo:
    listing = list_images(folder)
    first = next((image for path in listing.paths if (image := read_image(path, None)) is not None), None)
    if first is None:
        raise unreadable(folder)
    return MediaInfo(
        folder,
        sum(path.stat().st_size for path in listing.paths),
        duration=listing.end,
        has_video=True,
        width=first.shape[1],
        height=first.shape[0],
        frame_rate=len(listing.paths) / listing.end,
        variable_frame_rate=len(listing.paths) < listing.end,
        frames=len(listing.paths),
        video_codec=listing.paths[0].suffix.lower().removeprefix("."),
    )


def _with_video(info: MediaInfo, tracks: dict[int, Track], first: _FirstFrames, zero: float) -> MediaInfo:
    shown = [track for track in tracks.values() if isinstance(track.stream, VideoStream)]
    if not any(track.count for track in shown):
        return info
    timeline = video_timeline(shown, zero, info.path)
    if timeline.stream not in first.frames:
        raise first.damage[timeline.stream].error(info.path, "video")
    stream, frame = tracks[timeline.stream].stream, first.frames[timeline.stream]
    rotation, mirrored = frame_orientation(frame)
    aspect = pixel_aspect(stream) if isinstance(stream, VideoStream) else 1.0
    size = fit(frame.width * aspect, frame.height, None)
    width, height = size if rotation % 180 == 0 else size[::-1]
    return replace(
        info,
        duration=timeline.end,
        has_video=True,
        width=width,
        height=height,
        rotation=rotation,
        mirrored=mirrored,
        frame_rate=timeline.frame_rate,
        variable_frame_rate=timeline.variable,
        frames=len(timeline.onsets),
        video_codec=stream.codec_context.name,
        notes=timeline.notes,
    )


def _with_audio(info: MediaInfo, audio: list[AudioStream], tracks: dict[int, Track], zero: float) -> MediaInfo:
    for stream in audio:
        track = tracks[stream.index]
        if track.count:
            ends = [end for end in (info.duration, track.end(zero)) if end is not None]
            return replace(
                info,
                duration=max(ends, default=None),
                has_audio=True,
                audio_codec=stream.codec_context.name,
                sample_rate=stream.sample_rate,
                audio_duration=track.duration,
            )
    return info
