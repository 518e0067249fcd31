"""The system message, and conversations as token ids.

Training and the agent share `system_message`, so that a model reads exactly the text that it was
trained with.
"""

import functools
import os
import re
from pathlib import Path

from specialist.core.errors import UserError

# Private-use characters as placeholders for a message's content while a template runs.
MARK = 0xF0000


def system_message(template, tools):
    """The agent's system message.

    Args:
        template: Jinja file (resources/prompts/react.jinja).
        tools: the tools that are offered: entries of tools.yaml, and
            `specialist.agent.environment.SEARCH` before them where there is an index.

    Raises:
        UserError: the template cannot be rendered.
    """
    from specialist.core.sandbox import Sandbox

    text = Path(template).read_text(encoding="utf-8")
    try:
        return Sandbox(strict=True).compiled(text, template)(tools=tools).strip()
    except UserError as error:
        raise UserError(f"{error}; correct the template of the prompt") from None


class Chat:
    """Encodes conversations as token ids, in the same way for training and agent.

    Text of people and tools is tokenised apart from the template's text, as plain text. It can
    therefore never hold a control token, which would end a turn or open another. Other text gets
    the ids that `apply_chat_template` gives it.

    Args:
        model: what knows the chat template and the tokens: an open
            `specialist.gguf.runtime.Runtime`, or a `specialist.train.conversations.BaseTokenizer`.
    """

    def __init__(self, model):
        self._model, self._render, self._control = model, model.render, model.control_tokens
        longest_first = sorted(self._control, key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        # A conversation is asked for again after each turn: only its end is new.
        self._tokenize = functools.lru_cache(1024)(
            lambda text: tuple(model.tokenize(text, special=False))
        )

    @functools.cached_property
    def lead(self):
        """What the template writes between the opening of the assistant's turn and its text."""
        return self._around[0]

    @property
    def end(self):
        """Id of the control token that ends the assistant's turn.

        Raises:
            UserError: the template ends it by none.
        """
        return self._control[self.end_text]

    @property
    def end_text(self):
        """Text of that token."""
        return self._around[1]

    def ids(self, messages):
        """Token ids of a conversation, open for the assistant's next turn.

        Args:
            messages: list of {"role", "content"}.

        Raises:
            UserError: the template leaves a message out, or refuses the conversation.
        """
        ids = []
        for control, text, _ in self._parts(self._text(_mark(messages), True), messages):
            ids += [control] if control is not None else self._tokenize(text)
        return ids

    def finished(self, messages):
        """A conversation whose last turn is the assistant's, as the agent would have written it.

        Templates may write the last turn differently from those before it. Here it has the form of
        the others, after exactly the prompt that the agent reads.

        Returns:
            (ids, mask): the tokens, and of each whether it is the assistant's: of its text, or
            the control token that ends its turn. A message of weight 0 counts as nobody's.

        Raises:
            UserError: as `ids`.
        """
        marked = _mark(messages)
        text, said = (
            self._text(marked, False),
            self._text(marked[:-1], True) + self.lead + marked[-1]["content"],
        )
        if not text.startswith(said):
            text = said + self.end_text
        ids, mask, closing = [], [], False
        for control, part, begins in self._parts(text, messages):
            if control is not None:
                ids.append(control)
                mask.append(closing)
                closing = False
                continue
            ids += self._tokenize(part)
            # It writes all up to that token, blanks at the end of its text among it.
            own = [begin for begin, turn in begins if _carries_loss(messages[turn])]
            begin, starts = min(own, default=len(part)), self._model.starts(part)
            ends = [*starts[1:], len(part)]
            mask += [
                bool(own) and (start >= begin or end > begin)
                for start, end in zip(starts, ends, strict=True)
            ]
            closing = closing or bool(own)
        return ids, mask

    def prefix(self, system):
        """The ids that every conversation with a system message begins with."""
        system = {"role": "system", "content": system}
        first, second = (
            self.ids([system, {"role": "user", "content": content}]) for content in ("0", "a")
        )
        return os.path.commonprefix([first, second])

    @functools.cached_property
    def _around(self):
        """The texts before and after the assistant's text in its turn."""
        marked = _mark([{"role": role, "content": "a"} for role in ("user", "assistant", "user")])
        prompt, text = self._text(marked[:1], True), self._text(marked, False)
        lead, _, rest = text.removeprefix(prompt).partition(marked[1]["content"])
        end = self._split.match(rest.lstrip())
        if not text.startswith(prompt) or not end:
            raise UserError(
                "the model's chat template must write an assistant's turn as it opens one, and "
                f"end it by a control token; found {prompt!r} and then {text!r}"
            )
        return lead, end[0]

    def _text(self, marked, open):
        """The rendered template.

        Raises:
            UserError: a message is left out, or the template refuses the conversation.
        """
        text = self._render(marked, open)
        for place, turn in enumerate(marked):
            if chr(MARK + place) not in text:
                raise UserError(
                    f"the model's chat template leaves out a message of the role {turn['role']}; "
                    "use one that writes the roles system, user, assistant and tool"
                )
        return text

    def _parts(self, text, messages):
        """Cut a rendered text into control tokens and the texts between them.

        Yields:
            (id, None, None) for a control token; (None, text, begins) for text in which contents
            stand, with (where it begins, number of the message) of each of them.
        """
        marks = re.compile(f"([{chr(MARK)}-{chr(MARK + len(messages))}])")
        # A capturing group makes `split` alternate between text and what was found.
        for i, part in enumerate(self._split.split(text)):
            if i % 2:
                yield self._control[part], None, None
            elif part:
                written, begins = "", []
                for j, piece in enumerate(marks.split(part)):
                    if j % 2:
                        begins.append((len(written), ord(piece) - MARK))
                        piece = _body(messages[ord(piece) - MARK]["content"])
                    written += piece
                if written:
                    yield None, written, begins


def _carries_loss(message):
    return message["role"] == "assistant" and message.get("weight", 1) != 0


def _body(content):
    """The message of a mark, without surrounding blanks, which templates trim."""
    return content.strip() or content


def _mark(messages):
    """Messages with a mark instead of each content."""
    return [
        {**turn, "content": turn["content"].replace(_body(turn["content"]), chr(MARK + i), 1)}
        if turn["content"]
        else {**turn, "content": chr(MARK + i)}
        for i, turn in enumerate(messages)
    ]
