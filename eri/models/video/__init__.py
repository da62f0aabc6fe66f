"""Networks that read the face crops of a clip themselves. Each is known by the name of its config."""

from eri.models.video.base import PublishedCost, VideoModel, VideoOutput

__all__ = ["PublishedCost", "VideoModel", "VideoOutput"]
