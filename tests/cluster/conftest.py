"""Servers for the tests of this folder: on SQLite, or on PostgreSQL where GENLIB_TEST_DATABASE says so."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pipelines.servers.local import Server
from tests.cluster.cluster import Cluster


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    """With everything deployed."""
    with Cluster.started(os.environ.get("GENLIB_TEST_DATABASE", "sqlite")) as cluster:
        cluster.deploy()
        yield cluster


@pytest.fixture
def worker(cluster: Cluster) -> Iterator[Server]:
    """Of the pool local; the only one, so that a test with a worker of its own knows which of them takes its run."""
    with cluster.worker("local") as worker:
        yield worker
