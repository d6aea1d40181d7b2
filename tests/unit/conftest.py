"""Bytes are compared: how many threads share a sum must not matter."""

import pytest
import torch


# Of the session, so that fixtures of modules run on one thread too.
@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
