"""Object stores: ``s3://``, ``gs://`` and whatever else fsspec reads, mirrored here so that the rest sees folders."""

from eri.storage.location import ObjectUrl, describe, mirrored_url, name_urls, parse_url, standing_for

__all__ = ["ObjectUrl", "describe", "mirrored_url", "name_urls", "parse_url", "standing_for"]
