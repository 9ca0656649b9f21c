"""The judgement, a test a document: its right exchanges conform, and every mutant of it is caught.

What it assumes: that the documents are where a checkout of the project with its shared data has them. They are no part
of the project; where they are absent these tests are skipped, and counted as skipped.
"""

import pytest

from mutants import documents, engine
from mutants.__main__ import judged
from mutants.score import EXCLUSIONS, LIMIT_PERCENT, WANTED_PERCENT, name, said, why_excluded

DOCUMENTS = documents.all_documents()
WANTED_DOCUMENTS = 237

if not DOCUMENTS:
    pytest.skip(f"the documents are not at {documents.HOME}", allow_module_level=True)


@pytest.fixture(scope="session")
def score(request):
    made = judged(DOCUMENTS)
    request.config.stash[request.config.mutants] = made.text()
    return made


def test_there_are_as_many_documents_as_were_agreed():
    assert len(DOCUMENTS) == WANTED_DOCUMENTS


def test_every_document_loads():
    code, told = engine.lint(DOCUMENTS)
    assert code == 0, told


def test_the_score_holds_and_little_is_excluded(score):
    assert score.percent >= WANTED_PERCENT
    assert score.percent_excluded <= LIMIT_PERCENT


@pytest.mark.parametrize("document", [document.name for document in DOCUMENTS])
def test_right_exchanges_conform(score, document):
    mine = [(case, verdict) for case, verdict in score.right if case.document == document]
    assert mine
    wrong = [f"{name(case)}: {said(verdict)}" for case, verdict in mine if verdict.verdict != "conforms" and verdict.reason not in EXCLUSIONS]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("document", [document.name for document in DOCUMENTS])
def test_every_mutant_is_caught(score, document):
    mine = [(case, verdict) for case, verdict in score.mutants if case.document == document]
    assert mine
    alive = [f"{name(case)}: {said(verdict)}" for case, verdict in mine if verdict.verdict != "violates" and not why_excluded(case, verdict)]
    assert not alive, "\n".join(alive)
