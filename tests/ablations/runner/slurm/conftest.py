"""A running SLURM, and a checkout whose cells are submitted to it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ablations.runner.slurm.checkout import Checkout
from tests.ablations.runner.slurm.cluster import Cannot, Cluster, install


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running SLURM; if there is none, the test is skipped."""
    # A short path: that of a socket is limited to 108 bytes.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)  # munged has its socket where everybody can reach it
        cluster = Cluster(Path(folder))
        try:
            install()
            cluster.start()
            yield cluster
        except Cannot as error:
            pytest.skip(f"no SLURM here: {error}")
        finally:
            cluster.stop()


@pytest.fixture
def checkout(cluster: Cluster, tmp_path: Path) -> Iterator[Checkout]:
    """A checkout whose submitters use the cluster; at the end all jobs are removed."""
    checkout = Checkout(tmp_path, cluster.env)
    yield checkout
    for submitter in checkout.submitters:
        submitter.process.kill()
        submitter.process.wait()
    cluster.cancel_all()
