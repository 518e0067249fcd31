"""From candidates to training rows and held-out tasks: which ones pass, and why others do not."""

from collections import Counter

from specialist.synthesis.checks import (
    check_call,
    check_passage,
    check_words,
    leaks,
    near_duplicates,
)
from specialist.synthesis.conversations import Composer
from specialist.synthesis.judge import REASONS
from specialist.synthesis.rows import Writer, facts_of

SHOWN = 3  # examples of each reason in the report
SHOWN_KEYS = (
    "chunk", "tool", "arguments", "kind", "style", "conversation", "question", "answer", "said",
    "facts", "shared", "why",
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
        mistake: function from a task to why prepare_tasks would refuse it, or None; see
            `specialist.synthesis.preparation.Preparation.mistake`.

    Attributes:
        rows: training rows that passed, {"messages"}.
        tasks: held-out tasks with one message that passed, in full form.
        conversations: held-out conversations that passed.
        dropped: {reason: list of candidates}.
    """

    def __init__(
        self, candidates, search, replies, ordinary, seed, tools=(), mistake=lambda task: None
    ):
        self.candidates, self.ordinary, self.tools = candidates, ordinary, tools
        self.writer, self.mistake = Writer(replies, tools, seed), mistake
        self.dropped, self.rows, self.tasks, self.conversations = {}, [], [], []
        self._kept = [each for each in candidates if "dropped" not in each]
        for each in candidates:
            if "dropped" in each:
                self._drop(each["dropped"], each)
        asked = [each for each in self._kept if each["kind"] != "request"]
        found = search([each["question"] for each in asked]) if asked else []
        self._hits = {id(each): hits for each, hits in zip(asked, found, strict=True)}

    def select(self, own_tasks, most_tasks, most_conversations=0):
        """Apply all checks.

        Args:
            own_tasks: tasks of the dataset, in full form.
            most_tasks: most held-out tasks with one message that are made.
            most_conversations: most held-out conversations that are made.
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
        session = self._session(own_tasks)
        held = [each for each in self._kept if each["held_out"]]
        single = [each for each in held if "conversation" not in each]
        if most_conversations:
            used = self._make_conversations(held, session, most_tasks, most_conversations)
            single = [each for each in single if id(each) not in used]
        self._make_tasks(single, session, most_tasks)

    def report(self):
        """Counts of generated, kept and dropped candidates by reason, with examples."""
        by_kind = Counter(each["kind"] for each in self.candidates)
        return {
            "generated": len(self.candidates),
            "generated_by_kind": dict(sorted(by_kind.items())),
            "rows": len(self.rows),
            "tasks": len(self.tasks),
            "conversations": len(self.conversations),
            **self._verdicts(),
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
            reason = reason or check_words(each) or REASONS.get(each.get("verdict"))
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

    def _make_conversations(self, held, session, most_tasks, most):
        """Conversations of held-out candidates; returns the ids of the questions in them.

        Where tasks with one message are wanted too, they get half of the questions.
        """
        asked = [e for e in held if e["kind"] == "question" and self._facts(e)]
        composer = Composer(self.writer, self._facts, session)
        pairs = composer.compose(self._whole(held), asked[1::2] if most_tasks else asked, most)
        told = {name: text for _, name, text in leaks([task for task, _ in pairs], self.rows)}
        used = set()
        for task, parts in pairs:
            reason, details = None, {}
            if why := self.mistake(task):
                reason, details = "fails_preparation", {"why": why}
            elif task["id"] in told:
                reason, details = "leaks_into_a_row", {"shared": told[task["id"]]}
            else:
                self.conversations.append(task)
                used |= set(map(id, parts))
            for each in parts:  # its questions may still become tasks
                if reason and each["kind"] == "request":
                    self._drop(reason, each, **details)
        return used

    def _whole(self, held):
        """The calls of each conversation whose parts all passed; the parts of others are dropped.

        A later call builds on those before it, so none can be left out.
        """
        parts = Counter(e["conversation"] for e in self.candidates if "conversation" in e)
        found = {}
        for each in held:
            if "conversation" in each:
                found.setdefault(each["conversation"], []).append(each)
        whole = []
        for number, calls in found.items():
            empty = [each for each in calls if not (each["changes"] or self._facts(each))]
            if len(calls) == parts[number] and not empty:
                whole.append(calls)
                continue
            for each in calls:
                reason = "no_fact_for_a_task" if each in empty else "incomplete_conversation"
                self._drop(reason, each)
        return whole

    def _make_tasks(self, held, session, most):
        """Held-out tasks that share nothing with a training row, evenly from all there are."""
        tasks, made = {}, Counter()
        for each in held:
            facts = self._facts(each)
            if reason := self._no_task(each, facts):
                self._drop(reason, each)
                continue
            made[each.get("chunk") or each["tool"]] += 1
            number = made[each.get("chunk") or each["tool"]]
            task = self.writer.task(each, number, facts, session)
            if why := self.mistake(task):
                self._drop("fails_preparation", each, why=why)
            else:
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

    def _facts(self, each):
        return facts_of(each, self.ordinary)

    def _verdicts(self):
        """{"judged": counts of the judge's verdicts}; empty without a judge."""
        counts = Counter(each["verdict"] for each in self.candidates if "verdict" in each)
        return {"judged": dict(sorted(counts.items()))} if counts else {}

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
