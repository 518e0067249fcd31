"""Whether the agent declines what the knowledge base does not answer, and nothing else.

A request is unanswerable if it says so (`unanswerable: true`), or if its solution ends with a reply
that declines. A request is answerable if it needs an article, a call or a change. All others count
as neither, such as thanks.
"""

from specialist.agent.facts import holds
from specialist.agent.parts import parts
from specialist.core.patterns import found
from specialist.core.rates import wilson


def declining(runs, patterns, tools):
    """How often unanswerable requests were declined, and answerable ones refused.

    A request that the customer never made, because the conversation ended before, is left out.

    Args:
        runs: list of `specialist.agent.figures.Run`, all trials of each task.
        patterns: regular expressions of RE2; a reply that matches one declines.
        tools: entries of the dataset's tools.yaml; one with a `fallback` hands over to a person.

    Returns:
        {"unanswerable": {"n", "declined"}, "answerable": {"n", "declined", "handed_over"}}; a
        request that is declined is not counted as handed over. A hand-over
        that is also in the solution does not count.
    """
    last_resort = {tool["name"] for tool in tools if "fallback" in tool}
    without, within = {"n": 0, "declined": 0}, {"n": 0, "declined": 0, "handed_over": 0}
    for run in runs:
        for number, part in enumerate(parts(run.task, run.trace)):
            if not part.exchanges:
                continue
            if unanswerable(run.task, part.request, patterns):
                without["n"] += 1
                without["declined"] += _declined(part, patterns) or _as_expected(part)
            elif _answerable(part.request):
                within["n"] += 1
                if _declined(part, patterns):
                    within["declined"] += 1
                elif _handed_over(run.trace, number, part, last_resort):
                    within["handed_over"] += 1
    return {"unanswerable": without, "answerable": within}


def rates(counts):
    """The counts of `declining` with their "rate" and "ci95"; None if there are no such requests.

    Of answerable requests, the rate is that of declined and handed-over ones together.
    """
    result = {}
    for name, each in counts.items():
        refused = each["declined"] + each.get("handed_over", 0)
        result[name] = None
        if each["n"]:
            ends = wilson(refused, each["n"])
            result[name] = each | {"rate": refused / each["n"], "ci95": ends}
    return result


def unanswerable(task, request, patterns):
    """Whether the knowledge base does not answer a request of a task."""
    marked = request if "requests" in task else task
    if marked.get("unanswerable"):
        return True
    answers = [step["answer"] for step in request.get("solution", []) if "answer" in step]
    said = answers[-1:] or request["expect"].get("answer", [])
    return any(_matches(text, patterns) for text in said)


def _answerable(request):
    calls = any(step.get("call") for step in request.get("solution", []))
    return bool(request["kb"] or request["expect"].get("database") or calls)


def _matches(text, patterns):
    return any(found(pattern, text) for pattern in patterns)


def _declined(part, patterns):
    return any(_matches(each["reply"], patterns) for each in part.exchanges if each["reply"])


def _as_expected(part):
    """Whether the replies hold the facts that the task expects of a reply that declines."""
    facts = part.request["expect"].get("answer", [])
    return bool(facts) and all(holds(part.replies, fact) for fact in facts)


def _handed_over(trace, number, part, last_resort):
    """Whether a call for a person was carried out, by the agent or a rule, that no solution has."""
    if any(step.get("call") in last_resort for step in part.request.get("solution", [])):
        return False
    places = {
        place
        for place, each in enumerate(trace.get("exchanges", [{}]))
        if each.get("request", 0) == number
    }
    return any(
        step["call"] in last_resort and step["error"] is None
        for step in trace["steps"]
        if step.get("exchange", 0) in places
    )
