"""The judge: a language model that reads candidates and may drop some.

It is asked about what the teacher finished. Its yes keeps nothing that a check drops.
"""

from concurrent.futures import ThreadPoolExecutor

from specialist.core.completions import MalformedError

VERDICTS = YES, NO = "yes", "no"
UNCLEAR = "unclear"  # any other reply; it drops the row
REASONS = {NO: "judge_says_no", UNCLEAR: "judge_unclear"}


def judged(candidates, prompts, ask, parallel=1):
    """Candidates with the verdict of the judge.

    Args:
        candidates: see `specialist.synthesis.questions.candidates` and
            `specialist.synthesis.requests.requests`.
        prompts: `specialist.synthesis.resources.Prompts`.
        ask: function from (prompt, choices) to a `specialist.core.completions.Reply`; see
            `specialist.synthesis.journal.Journal.ask`.
        parallel: requests at the same time.

    Returns:
        list of dicts; those that were not dropped have "verdict", "yes", "no" or "unclear".
    """
    with ThreadPoolExecutor(parallel) as pool:
        jobs = [pool.submit(_verdict, each, prompts, ask) for each in candidates]
        try:
            return [each | job.result() for each, job in zip(candidates, jobs, strict=True)]
        finally:
            pool.shutdown(cancel_futures=True)


def _verdict(each, prompts, ask):
    """{"verdict"} of a candidate; empty for one that was dropped."""
    if "dropped" in each:
        return {}
    try:
        reply = ask(prompts[f"judge_{each['kind']}"](**each), VERDICTS)
    except MalformedError:
        return {"verdict": UNCLEAR}
    words = reply.text.strip("\"'*.,!: ").lower().split()
    first = words[0].strip("\"'*.,!:") if words else ""
    return {"verdict": first if reply.whole and first in VERDICTS else UNCLEAR}
