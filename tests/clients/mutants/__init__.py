"""Mutation judging: valid exchanges and broken ones for other people's OpenAPI documents, made without recgate's code.

What it is for: a contract engine may be wrong by saying nothing, and its own tests share its views. Here a second
reader of the specification, in Python, makes for each operation the exchanges that are right, and for each keyword of
each schema that the operation reaches one exchange that is wrong by that keyword alone. Another validator (Python's
jsonschema) confirms both; what it has no keyword for stands as an expectation written by hand, and is counted as such.

The way through: documents → lower → examples → mutate → text, bodies → exchanges → engine → score.
What it refuses: to count anything as caught that recgate did not call `violates` on the very hop that is wrong.
"""
