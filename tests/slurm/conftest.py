"""One real Slurm for all tests here."""

import pytest
from cluster import Cluster


@pytest.fixture(scope="session")
def slurm(_no_slurm, tmp_path_factory: pytest.TempPathFactory):
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SLURM_CONF")
        cluster.start()
        yield cluster
        cluster.stop()
