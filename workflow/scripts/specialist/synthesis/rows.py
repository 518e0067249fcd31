"""The form of what is kept: turns of the agent for training, and held-out tasks."""

import json
import random
import re

from specialist.agent import react
from specialist.agent.environment import SEARCH
from specialist.agent.facts import holds
from specialist.synthesis.grounding import names, numbers
from specialist.synthesis.requests import as_text, spelled

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

    def questions(self, each):
        """What the agent asks before the call of a request, in its order.

        First it asks for values that the customer says later, then for a yes that the tool needs.

        Returns:
            list of (step, rule, reply): the agent's step, the customer's rule that hears it (see
            workflow/schemas/task.schema.yaml), and one of the rule's sayings.
        """
        text, tool, found = self.texts(each), self.tools.get(each.get("tool"), {}), []
        if later := each.get("later"):
            value = " and ".join(as_text(each["arguments"][name]) for name in later)
            named = "|".join(".?".join(map(re.escape, name.split("_"))) for name in later)
            told = [said.replace("{value}", value) for said in self.replies["tells"]]
            ask = text["ask"].replace("{name}", " and ".join(map(spelled, later)))
            found.append((
                {"thought": text["ask_thought"], "answer": ask},
                {"hears": f"{text['asked']}|{named}", "says": told},
                text["tells"].replace("{value}", value),
            ))  # fmt: skip
        if tool.get("confirm"):
            asked = text["confirm"].replace("{tool}", tool["description"])
            rule = {"hears": text.get("confirms"), "says": self.replies["yes"]}
            rule |= {"confirms": True} if each["changes"] else {}
            found.append(({"thought": text["act"], "answer": asked}, rule, text["yes"]))
        return found

    def before(self, each):
        """The messages before the first step of a candidate: its message, and what `questions`
        asks with the customer's replies."""
        said, turns = each["question"], []
        for step, _, reply in self.questions(each):
            turns += react.messages(said, [step])
            said = reply
        return turns + react.messages(said, [])

    def steps(self, each, hits=()):
        """The steps of the agent, with what it reads; see `specialist.agent.react.messages`.

        Args:
            each: a candidate.
            hits: the chunks that the search finds for a question.
        """
        text = self.texts(each)
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

    def texts(self, each):
        """One of each list of the agent's texts for a candidate: {part: text}."""
        chance = random.Random(f"{self.seed}/{each['question']}")
        return {name: chance.choice(texts) for name, texts in self.replies.items()}


def facts_of(each, ordinary):
    """What the answer to a task must hold: texts of the candidate's answer.

    They are not in its question, and not among the values that the customer says later. Of a
    question these are the numbers of the answer, else its names; of a request the values of the
    tool's result.

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
