"""Rules that the loop applies, whatever the model writes. They are data: keys of the tools.

confirm    a call needs the customer's yes to a question of the agent
said       arguments whose values must stand in the customer's own words
claims     replies that need a carried-out call of a tool with a matching claim
fallback   the call and the reply that replace a false claim or a missing answer
"""

import re

from specialist.agent import react
from specialist.agent.facts import holds
from specialist.core.patterns import found

# How an exchange ends that the fallback answers.
FAILED = {"loop", "step_limit", "token_limit", "malformed_turn", "context_overflow"}
CLAIM = "claim"  # the rule's name where it replaces a false claim
DEFAULT = "I am sorry, I cannot help you with this here. Please contact our team."
THOUGHT = "this is for a person"  # of the turns that a rule writes
QUESTION = re.compile(r"[?？؟]\W*$")

# A yes in English: at the start or end of the message, or anywhere in a message without a no.
YES = (
    r"[,.;] *yes\W*$|"
    r"^\W*(yes|yeah|yep|yup|sure|ok|okay|correct|right|confirmed|certainly|absolutely|agreed)\b"
)
CONSENT = (
    r"\b(yes|yeah|please do|go ahead|do it|of course|i confirm|confirmed|i agree|agreed|"
    r"that is (right|correct|fine|ok|okay)|that'?s (right|correct|fine|ok|okay)|sounds good|"
    r"please proceed|proceed|by all means|fine by me|fine with me|"
    r"be my guest|go on then|you'?d better|my blessing|alright then|i'?m sure|i am sure|exactly)\b"
)
HOLD = (
    r"\b(but|wait|hold on|not yet|stop|never ?mind|changed my mind|second thoughts?|rather|sooner|"
    r"(absolutely|certainly|of course|definitely) not|do nothing|leave|keep|stay|instead|"
    r"(yes|yeah|ok|okay|right|sure|well|fine)\W+no)\b"
)
NO = r"\b(no|nope|nah|not|never|cannot|\w+n['’]t|dont|wont|cant)\b"


def says_yes(message, pattern=None):
    """Whether a customer's message says yes, by a pattern or by the English default."""
    if pattern:
        return found(pattern, message)
    if found(HOLD, message):
        return False
    return found(YES, message) or (found(CONSENT, message) and not found(NO, message))


class Rules:
    """The rules of some tools.

    Args:
        tools: entries of tools.yaml.
    """

    def __init__(self, tools):
        self.tools = {tool["name"]: tool for tool in tools}
        self.fallback = next((tool for tool in tools if "fallback" in tool), None)

    def refusal(self, name, arguments, messages):
        """Why a call is refused, as a text for the model; None if the rules allow it.

        Args:
            messages: the conversation so far, in full.
        """
        tool = self.tools[name]
        if (confirm := tool.get("confirm")) and not _confirmed(confirm, messages):
            return "ask the customer to confirm first"
        words = "\n".join(turn["content"] for turn in messages if turn["role"] == "user")
        for argument in tool.get("said", []):
            for value in _values(arguments.get(argument, "")):
                if not holds(words, value):
                    return f"the customer did not mention {value}"
        return None

    def false_claim(self, reply, done):
        """Whether a reply claims what no call has done.

        Each sentence counts, and the whole reply.

        Args:
            done: names of the tools that were carried out in this conversation.
        """
        done = set(done)
        for text in [reply, *re.split(r"(?<=[.!?])\s+", reply)]:
            claimed = {name for name, tool in self.tools.items() if claims(tool, text)}
            if claimed and not claimed & done:
                return True
        return False


def claims(tool, text):
    """Whether a text claims that a tool was carried out."""
    return any(found(pattern, text) for pattern in tool.get("claims", []))


def _confirmed(confirm, messages):
    """Whether the customer's last message says yes to a question right before it."""
    last = max(place for place, turn in enumerate(messages) if turn["role"] == "user")
    before = messages[last - 1] if last else {"role": "none"}
    if before["role"] != "assistant" or not QUESTION.search(react.answer(before["content"])):
        return False
    pattern = confirm["yes"] if isinstance(confirm, dict) else None
    return says_yes(messages[last]["content"], pattern)


def _values(value):
    """The texts of a value that must have been said; an empty one says nothing."""
    if isinstance(value, (list, dict)):
        parts = value.values() if isinstance(value, dict) else value
        return [text for part in parts for text in _values(part)]
    return [str(value)] if str(value).strip() else []
