"""Checks that conversations are not solved by policies that make no calls."""

from collections import Counter

from specialist.agent.customer import Customer, requests
from specialist.agent.facts import holds
from specialist.data.customers import trials
from specialist.data.rehearsal import check_facts

FEWEST = 10  # conversations: in fewer, one answer may solve a large share by chance
LIMIT = 0.25  # most of the conversations that one answer may solve


def check_idle(task, mistakes, place):
    """Note requests that the customer's own words, or any reply, already solve."""
    before, asked = len(mistakes.found), requests(task)
    for number, request in enumerate(asked):
        facts = request["expect"]["answer"]
        check_facts(facts, mistakes.within("requests", number), place)
        if not facts or request["expect"]["database"]:
            continue
        if any(_held(facts, _replies(task, trial)[number]) for trial in range(trials(task))):
            text = "the message already contains all of it, so repeating the message solves the "
            text += "request; add a fact that the agent has to find, or rows of the database"
            mistakes.add(place, "requests", number, "expect", "answer", text=text)
    if len(mistakes.found) > before:
        return
    if not any(request["expect"]["answer"] or request["expect"]["database"] for request in asked):
        text = "found no change of the database and no fact, so any reply solves the conversation"
        mistakes.add(place, "requests", text=f"{text}; add `expect` to a request")


def check_constant(tasks, mistakes, path):
    """Note that one answer, repeated whatever the customer says, solves many conversations.

    Args:
        tasks: list of tasks.
        path: their file.
    """
    spoken = [task for task in tasks if "requests" in task]
    answers = Counter(
        answer
        for task in spoken
        for answer in {
            step["answer"]
            for request in task["requests"]
            for step in request.get("solution", ())
            if "answer" in step
        }
    )
    # An answer that occurs in one conversation only depends on the task.
    shared = [answer for answer, count in answers.items() if count > 1]
    idle = [
        [request["expect"]["answer"] for request in requests(task)]
        for task in spoken
        if not any(request["expect"]["database"] for request in requests(task))
    ]
    solved = {
        answer: sum(all(_held(facts, [answer]) for facts in wanted) for wanted in idle)
        for answer in shared
    }
    best = max(solved, key=solved.get, default=None)
    if best and len(spoken) >= FEWEST and solved[best] > LIMIT * len(spoken):
        text = f"the answer {best!r} alone solves {solved[best]} of {len(spoken)} conversations, "
        text += f"expected at most {LIMIT:.0%}; add facts or changes of the database to them"
        mistakes.add(path, text=text)


def _held(facts, replies):
    return all(any(holds(reply, fact) for reply in replies) for fact in facts)


def _replies(task, trial):
    """What a policy replies to each request that repeats the customer's message."""
    customer, replies = Customer(task, trial), [[] for _ in task["requests"]]
    message = customer.opening()
    while message:
        replies[message.request].append(message.text)
        message = customer.hear(message.text)
    return replies
