"""Reads the tickets of a folder as messages: mails, rows of tables, and single texts."""

from specialist.core.schema_errors import near
from specialist.data import mails
from specialist.data.files import kind, read_text
from specialist.data.formats import Mistakes, check_text
from specialist.data.reading import READERS, rows
from specialist.data.threads import AGENT, CUSTOMER, Message

FIELDS = ("message", "messages", "reply", "subject", "thread", "sender")
TEXTS = (".txt", ".md")
# Keys of an item of `messages`, the first that is there.
SAID = ("content", "text", "body", "value", "message")
SENDERS = ("role", "from", "sender", "author")


class Tickets:
    """Iterates over the `specialist.data.threads.Message`s of files.

    A mail is a message. A row of a table has `message`, and may have `reply` of an agent; or it
    has `messages`, a list of {"role", "content"}. A text file is one message of a customer.

    Args:
        sources: files; see FOLDERS of `specialist.config.paths.datasets`.
        mistakes: `specialist.data.formats.Mistakes`; its notes count what was left out.
        columns: {one of FIELDS: its name in the files}.
        skip: whether a mail or text that cannot be read is left out; else it is a mistake.

    Attributes:
        empty: places of messages without a text.
        skipped: "place: reason" of each ticket that was left out.
    """

    def __init__(self, sources, mistakes, columns, skip):
        self.sources, self.mistakes = sorted(sources), mistakes
        self.columns, self.skip = columns, skip
        self.empty, self.skipped = [], []

    def __iter__(self):
        for path in self.sources:
            for message in self._messages(path):
                text = check_text(message.text, self.mistakes, message.place)
                subject = check_text(message.subject, self.mistakes, message.place, "subject")
                if text is None or subject is None:
                    continue
                message.text, message.subject = text.strip(), subject.strip()
                if message.text:
                    yield message
                else:
                    self.empty.append(message.place)

    def _messages(self, path):
        form, packed = kind(path)
        if form in mails.SUFFIXES and not packed:
            return self._mails(path)
        if form in TEXTS and not packed:
            return self._text(path)
        if form in READERS:
            return self._rows(path)
        self.mistakes.add(
            path, text="expected mails and texts that are not compressed; unpack the file"
        )
        return ()

    def _mails(self, path):
        try:
            for place, data in mails.mails(path):
                try:
                    if message := mails.read_mail(data, place, self.mistakes.notes):
                        yield message
                except mails.Unreadable as error:
                    self._unreadable(place, str(error))
        except mails.Unreadable as error:
            self._unreadable(path, str(error))

    def _text(self, path):
        found = Mistakes()
        if (text := read_text(path, found)) is not None:
            yield Message(str(path), text, CUSTOMER)
        for line in found.found:
            self._unreadable(*line.split(": ", 1))

    def _unreadable(self, place, reason):
        if self.skip:
            self.skipped.append(f"{place}: {reason}")
        else:
            remedy = "repair or remove it, or set `unreadable: skip` to leave such tickets out"
            self.mistakes.add(place, text=f"{reason}; {remedy}")

    def _rows(self, path):
        for place, row in rows(path, self.mistakes, self.columns):
            for key in row.keys() - FIELDS:
                self.mistakes.note(f"the key {key} is not used")
            given = {key: value for key, value in row.items() if value is not None}
            if ("message" in given) == ("messages" in given):
                found = "both" if "message" in given else ", ".join(row) or "no keys"
                hint = next(filter(None, (near(key, FIELDS) for key in row)), "")
                self.mistakes.add(
                    place,
                    text=f"found {found}, expected message or messages{hint}; name the column "
                    "under tickets.columns, such as `message: body`",
                )
            elif "messages" in given:
                yield from self._listed(given, place)
            else:
                yield from self._single(given, place)

    def _single(self, row, place):
        keys = (_key(row, place),)
        subject, sender = row.get("subject", ""), row.get("sender")
        yield Message(place, row["message"], _name(sender), subject, keys)
        if "reply" in row:
            yield Message(place, row["reply"], AGENT, subject, keys)

    def _listed(self, row, place):
        items = row["messages"]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            found = f"found {str(items)[:60]!r}, expected a list of objects with role and content"
            self.mistakes.add(place, "messages", text=found)
            return
        for number, item in enumerate(items):
            said = next((item[key] for key in SAID if key in item), None)
            sender = next((item[key] for key in SENDERS if key in item), None)
            if sender in ("system", "tool"):
                self.mistakes.note(f"messages of the role {sender} are not used")
            elif check_text(said, self.mistakes, place, "messages", number) is not None:
                yield Message(
                    place, said, _name(sender), row.get("subject", ""), (_key(row, place),)
                )


def _key(row, place):
    """The thread of a row: its own, unless it names one."""
    return f"thread {row['thread']}" if "thread" in row else f"place {place}"


def _name(value):
    return None if value is None else str(value)
