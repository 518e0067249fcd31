"""The summary of a result, as Markdown."""

from specialist.report.twins import twins


def render(template, result, scores, warnings):
    """Markdown of a result.

    Args:
        template: Jinja file (workflow/report/summary.md.jinja); it sees the keys of the
            result, `scores`, `gaps`, `warnings` and `classes` (of failures, in any system).
        result: what collect_eval writes to agent_eval.json.
        scores: system -> the output of score; the result holds only part of it.
        warnings: texts of `specialist.report.quantization.judge`.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    classes = {kind for system in result["systems"].values() for kind in system["failures"]}
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        **{"forgetting": None, **result},
        scores=scores,
        gaps=gaps(result),
        classes=sorted(classes),
        warnings=warnings,
    )
    return text.strip() + "\n"


def gaps(result):
    """Cost of quantisation for the headline: systems that differ from it only by F16.

    Returns:
        list of {"system", "difference"}; the difference of the success rates is negative
        where the headline solves less.
    """
    systems, headline = result["systems"], result["headline"]
    pairs = twins(result["provenance"]["config"]["systems"], "F16")
    return [
        {
            "system": other,
            "difference": headline["success_rate"] - systems[other]["success_rate"],
        }
        for name, other in pairs
        if name == headline["system"]
    ]
