"""Held-out conversations of what passed: requests of one customer, a question, and a goodbye."""

import random
import re

from specialist.synthesis.requests import as_text, spelled


class Composer:
    """Puts candidates together to conversations.

    Args:
        writer: `specialist.synthesis.rows.Writer` with the texts of conversations.
        facts: function from a candidate to what the replies to it must hold.
        session: values for the names that the tools take from it, for those a conversation lacks.
    """

    def __init__(self, writer, facts, session):
        self.writer, self.facts, self.session = writer, facts, session

    def compose(self, spoken, questions, most):
        """Conversations of two to four requests, the last of them a goodbye.

        Every conversation with calls gets a question where one is left, before or after the calls
        by turns. Without calls, two questions make a conversation.

        Args:
            spoken: lists of candidates of the tools, each of one conversation in its order.
            questions: candidates with an answer in a chunk.
            most: conversations.

        Returns:
            list of (task, candidates that it was made of)
        """
        left, found = list(questions), []
        for number, calls in enumerate(spoken[:most]):
            asked = [left.pop(0)] if left else []
            parts = [*calls, *asked] if number % 2 else [*asked, *calls]
            found.append((self.task(parts, len(found)), parts))
        while len(found) < most and len(left) > 1:
            # Two that are not neighbours, as these are mostly about the same chunk.
            parts = [left.pop(0), left.pop(len(left) // 2)]
            found.append((self.task(parts, len(found)), parts))
        return found

    def task(self, parts, number):
        """A task of workflow/schemas/task.schema.yaml; see `compose`."""
        session = {name: value for each in parts for name, value in each.get("session", {}).items()}
        return {
            "id": f"synthetic/conversation/{number}",
            "kind": "synthetic_conversation",
            "session": {**self.session, **session},
            "turns_on_kb": any(each["kind"] == "question" for each in parts),
            "requests": [*map(self.request, parts), self._goodbye(number)],
        }

    def request(self, each):
        """A request of a conversation: what the customer says and hears, and its solution."""
        steps = [{k: v for k, v in step.items() if k != "observation"}
                 for step in self.writer.steps(each)]  # fmt: skip
        if each["kind"] == "question":
            return {
                "says": each["question"],
                "kb": [each["source"]],
                "expect": {"answer": self.facts(each)},
                "solution": steps,
            }
        text, tool, replies, before = self._texts(each), self._tool(each), [], []
        if later := each["later"]:
            names = " and ".join(map(spelled, later))
            values = " and ".join(as_text(each["arguments"][name]) for name in later)
            named = "|".join(re.escape(spelled(name)).replace("\\ ", ".?") for name in later)
            told = [said.replace("{value}", values) for said in self.writer.replies["tells"]]
            replies.append({"hears": f"{text['asked']}|{named}", "says": told})
            ask = text["ask"].replace("{name}", names)
            before.append({"thought": text["ask_thought"], "answer": ask})
        if tool.get("confirm"):
            yes = {"hears": text["confirms"], "says": self.writer.replies["yes"]}
            replies.append({**yes, "confirms": True} if each["changes"] else yes)
            confirm = text["confirm"].replace("{tool}", tool["description"])
            before.append({"thought": text["act"], "answer": confirm})
        return {
            "says": each["question"],
            "expect": {"database": each["changes"], "answer": self.facts(each)},
            "replies": replies,
            "solution": [*before, *steps],
        }

    def _goodbye(self, number):
        text = self._texts({"question": f"goodbye {number}"})
        step = {"thought": text["polite"], "answer": text["goodbye"]}
        return {"says": text["thanks"], "solution": [step]}

    def _tool(self, each):
        return self.writer.tools[each["tool"]]

    def _texts(self, each):
        chance = random.Random(f"{self.writer.seed}/{each['question']}")
        return {name: chance.choice(texts) for name, texts in self.writer.replies.items()}
