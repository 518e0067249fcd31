"""Runs a chat template from elsewhere in a process with little memory and time.

`specialist.core.sandbox` limits loops and calls. Only the limits of a process can stop a filter
that writes too much (`'a' | center(10 ** 10)`), or a template that crashes the interpreter.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from specialist.core.errors import UserError

SECONDS, MEMORY = 10, 1 << 29  # of processor time, and bytes
WALL = 120  # seconds, on a machine with other work
CHARACTERS = 1_000_000  # that a template may write for a conversation of a page


def check_bounds(place, templates, tokens, conversations):
    """Raise UserError if a template takes too much for one of the conversations.

    `adapt_template` handles messages that it refuses or writes wrongly.

    Args:
        place: the base's entry in the configuration, for the message.
        templates: texts of Jinja.
        tokens: {name: text} of the special tokens that they may name.
        conversations: lists of messages.
    """
    scripts = Path(__file__).resolve().parents[2]
    problem = None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "specialist.bases.trial"],
            input=json.dumps([templates, dict(tokens), conversations]),
            capture_output=True, text=True, timeout=WALL,
            env={**os.environ, "PYTHONPATH": str(scripts)},
        )  # fmt: skip
        problem = done.stdout.strip() if not done.returncode else _ended(done)
    except subprocess.TimeoutExpired:
        problem = f"it does not end within {WALL} seconds"
    if problem:
        raise UserError(
            f"{place}: the chat template exceeds its limits on a short conversation: {problem}; "
            "put a chat_template.jinja that only writes the messages into the model's folder"
        )


def _ended(process):
    """Why a process ended early, for the message."""
    if process.returncode > 0:
        return process.stderr.strip().splitlines()[-1]
    return f"it needs more than {SECONDS} seconds or {MEMORY >> 20} MB"


def _try(templates, tokens, conversations):
    """The first problem, or ""."""
    from specialist.core.sandbox import LimitError
    from specialist.core.text import chat_renderer

    for template, talk, open in itertools.product(templates, conversations, (False, True)):
        try:
            size = len(chat_renderer(template, tokens)(talk, add_generation_prompt=open))
        except LimitError as error:
            return str(error)
        except UserError:
            continue
        if size > CHARACTERS:
            return f"it writes {size:,} characters"
    return ""


if __name__ == "__main__":
    import resource

    for kind, limit in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY)):
        with contextlib.suppress(OSError, ValueError):  # a system that knows no such limit
            resource.setrlimit(kind, (limit, limit))
    print(_try(*json.load(sys.stdin)))
