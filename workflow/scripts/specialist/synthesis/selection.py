"""From candidates to training rows and held-out tasks: which ones pass, and why others do not."""

from collections import Counter

from specialist.synthesis.checks import check_call, check_passage, leaks, near_duplicates
from specialist.synthesis.rows import Writer, facts_of

SHOWN = 3  # examples of each reason in the report
SHOWN_KEYS = (
    "chunk", "tool", "arguments", "kind", "style", "question", "answer", "said", "facts", "shared",
)  # fmt: skip


class Selection:
    """Checks candidates.

    Args:
        candidates: list of dicts; see `specialist.synthesis.questions.candidates` and
            `specialist.synthesis.requests.requests`.
        search: function from a list of questions to a list of hits for each.
        replies: texts of the agent; see `specialist.synthesis.resources.read_replies`.
        ordinary: words that are no names; see `specialist.synthesis.grounding.names`.
        seed: of the choice among the texts.
        tools: entries of tools.yaml.

    Attributes:
        rows: training rows that passed, {"messages"}.
        tasks: held-out tasks that passed, in full form.
        dropped: {reason: list of candidates}.
    """

    def __init__(self, candidates, search, replies, ordinary, seed, tools=()):
        self.candidates, self.ordinary, self.tools = candidates, ordinary, tools
        self.writer = Writer(replies, tools, seed)
        self.dropped, self.rows, self.tasks = {}, [], []
        self._kept = [each for each in candidates if "dropped" not in each]
        for each in candidates:
            if "dropped" in each:
                self._drop(each["dropped"], each)
        asked = [each for each in self._kept if each["kind"] != "request"]
        found = search([each["question"] for each in asked]) if asked else []
        self._hits = {id(each): hits for each, hits in zip(asked, found, strict=True)}

    def select(self, own_tasks, most_tasks):
        """Apply all checks.

        Args:
            own_tasks: tasks of the dataset, in full form.
            most_tasks: most held-out tasks that are made.
        """
        self._check_each()
        # Training rows come first: a task that resembles one is dropped, not the row.
        kept = sorted(self._kept, key=lambda each: each["held_out"])
        again = near_duplicates([each["question"] for each in kept])
        for each, repeated in zip(kept, again, strict=True):
            if repeated:
                self._drop("near_duplicate", each)
        self._kept = [each for each, repeated in zip(kept, again, strict=True) if not repeated]
        self._make_rows(own_tasks)
        self._make_tasks(own_tasks, most_tasks)

    def report(self):
        """Counts of generated, kept and dropped candidates by reason, with examples."""
        by_kind = Counter(each["kind"] for each in self.candidates)
        return {
            "generated": len(self.candidates),
            "generated_by_kind": dict(sorted(by_kind.items())),
            "rows": len(self.rows),
            "tasks": len(self.tasks),
            "dropped": {
                reason: {
                    "n": len(found),
                    "examples": [
                        {key: each[key] for key in SHOWN_KEYS if each.get(key)}
                        for each in found[:SHOWN]
                    ],
                }
                for reason, found in sorted(self.dropped.items())
            },
        }

    def _check_each(self):
        kept, self._kept = self._kept, []
        for each in kept:
            if each["kind"] == "request":
                before = self.writer.before(each)
                reason, facts = check_call(each, before, self.tools, self.ordinary)
            else:
                reason, facts = check_passage(each, self._hits[id(each)], self.ordinary)
            if reason:
                self._drop(reason, each, facts=facts)
            else:
                self._kept.append(each)

    def _make_rows(self, own_tasks):
        """Training rows that share nothing with the dataset's own tasks."""
        trained = [each for each in self._kept if not each["held_out"]]
        rows = [self.writer.row(each, self._hits.get(id(each), ())) for each in trained]
        shared = {number: text for number, _, text in leaks(own_tasks, rows)}
        for number, text in shared.items():
            self._drop("leaks_into_a_task", trained[number], shared=text)
        self.rows = [row for number, row in enumerate(rows) if number not in shared]

    def _make_tasks(self, own_tasks, most):
        """Held-out tasks that share nothing with a training row, evenly from all there are."""
        session, tasks, made = self._session(own_tasks), {}, Counter()
        for each in self._kept:
            if not each["held_out"]:
                continue
            facts = facts_of(each, self.ordinary)
            if reason := self._no_task(each, facts):
                self._drop(reason, each)
                continue
            made[each.get("chunk") or each["tool"]] += 1
            number = made[each.get("chunk") or each["tool"]]
            task = self.writer.task(each, number, facts, session)
            tasks[task["id"]] = task, each
        told = {name: text for _, name, text in leaks([t for t, _ in tasks.values()], self.rows)}
        for name, text in told.items():
            self._drop("leaks_into_a_row", tasks[name][1], shared=text)
        left = [pair for name, pair in tasks.items() if name not in told]
        count = min(most, len(left))
        taken = {i * len(left) // count for i in range(count)}
        self.tasks = [task for number, (task, _) in enumerate(left) if number in taken]
        for number, (_, each) in enumerate(left):
            if number not in taken:
                self._drop("more_than_tasks", each)

    def _no_task(self, each, facts):
        """Why a candidate makes no task, or None."""
        confirm = {tool["name"] for tool in self.tools if tool.get("confirm")}
        if each.get("tool") in confirm:
            return "task_needs_a_yes"  # of the customer: a task with one message has none
        return None if facts or each.get("changes") else "no_fact_for_a_task"

    def _session(self, own_tasks):
        """A value for each name that a tool takes from the session: every task gives them."""
        found = {}
        for each in [*own_tasks, *self.candidates]:
            for name, value in each.get("session", {}).items():
                found.setdefault(name, value)
        return found

    def _drop(self, reason, each, **details):
        self.dropped.setdefault(reason, []).append({**each, **details})
