"""Checks that a task's solution follows the rules of the tools that the agent's loop enforces."""

from specialist.agent import react
from specialist.agent.customer import Customer, requests
from specialist.agent.environment import SEARCH
from specialist.agent.rules import Rules
from specialist.data.customers import trials


def check_rules(task, records, stage, mistakes, place):
    """Note calls and answers of a solution that the rules of the tools refuse, in any wording.

    Args:
        task: a task, of either form, whose solution fits its customer.
        records: for each request, results of the solution's steps.
    """
    kept, spoken = Rules([SEARCH, *stage.tools]), "requests" in task
    before = len(mistakes.found)
    for trial in range(trials(task)):
        customer, messages, done = Customer(task, trial), [], []
        message = customer.opening()
        for number, request in enumerate(requests(task)):
            here = mistakes.within("requests", number) if spoken else mistakes
            for at, step in enumerate(request["solution"]):
                if message:
                    messages.append({"role": "user", "content": message.text})
                text, message = None, None
                if "answer" in step:
                    content = react.write_answer(step["thought"], step["answer"])
                    message = customer.hear(step["answer"])
                    if kept.false_claim(step["answer"], done):
                        text = "claims something that no earlier call has done"
                else:
                    content = react.write_action(step["thought"], step["call"], step["arguments"])
                    text = kept.refusal(step["call"], step["arguments"], messages)
                    done += [] if "error" in records[number][at] else [step["call"]]
                messages.append({"role": "assistant", "content": content})
                if text:
                    words = f" in wording {trial} of the customer" if trial else ""
                    text = f"a rule of the tools refuses this{words}: {text}; fix the solution"
                    here.add(place, "solution", at, text=text)
        if len(mistakes.found) > before:
            return
