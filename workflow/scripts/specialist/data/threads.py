"""Joins messages of customers and agents to threads."""

import re
from dataclasses import dataclass

CUSTOMER, AGENT = "customer", "agent"
# Other names of the two roles, in the columns of help desks.
ROLES = {
    "customer": CUSTOMER, "user": CUSTOMER, "human": CUSTOMER, "client": CUSTOMER,
    "requester": CUSTOMER, "end-user": CUSTOMER, "agent": AGENT, "assistant": AGENT,
    "support": AGENT, "staff": AGENT, "operator": AGENT, "bot": AGENT, "gpt": AGENT,
}  # fmt: skip


@dataclass
class Message:
    """A message of a ticket.

    Attributes:
        place: the file, with the line, row or number of the mail.
        text: what its sender wrote.
        sender: name, address or role; None if unknown.
        subject: without the marks of a reply.
        keys: names of the thread; messages that share one belong together.
        loose: a reply that names no earlier mail.
        people: addresses of sender and receivers.
        date: seconds since 1970, or None.
    """

    place: str
    text: str
    sender: str | None = None
    subject: str = ""
    keys: tuple = ()
    loose: bool = False
    people: frozenset = frozenset()
    date: float | None = None


@dataclass
class Thread:
    """The messages of a ticket in their order, with the role of each sender."""

    messages: list
    roles: list

    @property
    def subject(self):
        return next((message.subject for message in self.messages if message.subject), "")

    @property
    def opening(self):
        """The first message of the customer, below the subject; None without one."""
        for message, role in zip(self.messages, self.roles, strict=True):
            if role == CUSTOMER:
                return "\n\n".join(filter(None, [message.subject, message.text]))
        return None

    @property
    def text(self):
        """The whole thread, as the corpus has it."""
        head = [f"Subject: {self.subject}"] if self.subject else []
        pairs = zip(self.messages, self.roles, strict=True)
        said = [f"{role.capitalize()}: {message.text}" for message, role in pairs]
        return "\n\n".join([*head, *said])


def together(messages, agents):
    """Threads of messages, in the order of their first messages.

    Args:
        messages: list of `Message`, in the order of the files.
        agents: names, addresses, or domains with an @, of the people who answer; without any, the
            first sender of a thread is its customer.

    Returns:
        list of `Thread`.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, edges = {}, []
    for number, message in enumerate(messages):
        edges += [(first.setdefault(key, number), number) for key in message.keys]
    edges += _loose(messages)
    left, right = np.array(edges, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(messages),) * 2)
    groups = {}
    for number, group in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups.setdefault(group, []).append(messages[number])
    return [_thread(found, agents) for found in groups.values()]


def _loose(messages):
    """Pairs of a reply that names no earlier mail and the last one of its people and subject."""
    dated = [n for n, message in enumerate(messages) if message.people]
    last, found = {}, []
    for number in sorted(dated, key=lambda n: messages[n].date or 0):
        message = messages[number]
        key = message.subject.casefold(), message.people
        if message.loose and key in last:
            found.append((last[key], number))
        last[key] = number
    return found


def _thread(messages, agents):
    if all(message.date is not None for message in messages):
        # A mail may be in several folders.
        first = {(each.date, each.sender, each.text): each for each in reversed(messages)}
        messages = sorted(reversed(first.values()), key=lambda message: message.date)
    customer = messages[0].sender
    roles = [_role(message.sender, customer, agents) for message in messages]
    return Thread(messages, roles)


def _role(sender, customer, agents):
    """The role of a sender; `customer` is the first sender of the thread."""
    name = (sender or "").strip().casefold()
    if name in ROLES:
        return ROLES[name]
    if agents:
        wanted = [agent.casefold() for agent in agents]
        own = any(name == each or (each[0] == "@" and name.endswith(each)) for each in wanted)
        return AGENT if own else CUSTOMER
    return CUSTOMER if sender == customer else AGENT


def words(text):
    return re.findall(r"\w+", text.casefold())
