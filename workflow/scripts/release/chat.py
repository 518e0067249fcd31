"""Talks to a released specialist in the terminal.

It shows what the agent thinks, does and reads. The database is a copy in memory. Ctrl-C stops an
answer and restores the conversation to the state before the message. Ctrl-D or /quit ends the chat.
/new starts a new conversation.
"""

import sys

if __name__ == "__main__":
    sys.dont_write_bytecode = True  # a release holds what it was released with

import argparse
import json
import os
from pathlib import Path

from specialist.core.errors import UserError
from specialist.release.deployment import Specialist
from specialist.release.terminal import Screen, printable, warn


def converse(specialist, screen):
    """Answer messages until the end of the input."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  gives `input` its line editor

        print(__doc__.split("\n\n")[1])
    settings = specialist.settings
    print(printable(f"{settings['name']}; session: {json.dumps(specialist.session)}"))
    warn(settings, sys.stdout)
    for example in settings["examples"]:
        whose = "".join(f" --session {key}={value}" for key, value in example["session"].items())
        print(printable(f"  for example{whose}: {example['message']}"))
    conversation = specialist.converse()
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
            conversation.close()
            conversation = specialist.converse()
        elif message and (reply := screen.reply(specialist, conversation, message)):
            before, after = conversation.changes(), reply.conversation.changes()
            conversation.close()
            conversation = reply.conversation
            if reply.exchange.reply is None:
                print(f"(no answer: {reply.exchange.ended})")
            if after != before:
                changes = printable(json.dumps(after, ensure_ascii=False))
                print(f"{screen.dim}  changed in the copy: {changes}{screen.plain}")


def once(specialist, screen, message):
    """Print the answer to one message; exit status 1 without one."""
    warn(specialist.settings, sys.stderr)
    reply = screen.reply(specialist, specialist.converse(), message)
    if reply is None or reply.exchange.reply is None:
        print(f"no answer: {reply.exchange.ended if reply else 'see above'}", file=sys.stderr)
        return 1
    print(printable(reply.text))
    return 0


def session(pairs):
    """{name: text} of a list of "NAME=VALUE"."""
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"--session {pair}: expected NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


def arguments(about):
    """A parser with the common arguments of chat.py and serve.py."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("folder", nargs="?", default=Path(__file__).parent, help="the release")
    parser.add_argument("--session", action="append", default=[], metavar="NAME=VALUE",
                        help="a value for the tools, such as customer_id=3")  # fmt: skip
    parser.add_argument("--threads", type=count, default=os.cpu_count(), help="CPU threads")
    return parser


def count(text):
    """A number of things, at least 1, for argparse."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def main():
    parser = arguments(__doc__)
    parser.add_argument("--once", metavar="MESSAGE", help="print the answer to MESSAGE, and exit")
    given = parser.parse_args()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.reconfigure(errors="surrogateescape" if stream is sys.stdin else "backslashreplace")
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
        sys.exit(f"Error: {printable(str(error))}")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read the output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
