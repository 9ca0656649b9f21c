"""One running recgate a test: what one test makes the gateway remember, no other test meets."""

import harness
import pytest


@pytest.fixture
def recgate():
    """The program as it starts with no set-up at all."""
    with harness.Recgate() as running:
        yield running


@pytest.fixture
def mock(recgate):
    return recgate.mock
