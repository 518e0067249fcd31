"""Reads mails from *.eml and mboxes: what a person wrote, without quotes and signatures."""

import mailbox
import re
from datetime import UTC
from email import message_from_bytes, policy
from email.utils import getaddresses, parsedate_to_datetime

from specialist.data.threads import Message

SUFFIXES = (".eml", ".mbox")
REPLY = re.compile(r"^\s*(?:(?:re|aw|sv|antw|r|odp|vs)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
QUOTED = "blockquote, .gmail_quote, .yahoo_quoted, .moz-cite-prefix, style, script, head"
SIGNATURE_WORDS = 60  # a longer closing is taken for a part of the message
LONG = 300  # characters of a line that no mail program writes above a quoted mail
MAIL_ID = re.compile(r"<[^<>\s]+>")
# What a damaged mail raises in the `email` package, which parses headers when they are read.
DAMAGED = (LookupError, ValueError, TypeError, AttributeError)


class Unreadable(Exception):
    """A mail that cannot be read; the message says why."""


def mails(path):
    """Yield (place, bytes) for each mail of a file: an *.eml, or an mbox.

    Raises:
        Unreadable: an mbox does not begin with a line `From `.
    """
    if path.suffix.lower() == ".eml":
        yield str(path), path.read_bytes()
        return
    with open(path, "rb") as file:
        if file.read(5) not in (b"From ", b""):
            raise Unreadable("found no mbox, expected a file whose first line begins with `From `")
    box = mailbox.mbox(path, create=False)
    try:
        for number, key in enumerate(box.iterkeys(), 1):
            yield f"{path}, mail {number}", box.get_bytes(key)
    finally:
        box.close()


def read_mail(data, place, notes):
    """A mail as a `specialist.data.threads.Message`; None for an automatic reply.

    Args:
        data: bytes of the mail.
        place: the file and the mail's place in it, for messages.
        notes: Counter of what was left out or repaired.

    Raises:
        Unreadable: it is encrypted or damaged.
    """
    mail = message_from_bytes(data, policy=policy.default)
    try:
        if str(mail.get("Auto-Submitted", "no")).strip().lower() != "no":
            return notes.update(["automatic replies left out"])
        if mail.get_content_type() == "multipart/report":
            return notes.update(["delivery reports left out"])
        text = _body(mail, notes)
        sender = _addresses(mail, "From")
        own = MAIL_ID.findall(str(mail.get("Message-ID", "")))
        others = [str(mail.get(key, "")) for key in ("In-Reply-To", "References")]
        subject = " ".join(str(mail.get("Subject", "")).split())
        return Message(
            place=place,
            text=written(text, notes),
            sender=sender[0] if sender else None,
            subject=REPLY.sub("", subject),
            keys=(*own, *MAIL_ID.findall(" ".join(others))),
            loose=bool(REPLY.match(subject)) and not any(map(MAIL_ID.search, others)),
            people=frozenset([*sender, *_addresses(mail, "To")]),
            date=_date(mail),
        )
    except DAMAGED as error:
        raise Unreadable(f"found a damaged mail ({' '.join(str(error).split())[:80]})") from error


def _body(mail, notes):
    """The text of a mail's body; empty if no part of it is text or HTML."""
    if mail.get_content_type() in ("multipart/encrypted", "application/pkcs7-mime"):
        raise Unreadable("found an encrypted mail; decrypt it")
    part = mail.get_body(preferencelist=("plain", "html"))
    if mail.is_multipart() and (count := sum(1 for _ in mail.iter_attachments())):
        notes["attachments ignored"] += count
    if part is None:  # only a photo, for example
        return ""
    text = _decoded(part, notes)
    return _of_html(text) if part.get_content_type() == "text/html" else text


def _decoded(part, notes):
    data, declared = part.get_payload(decode=True) or b"", part.get_content_charset("utf-8")
    for charset in (declared, "utf-8"):
        try:
            return data.decode(charset)
        except (LookupError, UnicodeDecodeError):
            continue
    notes["mails with bytes outside of their encoding, read as Windows-1252"] += 1
    return data.decode("cp1252", "replace")


def _of_html(html):
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "html.parser")
    for found in soup.select(QUOTED):
        found.decompose()
    plain = ["a", "b", "em", "i", "img", "strong"]
    text = MarkdownConverter(
        strip=plain, escape_asterisks=False, escape_underscores=False, escape_misc=False
    ).convert_soup(soup)
    return re.sub(r"\n{3,}", "\n\n", text)


def written(text, notes):
    """What the sender wrote: a mail's text without quoted mails, quoted lines and signature."""
    from mailparser_reply.constants import MAIL_LANGUAGES
    from mailparser_reply.parser import EmailMessage

    # The library's patterns take quadratic time or worse for long lines and many blank lines.
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    lines = [line[:LONG] if line.startswith(">") else line for line in lines]
    long = {f"\ue000{n}\ue001": line for n, line in enumerate(lines) if len(line) > LONG}
    marks = {line: mark for mark, line in long.items()}
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(marks.get(line, line) for line in lines))
    found = _newest(text, notes, EmailMessage, [n for n in MAIL_LANGUAGES if len(n) == 2])
    return re.sub("\ue000\\d+\ue001", lambda mark: long.get(mark[0], mark[0]), found)


def _newest(text, notes, parser, languages):
    """The newest part of a mail's text; `parser` and `languages` are those of the library."""
    parsed = parser(text, languages, keep_hyphen_lists=True).read()
    replies = [reply for reply in parsed.replies if _own(reply)]
    if not replies:
        return ""
    # The first part is the newest, even below the quoted mail if there is nothing above it.
    reply, whole = replies[0], parsed.text.strip()
    closing = reply.signatures
    found = _own(reply)
    without = _own(reply, signature=False)
    if "?" in closing or len(closing.split()) > SIGNATURE_WORDS or not without:
        closing = ""
    if closing:
        notes["signatures removed"] += 1
        found = without
    if len(found) + len(closing) + len("\n\n") < len(whole):
        notes["mails whose quoted text was removed"] += 1
    return found


def _own(reply, signature=True):
    """The lines of a part that are not quoted."""
    text = reply.full_body if signature else reply.body
    lines = [line for line in text.split("\n") if not line.startswith(">")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _addresses(mail, header):
    found = getaddresses([str(value) for value in mail.get_all(header, [])])
    return [address.casefold() for _, address in found if address]


def _date(mail):
    """Seconds since 1970 of a mail's date; None without one that can be read."""
    try:
        found = parsedate_to_datetime(str(mail.get("Date", "")))
    except (ValueError, TypeError, OverflowError):
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
