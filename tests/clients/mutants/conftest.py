"""Prints the figures at the end of the run, whether or not something failed."""

import pytest


def pytest_configure(config):
    config.mutants = pytest.StashKey()


def pytest_terminal_summary(terminalreporter, config):
    text = config.stash.get(config.mutants, None)
    if text is not None:
        terminalreporter.write_sep("-", "mutation score")
        terminalreporter.write_line(text)
