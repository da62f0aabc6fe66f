"""A Ray cluster whose nodes share nothing with the driver but an object store."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest

from eri.config import Runtime
from eri.extraction.run import extract
from eri.storage import parse_url
from eri.storage.mirror import mirror_data
from tests.factories.comparing import assert_same_features
from tests.factories.extractors import fake_config, fake_extractors, fake_table, read_fake_table
from tests.factories.objects import Bucket
from tests.factories.ray_cluster import RayCluster

pytestmark = [
    pytest.mark.faults,  # it takes most of a minute
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]


def test_clips_and_features_go_through_the_store(s3_bucket: Bucket, tmp_path: Path) -> None:
    import ray

    here = fake_table(tmp_path / "media", {f"{number}": f"partly {number}" for number in range(6)})
    url = parse_url(s3_bucket.upload(tmp_path / "media", "data"))
    assert url is not None
    with RayCluster(nodes=0) as cluster:
        for number in range(2):
            cluster.add(ERI_CACHE=str(tmp_path / f"node-{number}"))
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            table = read_fake_table(mirror_data(url))
            features, runtime = Path(f"{s3_bucket.url}/features"), Runtime(workers=1)
            create = fake_extractors()
            report = extract(table, [fake_config()], features, runtime, engine="ray", create=create)
            again = extract(table, [fake_config()], features, runtime, engine="ray", create=create)
        finally:
            ray.shutdown()
    assert (report.extractors[0].computed, again.extractors[0].computed) == (6, 0)
    made = [len(list((tmp_path / place).rglob("*.safetensors"))) for place in ("node-0", "node-1", "cache")]
    assert (sum(made), made[2]) == (6, 0)
    extract(here, [fake_config()], tmp_path / "here", Runtime(workers=0), create=fake_extractors())
    s3_bucket.client.get(f"{s3_bucket.name}/features/", str(tmp_path / "there"), recursive=True)
    assert_same_features(tmp_path / "there", tmp_path / "here")
