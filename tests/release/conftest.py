import pytest
from released import build, make_results


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def whole_release(results, tmp_path_factory):
    return build(results, tmp_path_factory.mktemp("release") / "release")
