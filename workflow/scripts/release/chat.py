"""Talks to a released specialist in the terminal.

What the agent thinks, does and reads is shown as it happens. The database is a copy in memory.
Ctrl-C stops an answer and leaves the conversation as it was before the message; Ctrl-D, or /quit,
leaves; /new begins anew.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from specialist.agent import react
from specialist.core.errors import UserError
from specialist.release.deployment import ContextFull, Specialist

DIM, PLAIN = "\033[2m", "\033[0m"


class Interrupted(Exception):
    """Ctrl-C, noticed between two tokens."""


class Screen:
    """Shows an agent at work on a stream, and stops it when it was interrupted."""

    def __init__(self, stream):
        self.stream, self.shown, self.interrupted = stream, "", False
        self.dim, self.plain = (DIM, PLAIN) if stream.isatty() else ("", "")

    def said(self, text):
        """Show what is new in the text of a turn; its last character may be half."""
        text = text.rstrip("\ufffd")
        style = self.plain if react.answer(text) else self.dim
        self.write(f"{style}{text[len(self.shown) :]}")
        self.shown = text
        self.check()

    def acted(self, step):
        """Show what came of a turn."""
        self.shown = ""
        self.write(f"{self.plain}\n")
        if step.observation is not None:
            sources = f"[{', '.join(step.sources)}] " if step.sources else ""
            self.write(f"{self.dim}  -> {sources}{step.observation}{self.plain}\n")
        self.check()

    def write(self, text):
        print(text, end="", file=self.stream, flush=True)

    def check(self):
        if self.interrupted:
            raise Interrupted

    def reply(self, specialist, history, message):
        """A trace and its exchange, or None for an answer that was stopped or has no room."""
        self.shown, self.interrupted = "", False
        # A flag, as an exception in the middle of llama.cpp's work would leave it half done.
        before = signal.signal(signal.SIGINT, lambda *_: setattr(self, "interrupted", True))
        try:
            return specialist.reply(history, message)
        except Interrupted:
            self.write(f"{self.plain}\n(stopped; all is as it was before this message)\n")
        except ContextFull as error:
            self.write(f"(too long: {error})\n")
        finally:
            signal.signal(signal.SIGINT, before)
        return None


def converse(specialist, screen):
    """Read messages and have them answered, until the end of the input."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  gives `input` its line editor

        print(__doc__.split("\n\n")[1])
    print(f"{specialist.settings['name']}; session: {json.dumps(specialist.session)}")
    for example in specialist.settings["examples"]:
        whose = "".join(f" --session {key}={value}" for key, value in example["session"].items())
        print(f"  for example{whose}: {example['message']}")
    history = []
    while True:
        try:
            message = input("> ").strip()
        except KeyboardInterrupt:
            print()
            continue
        except EOFError:
            return
        if message == "/quit":
            return
        if message == "/new":
            history = []
            specialist.reset()
        elif message and (done := screen.reply(specialist, history, message)):
            trace, exchange = done
            if trace.answer is not None:
                history.append(exchange)
            else:
                print(f"(no answer: {trace.ended})")
            if trace.changes:
                changes = json.dumps(trace.changes, ensure_ascii=False)
                print(f"{screen.dim}  changed in the copy: {changes}{screen.plain}")


def once(specialist, screen, message):
    """Print the answer to one message; exit status 1 without one."""
    done = screen.reply(specialist, [], message)
    if done is None or done[0].answer is None:
        print(f"no answer: {done[0].ended if done else 'stopped'}", file=sys.stderr)
        return 1
    print(done[0].answer)
    return 0


def session(pairs):
    """{name: text} of a list of "NAME=VALUE"."""
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"--session {pair}: expected NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


def arguments(about):
    """A parser of what chat.py and serve.py both take."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("folder", nargs="?", default=Path(__file__).parent, help="the release")
    parser.add_argument("--session", action="append", default=[], metavar="NAME=VALUE",
                        help="whose account it is, for the tools")  # fmt: skip
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    return parser


def main():
    parser = arguments(__doc__)
    parser.add_argument("--once", metavar="MESSAGE", help="print the answer to this, and end")
    given = parser.parse_args()
    screen = Screen(sys.stdout if given.once is None else sys.stderr)
    try:
        with Specialist(
            given.folder,
            session(given.session),
            threads=given.threads,
            said=screen.said,
            acted=screen.acted,
        ) as specialist:
            if given.once is None:
                return converse(specialist, screen)
            return once(specialist, screen, given.once)
    except UserError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    sys.exit(main())
