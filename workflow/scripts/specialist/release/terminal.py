"""An agent at work, shown on a terminal."""

import json
import re
import signal

from specialist.agent import react
from specialist.core.errors import UserError
from specialist.release.deployment import ContextFull

DIM, LOUD, PLAIN = "\033[2m", "\033[1;31m", "\033[0m"
# Controls (escape sequences begin with one), ends of lines that only some programs know, marks that
# turn the direction of text, and halves of surrogate pairs. Tabs and line feeds are harmless.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text):
    """A text that cannot control a terminal: control characters become escapes such as \\x1b."""
    return UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


class Interrupted(Exception):
    """Ctrl-C, noticed between two tokens."""


class Screen:
    """Shows an agent at work on a stream, and stops it when it was interrupted."""

    def __init__(self, stream):
        self.stream, self.shown, self.interrupted = stream, "", False
        self.dim, self.plain = (DIM, PLAIN) if stream.isatty() else ("", "")

    def said(self, text):
        """Show the new part of a turn's text; its last character may be incomplete."""
        text = text.rstrip("\ufffd")
        style = self.plain if react.answer(text) else self.dim
        self.write(f"{style}{printable(text[len(self.shown) :])}")
        self.shown = text
        self.check()

    def acted(self, step):
        """Show the result of a turn."""
        if step.by == "rule" and step.call:
            call = f"{step.call} {json.dumps(step.arguments, ensure_ascii=False)}"
            self.write(f"{self.dim}(rule) {printable(call)}")
        self.shown = ""
        self.write(f"{self.plain}\n")
        if step.observation is not None:
            sources = f"[{', '.join(step.sources)}] " if step.sources else ""
            self.write(f"{self.dim}  -> {printable(sources + step.observation)}{self.plain}\n")
        self.check()

    def write(self, text):
        print(text, end="", file=self.stream, flush=True)

    def check(self):
        if self.interrupted:
            raise Interrupted

    def reply(self, specialist, conversation, message):
        """A `specialist.release.deployment.Reply`; None if there is none, after printing why."""
        self.shown, self.interrupted = "", False
        # A flag, because an exception would stop llama.cpp in the middle of its work.
        before = signal.signal(signal.SIGINT, lambda *_: setattr(self, "interrupted", True))
        try:
            message.encode()
            reply = specialist.reply(conversation, message)
            if rule := reply.exchange.rule:
                # The customer reads this in place of what the model wrote.
                self.write(f"(rule {rule}) {printable(reply.text)}\n")
            return reply
        except Interrupted:
            self.write(f"{self.plain}\n(stopped; all is as it was before this message)\n")
        except ContextFull as error:
            self.write(f"(too long: {error})\n")
        except UnicodeEncodeError:
            self.write("(the message is not UTF-8 text; write it again)\n")
        except (UserError, RuntimeError) as error:
            self.write(f"{self.plain}\n(failed: {printable(str(error))})\n")
        finally:
            signal.signal(signal.SIGINT, before)
        return None


def warn(settings, stream):
    """Show the warning of a release that solves too few of its cases."""
    if notice := settings.get("notice"):
        loud, plain = (LOUD, PLAIN) if stream.isatty() else ("", "")
        print(f"{loud}WARNING: {printable(notice)}{plain}", file=stream, flush=True)
