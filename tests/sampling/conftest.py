import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    # A second thread does not speed up tiny tensors, and waiting for it is slow on a busy machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
