"""The chat template of a base.

All steps use it to write conversations. If it does not know the turns of an agent, a few lines are
put before it. The template in the base's folder under results/ is the one that training, GGUF and
agent use.
"""

import itertools
from pathlib import Path

from specialist.bases.trial import check_bounds
from specialist.core.errors import UserError
from specialist.core.model_files import TOKENIZER_CONFIG

ROLES = ("system", "user", "assistant", "tool", "assistant", "tool", "assistant")
TALKS = [
    [
        "You help.\nTools: search, refund",
        'Where is order 48-213? It\'s "late" <again> & cold, 45 minutes!',
        'Thought: look.\nAction: {"name": "search", "arguments": {"query": "late orders"}}',
        '{"rows": [{"amount": 12.5, "note": "Ärger, 3 × 🍕"}]}',
        'Thought: pay.\nAction: {"name": "refund", "arguments": {"order": "48-213", "all": true}}',
        "Paid: 1234567 cents\nto the customer  twice\tchecked",
        "Thought: done.\nAnswer: You get 12.50 back; sorry – it won't happen again.",
    ],
    ["Be brief.", "日本語で?", "Thought: a.\nAnswer: b", "0", "Thought: c.\nAnswer: d", "{}", "e"],
]


def talks():
    """Conversations with results of tools, as an agent has them."""
    return [
        [{"role": role, "content": text} for role, text in zip(ROLES, texts, strict=True)]
        for texts in TALKS
    ]


def without_blanks(template, greedy):
    """A chat template without line ends after the control tokens `greedy`."""
    if not greedy:
        return template
    strip = "".join(f" | replace('{token}\\n', '{token}')" for token in greedy)
    return f"{{%- set written -%}}{template}{{%- endset -%}}{{{{- written{strip} }}}}"


def adapt_template(place, tokenizer, turns, greedy=(), others=()):
    """The chat template that writes an agent's conversations: the base's, or with lines before it.

    Args:
        tokenizer: of Transformers; its template is set to what is returned.
        turns: {name: text} of the files in resources/prompts/turns/.
        greedy: what `settle_tokenizer` returned.
        others: names of the templates that the base has in files of their own.

    Raises:
        UserError: there is no template, or none of several is the default; it cannot write such
            conversations, even with lines before it; or it takes too much time or memory.
    """
    original = without_blanks(_default(place, tokenizer.chat_template, others), greedy)
    date = [turns["fixed_date"]] if "strftime_now" in original else []
    ways = [[], ["tool_as_user"], ["system_in_user"], ["tool_as_user", "system_in_user"]]
    written = ["".join([*date, *(turns[name] for name in way), original]) for way in ways]
    prompts = [talk[:end] for talk in talks() for end in range(1, len(talk) + 1)]
    check_bounds(place, written, tokenizer.special_tokens_map, prompts)
    problems = []
    for way, text in zip(ways, written, strict=True):
        tokenizer.chat_template = text
        if not (problem := next(filter(None, map(_problem(tokenizer), talks())), None)):
            print(f"chat template: {' and '.join(way) or 'as it is'}")
            return tokenizer.chat_template
        problems.append(problem)
    raise UserError(
        f"{place}: the chat template cannot write an agent's turns ({problems[0]}), even if the "
        f"user says the results of tools and the system message ({problems[-1]}); put a "
        "chat_template.jinja that writes the roles system, user, assistant and tool into the "
        "model's folder"
    )


def _default(place, templates, others):
    """The base's default template for conversations.

    Args:
        templates: of Transformers: a text, {name: text}, or None.
        others: names of those in additional_chat_templates/.
    """
    named = templates if isinstance(templates, dict) else {}
    names = sorted({*named, *others} - {"default"})
    found = named.get("default") if isinstance(templates, dict) else templates
    if found and isinstance(found, str):
        if names:
            print(f"chat template: the default one; the base also has {', '.join(names)}")
        return found
    if names:
        raise UserError(
            f"{place}: found the chat templates {', '.join(names)}, and none is the default; "
            "copy the one that writes plain conversations to chat_template.jinja in the model's "
            "folder"
        )
    raise UserError(
        f"{place}: {TOKENIZER_CONFIG}: found no chat template; use the version that was tuned "
        "for conversations (its name often ends with Instruct), or add chat_template.jinja"
    )


def _problem(tokenizer):
    """A function from a conversation to the template's problem with it, or None."""
    from specialist.core.prompt import Chat
    from specialist.train.conversations import BaseTokenizer

    model = BaseTokenizer(tokenizer)

    def problem(talk):
        chat = Chat(model)
        turns = [i for i, turn in enumerate(talk) if turn["role"] == "assistant"]
        try:
            if chat.lead.strip():
                return f"it writes {chat.lead!r} before what the assistant says"
            prompts = [model.render(talk[:i], open=True) for i in turns]
            for i, (before, after) in zip(turns, itertools.pairwise(prompts), strict=False):
                if not after.startswith(before + chat.lead + talk[i]["content"] + chat.end_text):
                    return f"a prompt does not continue the one before it: {after[:400]!r}"
            left_out = [turn["role"] for turn in talk[:-1] if turn["content"] not in prompts[-1]]
        except UserError as error:
            return str(error)
        return f"the text of a {left_out[0]} is missing or changed" if left_out else None

    return problem


def read_turns(paths):
    """{name: text} of files in resources/prompts/turns/."""
    return {Path(path).stem: Path(path).read_text(encoding="utf-8") for path in paths}
