"""The executor keeps the contract of executors, on a real cluster."""

import pytest
from ktrans_ray.connection import CONNECTION
from ktrans_ray.executor import RayExecutor, RayExecutorConfig

from ktrans.testing.contracts import ExecutorContract

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module", autouse=True)
def connected(ray_cluster):
    """One connection for all tests, which use the same workers then."""
    CONNECTION.open(ray_cluster.address)
    yield
    CONNECTION.close()


class TestRay(ExecutorContract):
    covers = ("ray",)

    @pytest.fixture
    def component(self, ray_cluster):
        return RayExecutor(RayExecutorConfig(address=ray_cluster.address))
