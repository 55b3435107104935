"""A Prefect server for the session, with a database of its own."""

from collections.abc import Iterator

import pytest

from flows.server import quiet_prefect


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    quiet_prefect()
    from prefect.testing.utilities import prefect_test_harness  # after quiet_prefect: Prefect reads it at import

    with prefect_test_harness(server_startup_timeout=120):
        yield
