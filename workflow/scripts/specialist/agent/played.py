"""A customer played by a language model behind an OpenAI-compatible address.

It has the goals of the task's requests and writes in its own words, so no run is like another. It
sends `temperature` 0 and the trial as `seed`; the address decides what it makes of them. The
instructions stand in the first message, as not every server takes a system message.
"""

import re

from specialist.agent.customer import Customer, Message
from specialist.agent.rules import QUESTION, says_yes
from specialist.core.completions import MalformedError, complete
from specialist.core.errors import UserError

KEY = "CUSTOMER_API_KEY"  # environment variable with a key for the address
PLACE = "agent.customer"
LONGEST = 1_000  # characters of a message
DONE = re.compile(r"^\W*DONE\b")
INSTRUCTIONS = """You play a customer who writes to a support desk. You are not the support.
{goal}
Write only your next message, in one or two short sentences. Give facts only if you are asked for \
them, and invent none. When you have what you want, or you cannot get it, write only DONE."""


class Played(Customer):
    """Plays the customer of a task by a language model.

    Args:
        task, trial: see `specialist.agent.customer.Customer`.
        url: the address, such as http://127.0.0.1:8000/v1.
        model: name of the model there.

    Raises (in `opening` and `hear`):
        UserError: the address does not answer, or not with a chat completion.
    """

    def __init__(self, task, trial=0, *, url, model):
        super().__init__(task, trial)
        self.url, self.model, self.said = url.rstrip("/"), model, []

    def opening(self):
        return self._asks(INSTRUCTIONS.format(goal=self.goal()))

    def hear(self, reply):
        heard = f"The support answers: {reply}" if reply else "The support does not answer."
        if self.answers < self.patience:
            text = self._write(heard)
            if text:
                self.answers += 1
                confirms = bool(QUESTION.search(reply or "")) and says_yes(text)
                return Message(text, self.open, "reply", confirms)
        if self.open + 1 == len(self.requests):
            return None
        self.open, self.answers = self.open + 1, 0
        return self._asks(f"{heard}\n\nNow you want something else. {self.goal()}")

    def goal(self):
        """What the customer wants and knows in the open request."""
        request = self.requests[self.open]
        wanted = request.get("goal")
        known = [rule["says"] for rule in request["replies"]]
        lines = [wanted or f"This is what you want: {self._wording(request['says'])}"]
        if known and not wanted:
            told = " ".join(map(self._wording, known))
            lines.append(f"If you are asked, you may say this: {told}")
        return "\n".join(lines)

    def _asks(self, prompt):
        """The message that opens a request; in the task's words if the model has none."""
        text = self._write(prompt) or self._wording(self.requests[self.open]["says"])
        return Message(text, self.open)

    def _write(self, prompt):
        """The model's next message; None when it is done."""
        self.said.append({"role": "user", "content": prompt})
        body = {"model": self.model, "messages": self.said, "temperature": 0, "seed": self.trial}
        try:
            text = complete(PLACE, self.url, body, key=KEY).text.strip()
        except MalformedError as error:
            raise UserError(f"{PLACE}: {self.url}: {error}; correct url and model") from None
        self.said.append({"role": "assistant", "content": text or "DONE"})
        return None if not text or DONE.match(text) else text[:LONGEST]
