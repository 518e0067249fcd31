"""The form of what is kept: turns of the agent for training, and held-out tasks."""

import json
import random

from specialist.agent import react
from specialist.agent.environment import SEARCH
from specialist.agent.facts import holds
from specialist.synthesis.grounding import names, numbers

MOST_FACTS = 2  # of a task


class Writer:
    """Writes rows and tasks with the agent's own texts, one of each list by chance.

    Args:
        replies: see `specialist.synthesis.resources.read_replies`.
        tools: entries of tools.yaml.
        seed: of the choice.
    """

    def __init__(self, replies, tools, seed):
        self.replies, self.seed = replies, seed
        self.tools = {tool["name"]: tool for tool in tools}

    def before(self, each):
        """The messages before the first step of a candidate.

        That is its message, and where its tool needs a yes, the agent's question and the reply.
        """
        text, tool = self._texts(each), self.tools.get(each.get("tool"), {})
        if not tool.get("confirm"):
            return react.messages(each["question"], [])
        asked = text["confirm"].replace("{tool}", tool["description"])
        steps = [{"thought": text["act"], "answer": asked}]
        return react.messages(each["question"], steps) + react.messages(text["yes"], [])

    def steps(self, each, hits=()):
        """The steps of the agent, with what it reads; see `specialist.agent.react.messages`.

        Args:
            each: a candidate.
            hits: the chunks that the search finds for a question.
        """
        text = self._texts(each)
        if each["kind"] == "request":
            call = {"call": each["tool"], "arguments": each["arguments"]}
            first = {"thought": text["act"], **call, "observation": each["result"]}
            return [first, {"thought": text["told"], "answer": each["answer"]}]
        call = {"call": SEARCH["name"], "arguments": {"query": each["question"]}}
        first = {"thought": text["look_up"], **call, "observation": react.passages(hits)}
        if each["answer"] is None:
            return [first, {"thought": text["missing"], "answer": text["declines"]}]
        return [first, {"thought": text["found"], "answer": each["answer"]}]

    def row(self, each, hits=()):
        """A training row."""
        *opened, last = self.before(each)
        return {"messages": [*opened, *react.messages(last["content"], self.steps(each, hits))]}

    def task(self, each, number, facts, session):
        """A held-out task.

        Args:
            number: of the tasks of this chunk or tool.
            facts: what the answer must hold.
            session: values for the names that the tools take from it.
        """
        steps = [
            {key: value for key, value in step.items() if key != "observation"}
            for step in self.steps(each)
        ]
        asked = each["kind"] == "question"
        return {
            "id": f"synthetic/{each['chunk'] if asked else each['tool']}/{number}",
            "kind": f"synthetic_{each['kind']}",
            "message": each["question"],
            "session": {**session, **each.get("session", {})},
            "kb": [each["source"]] if asked else [],
            "turns_on_kb": asked,
            "entities": [],
            "expect": {"database": each.get("changes", {}), "answer": facts},
            "solution": steps,
        }

    def _texts(self, each):
        chance = random.Random(f"{self.seed}/{each['question']}")
        return {name: chance.choice(texts) for name, texts in self.replies.items()}


def facts_of(each, ordinary):
    """What the answer to a task must hold: texts of the candidate's answer.

    They are not in its question, and not among the values that the customer tells later. Of a question these are the numbers of the answer, else its names; of a request the values of
    the tool's result.

    Args:
        ordinary: see `specialist.synthesis.grounding.names`.
    """
    answer = each["answer"]
    groups = [numbers(answer), names(answer, ordinary)]
    if each["kind"] == "request":
        groups = [[value for value in _values(json.loads(each["result"])) if holds(answer, value)]]
    later = {name: each["arguments"][name] for name in each.get("later", ())}
    told = [each["question"], *_values(later)]
    for found in groups:
        if new := [fact for fact in found if not any(holds(text, fact) for text in told)]:
            return list(dict.fromkeys(new))[:MOST_FACTS]
    return []


def _values(record):
    """The values in a result as texts."""
    if isinstance(record, (list, dict)):
        parts = record.values() if isinstance(record, dict) else record
        return [text for part in parts for text in _values(part)]
    return [str(record)] if record is not None else []
