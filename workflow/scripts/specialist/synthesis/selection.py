"""From candidates to training rows and held-out tasks: which ones pass, and why others do not."""

import random
from collections import Counter

from specialist.agent import react
from specialist.agent.environment import SEARCH
from specialist.agent.facts import holds
from specialist.synthesis.checks import check_facts, check_search, leaks, near_duplicates
from specialist.synthesis.grounding import names, numbers

SHOWN = 3  # examples of each reason in the report
MOST_FACTS = 2  # of a task


class Selection:
    """Checks candidates.

    Args:
        candidates: list of dicts; see `specialist.synthesis.questions.candidates`.
        search: function from a list of questions to a list of hits for each.
        replies: texts of the agent; see `specialist.synthesis.resources.read_replies`.
        ordinary: words that are no names; see `specialist.synthesis.grounding.names`.
        seed: of the choice among the texts.

    Attributes:
        rows: training rows that passed, {"messages"}.
        tasks: held-out tasks that passed, in full form.
        dropped: {reason: list of candidates}.
    """

    def __init__(self, candidates, search, replies, ordinary, seed):
        self.candidates, self.replies, self.ordinary = candidates, replies, ordinary
        self.seed, self.dropped, self.rows, self.tasks = seed, {}, [], []
        self._kept = []
        for each in candidates:
            if "dropped" in each:
                self._drop(each["dropped"], each)
            else:
                self._kept.append(each)
        found = search([each["question"] for each in self._kept]) if self._kept else []
        self._hits = {id(each): hits for each, hits in zip(self._kept, found, strict=True)}

    def select(self, own_tasks, most_tasks):
        """Apply all checks.

        Args:
            own_tasks: tasks of the dataset, in full form.
            most_tasks: most held-out tasks that are made.
        """
        self._check_each()
        # Training rows come first: a task that resembles one is dropped, not the row.
        self._kept.sort(key=lambda each: each["held_out"])
        again = near_duplicates([each["question"] for each in self._kept])
        for each, repeated in zip(self._kept, again, strict=True):
            if repeated:
                self._drop("near_duplicate", each)
        self._kept = [each for each, told in zip(self._kept, again, strict=True) if not told]
        self._make_rows(own_tasks)
        self._make_tasks(most_tasks)

    def report(self):
        """Counts of generated, kept and dropped candidates by reason, with examples."""
        by_kind = Counter(each["kind"] for each in self.candidates)
        shown = ("chunk", "kind", "style", "question", "answer", "said", "facts", "shared")
        return {
            "generated": len(self.candidates),
            "generated_by_kind": dict(sorted(by_kind.items())),
            "rows": len(self.rows),
            "tasks": len(self.tasks),
            "dropped": {
                reason: {
                    "n": len(found),
                    "examples": [
                        {key: each[key] for key in shown if each.get(key)} for each in found[:SHOWN]
                    ],
                }
                for reason, found in sorted(self.dropped.items())
            },
        }

    def _check_each(self):
        kept, self._kept = self._kept, []
        for each in kept:
            hits = self._hits[id(each)]
            reason, facts = check_search(each, hits), []
            if not reason:
                reason, facts = check_facts(each, hits, self.ordinary)
            if reason:
                self._drop(reason, each, facts=facts)
            else:
                self._kept.append(each)

    def _make_rows(self, own_tasks):
        """Training rows that share nothing with the dataset's own tasks."""
        trained = [each for each in self._kept if not each["held_out"]]
        rows = [{"messages": react.messages(each["question"], self._steps(each))}
                for each in trained]  # fmt: skip
        shared = {number: text for number, _, text in leaks(own_tasks, rows)}
        for number, text in shared.items():
            self._drop("leaks_into_a_task", trained[number], shared=text)
        self.rows = [row for number, row in enumerate(rows) if number not in shared]

    def _make_tasks(self, most):
        """Held-out tasks with a fact, that share nothing with a training row."""
        tasks, made = {}, Counter()
        for each in self._kept:
            if not each["held_out"]:
                continue
            made[each["chunk"]] += 1
            facts = _facts(each["question"], each["answer"], self.ordinary)
            if facts:
                task = self._task(each, made[each["chunk"]], facts)
                tasks[task["id"]] = task, each
            else:
                self._drop("no_fact_for_a_task", each)
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

    def _steps(self, each):
        """The turns of the agent and their results; see `specialist.agent.react.messages`."""
        chance = random.Random(f"{self.seed}/{each['question']}")
        answered = each["answer"] is not None
        texts = {name: chance.choice(self.replies[name]) for name in ("look_up", "declines")}
        thought = chance.choice(self.replies["found" if answered else "missing"])
        query = {"query": each["question"]}
        return [
            {
                "thought": texts["look_up"],
                "call": SEARCH["name"],
                "arguments": query,
                "observation": react.passages(self._hits[id(each)]),
            },
            {"thought": thought, "answer": each["answer"] if answered else texts["declines"]},
        ]

    def _task(self, each, number, facts):
        steps = [
            {key: value for key, value in step.items() if key != "observation"}
            for step in self._steps(each)
        ]
        return {
            "id": f"synthetic/{each['chunk']}/{number}",
            "kind": "synthetic_question",
            "message": each["question"],
            "kb": [each["source"]],
            "turns_on_kb": True,
            "entities": [],
            "expect": {"answer": facts},
            "solution": steps,
        }

    def _drop(self, reason, each, **details):
        self.dropped.setdefault(reason, []).append({**each, **details})


def _facts(question, answer, ordinary):
    """What an answer must hold: its numbers, else its names, that the question does not hold."""
    for found in (numbers(answer), names(answer, ordinary)):
        if new := [fact for fact in found if not holds(question, fact)]:
            return new[:MOST_FACTS]
    return []
