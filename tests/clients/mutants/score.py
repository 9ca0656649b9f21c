"""The mutation score: what was caught, by topic and by place, what was not, and what does not count.

What counts as caught: recgate says `violates` of the hop that is wrong. `unverifiable` is not caught; it is an exclusion
where a reason below says why nobody could do better, and a survivor elsewhere.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

# Why a mutant that recgate calls `unverifiable` does not count: by recgate's reason.
EXCLUSIONS = {
    "media-type": "XML bodies: recgate does not read XML, and says so of each",
    "binary": "bodies that are files: there is nothing in them that a schema could judge",
}
# Mutants that recgate takes on purpose: (document, topic, how the place ends) and why.
ON_PURPOSE = {
    ("020-openapi-3-1/026-nullable-true-ignored", "null", "/phone/type"): "`nullable: true` in 3.1, which has no such word: recgate warns of it at load and honours it, rather than to accuse what the author meant",
}
LIMIT_PERCENT = 3.0
WANTED_PERCENT = 97.0


@dataclass(frozen=True)
class Score:
    mutants: tuple  # (case, verdict)
    right: tuple
    unbroken: tuple

    @classmethod
    def of(cls, verdicts, unbroken):
        every = tuple(verdicts.items())
        return cls(tuple(it for it in every if it[0].topic), tuple(it for it in every if not it[0].topic), tuple(unbroken))

    @property
    def excluded(self):
        return [it for it in self.mutants if why_excluded(*it)]

    @property
    def survivors(self):
        return [it for it in self.mutants if it[1].verdict != "violates" and it not in self.excluded]

    @property
    def killed(self):
        return [it for it in self.mutants if it[1].verdict == "violates"]

    @property
    def accused(self):
        """Right exchanges that recgate calls violating."""
        return [it for it in self.right if it[1].verdict == "violates"]

    @property
    def percent(self):
        return 100 * len(self.killed) / max(1, len(self.killed) + len(self.survivors))

    @property
    def percent_excluded(self):
        return 100 * len(self.excluded) / max(1, len(self.mutants))

    def table(self):
        lines = ["| topic | caught | of | excluded | told at the keyword |", "|---|---|---|---|---|"]
        lines += self._rows(lambda case: case.topic)
        lines += ["", "| place | caught | of | excluded | told at the keyword |", "|---|---|---|---|---|"]
        lines += self._rows(lambda case: case.where)
        by_judge = Counter(case.judge for case, _ in self.mutants)
        lines += ["", "confirmed: " + "; ".join(f"{count} {judge}" for judge, count in by_judge.most_common())]
        return lines

    def _rows(self, key):
        groups = defaultdict(list)
        for case, verdict in self.mutants:
            groups[key(case)].append((case, verdict))
        ordered = sorted(groups.items(), key=lambda it: (-len(it[1]), it[0]))
        for name, group in [*ordered, ("**all**", list(self.mutants))]:
            out = sum(why_excluded(*it) is not None for it in group)
            caught = [it for it in group if it[1].verdict == "violates"]
            told = sum(case.pointer in verdict.findings for case, verdict in caught)
            yield f"| {name} | {len(caught)} | {len(group) - out} | {out} | {told} |"

    def text(self):
        """All of it, for a person."""
        lines = [*self.table(), ""]
        conform = sum(verdict.verdict == "conforms" for _, verdict in self.right)
        lines.append(f"right exchanges: {conform} of {len(self.right)} conform, {len(self.accused)} violate")
        for (reason, document), count in sorted(Counter((verdict.reason, case.document) for case, verdict in self.right if verdict.verdict == "unverifiable").items()):
            lines.append(f"  unverifiable ({reason}): {count} of {document}")
        lines += ["", f"excluded: {len(self.excluded)} of {len(self.mutants)} mutants, {self.percent_excluded:.2f} % (at most {LIMIT_PERCENT:g} %)"]
        for (reason, document), count in sorted(Counter((why_excluded(*it), it[0].document) for it in self.excluded).items()):
            lines.append(f"  {reason}: {count} of {document}")
        lines += ["", f"keywords that no message can break: {len(self.unbroken)}"]
        for (where, topic, reason), count in sorted(Counter((it.where, it.topic, it.reason) for it in self.unbroken).items()):
            lines.append(f"  {topic}, {where}: {reason}: {count}")
        lines += [""] + [f"SURVIVOR {name(case)}: {said(verdict)}" for case, verdict in self.survivors]
        lines += [f"WRONGLY ACCUSED {name(case)}: {said(verdict)}" for case, verdict in self.accused]
        lines.append(f"mutation score: {len(self.killed)} of {len(self.killed) + len(self.survivors)}, {self.percent:.2f} % (at least {WANTED_PERCENT:g} %)")
        return "\n".join(lines)


def why_excluded(case, verdict):
    """The reason why a mutant that was not caught does not count; None where it does."""
    if verdict.verdict == "unverifiable":
        return EXCLUSIONS.get(verdict.reason)
    if verdict.verdict == "conforms":
        return next((why for (document, topic, end), why in ON_PURPOSE.items() if (document, topic) == (case.document, case.topic) and case.pointer.endswith(end)), None)
    return None


def name(case):
    return f"{case.document}, {case.operation}, {case.hop}, {case.where}: {case.topic or 'right'} at {case.pointer}"


def said(verdict):
    return verdict.verdict + (f" ({verdict.reason})" if verdict.reason else "") + "".join(f" {it}" for it in verdict.findings)
