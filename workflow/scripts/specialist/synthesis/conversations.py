"""Held-out conversations from candidates that passed: requests and questions of one customer."""


class Composer:
    """Composes conversations from candidates.

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
            "entities": [],
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
        asked = self.writer.questions(each)
        return {
            "says": each["question"],
            "expect": {"database": each["changes"], "answer": self.facts(each)},
            "replies": [rule for _, rule, _ in asked],
            "solution": [*(step for step, _, _ in asked), *steps],
        }

    def _goodbye(self, number):
        text = self.writer.texts({"question": f"goodbye {number}"})
        step = {"thought": text["polite"], "answer": text["goodbye"]}
        return {"says": text["thanks"], "solution": [step]}
