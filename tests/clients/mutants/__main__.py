"""`python -m mutants [FILE…]`: makes all cases, lets recgate judge them and prints the figures. 1: something is not as it should be.

Without files, of the documents that the test command uses. A large one takes minutes: every keyword is tried on the whole message.
"""

import sys
import tempfile
from pathlib import Path

from . import documents, engine, exchanges
from .score import LIMIT_PERCENT, Score


def judged(found):
    """The score of some documents."""
    cases, unbroken = {}, []
    for document in found:
        cases[document.name], barren = exchanges.of_document(document)
        unbroken += barren
    with tempfile.TemporaryDirectory() as folder:
        return Score.of(engine.judge(found, cases, Path(folder)), unbroken)


def main():
    found = [documents.Document(Path(name).resolve()) for name in sys.argv[1:]] or documents.all_documents()
    if not found:
        print(f"there are no documents at {documents.HOME}", file=sys.stderr)
        return 2
    score = judged(found)
    print(score.text())
    return 1 if score.survivors or score.accused or score.percent_excluded > LIMIT_PERCENT else 0


if __name__ == "__main__":
    sys.exit(main())
