"""Claims as a version of the paper tests them: its values in their texts and cells."""

import re

from specialist.core.schema_errors import near

NAMED = re.compile(r"\{([a-z_]+)\}")
# What is measured task by task, and may have its interval over the tasks.
BY_TASK = "success_rate"
SHIPPED = {"values": {}, "over": "seeds", "base": "scratch"}


def fit(claims, design=SHIPPED):
    """Claims with the values of a version, and the list of mistakes.

    Args:
        claims: entries of resources/claims.yaml.
        design: dict of "values" ({id of a claim: {name: value}}, in place of the claim's own),
            "over" (what the interval of a success rate is over, if a rule does not say so) and
            "base" ("scratch" or "imported": which of `limits_of` follow the limits).

    Returns:
        (list of claims without `values` and `limits_of`, list of texts).
    """
    ids = [claim["id"] for claim in claims]
    mistakes = [
        f"papers: claims.{name}: unknown claim, expected one of {', '.join(ids)}{near(name, ids)}"
        for name in design["values"].keys() - {*ids}
    ]
    return [_fitted(claim, design, mistakes) for claim in claims], mistakes


def _fitted(claim, design, mistakes):
    own = claim.get("values", {})
    given = design["values"].get(claim["id"], {})
    mistakes += [
        f"papers: claims.{claim['id']}.{name}: unknown value, the claim has "
        f"{', '.join(own) or 'none'}{near(name, own)}"
        for name in given.keys() - own.keys()
    ]
    values = {name: str(value) for name, value in (own | given).items()}

    def filled(part):
        if isinstance(part, dict):
            return {key: filled(value) for key, value in part.items()}
        if isinstance(part, list):
            return [filled(value) for value in part]
        return NAMED.sub(replace, part) if isinstance(part, str) else part

    def replace(match):
        if match[1] not in values:
            mistakes.append(
                f"{claim['id']}: found {match[0]}, which is not one of its values "
                f"({', '.join(values) or 'it has none'}); add it to `values`"
            )
        return values.get(match[1], match[0])

    kept = {key: part for key, part in claim.items() if key not in ("values", "limits_of")}
    kept = filled(kept)
    if more := claim.get("limits_of", {}).get(design["base"]):
        kept["limits"] = f"{kept['limits'].strip()} {filled(more).strip()}"
    kept["rules"] = [_over(rule, design["over"]) for rule in kept["rules"]]
    return kept


def _over(rule, over):
    """A rule with the unit of its interval; the seeds are the default of `claims.judge`."""
    plain = rule["metric"] == BY_TASK and "over" not in rule and over != "seeds"
    return rule | {"over": over} if plain else rule
