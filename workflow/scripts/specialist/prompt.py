"""The system message, and conversations as token ids.

Training and the agent share `system_message`, so that a model meets the very text that it
was trained with.
"""

import functools
import os
import re
from pathlib import Path

from specialist.step import UserError

# Characters for private use, which stand for a message's content while a template runs.
MARK = 0xF0000


def system_message(template, tools):
    """The agent's system message.

    Args:
        template: Jinja file (resources/prompts/react.jinja).
        tools: the tools that are offered: entries of tools.yaml, and
            `specialist.environment.SEARCH` before them where there is an index.

    Raises:
        UserError: the template cannot be rendered.
    """
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    text = Path(template).read_text(encoding="utf-8")
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    try:
        return environment.from_string(text).render(tools=tools).strip()
    except (TemplateError, OverflowError) as error:  # the sandbox bounds loops by the latter
        line = f":{error.lineno}" if hasattr(error, "lineno") else ""
        raise UserError(f"{template}{line}: {error}; mend the template of the prompt") from None


class Chat:
    """Writes conversations for a model by the chat template in its GGUF.

    What people and tools write never meets the template's text before it is tokenised, and
    is tokenised as plain text: it cannot hold a control token, which would end a turn or
    open another. Other text gets the ids that `apply_chat_template` gives it.

    Args:
        runtime: an open `specialist.runtime.Runtime`.

    Attributes:
        bos: text of the token that begins a text, or "".
    """

    def __init__(self, runtime):
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        tokens = {token: text for text, token in runtime.control_tokens.items()}
        self.bos, eos = (tokens.get(token, "") for token in (runtime.bos, runtime.eos))
        self._format = Jinja2ChatFormatter(runtime.chat_template, eos, self.bos)
        self._control = runtime.control_tokens
        longest_first = sorted(self._control, key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        # A conversation is asked for again after each turn: only its end is new.
        self._tokenize = functools.lru_cache(1024)(
            lambda text: tuple(runtime.tokenize(text, special=False))
        )

    def text(self, messages):
        """Text of a conversation, open for the assistant's next turn, as the template writes it."""
        return self._format(messages=messages).prompt

    def ids(self, messages):
        """Token ids of a conversation, open for the assistant's next turn.

        Args:
            messages: list of {"role", "content"}.

        Raises:
            UserError: the template leaves a message out.
        """
        marked = [{**turn, "content": chr(MARK + i)} for i, turn in enumerate(messages)]
        text, ids = self.text(marked), []
        for turn in marked:
            if turn["content"] not in text:
                raise UserError(
                    f"the model's chat template leaves out a message of the role {turn['role']}; "
                    "use one that writes the roles system, user, assistant and tool"
                )
        # The capturing group makes `split` alternate between text and control tokens.
        for i, part in enumerate(self._split.split(text)):
            if i % 2:
                ids.append(self._control[part])
            elif part:
                ids += self._tokenize(
                    re.sub(
                        f"[{chr(MARK)}-{chr(MARK + len(messages))}]",
                        lambda mark: messages[ord(mark[0]) - MARK]["content"],
                        part,
                    )
                )
        return ids

    def prefix(self, system):
        """The ids that every conversation with a system message begins with."""
        system = {"role": "system", "content": system}
        first, second = (
            self.ids([system, {"role": "user", "content": content}]) for content in ("0", "a")
        )
        return os.path.commonprefix([first, second])
