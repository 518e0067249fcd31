"""Claims and their verdicts from measurements; resources/claims.yaml explains the rules.

A verdict follows from an interval and from bounds that were fixed before, and from nothing else.
"""

import math

from specialist.core.errors import UserError
from specialist.report import designs, sentences

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
INCONCLUSIVE = "inconclusive at this scale"
UNTESTED = "not tested in this version"
MEANING = {
    SUPPORTED: "The measurements agree with the claim.",
    NOT_SUPPORTED: "The measurements contradict the claim.",
    INCONCLUSIVE: "The measurements cannot decide.",
    UNTESTED: "This version does not measure all that the claim needs.",
}
CONFIDENCE = 0.95
# Measures that lie between 0 and 1, and are shown in percent.
SHARES = {
    "success_rate", "same_top_token", "trainable_share", "recall_at_1", "recall_at_3",
}  # fmt: skip


def read(path, schema, design=designs.SHIPPED):
    """The claims of a YAML file, as a version of the paper tests them.

    Args:
        path: YAML of claims.
        schema: YAML of their JSON schema.
        design: of the version; see `specialist.report.designs.fit`.

    Raises:
        UserError: lists what is wrong in the file.
    """
    import jsonschema
    import yaml

    claims, schema = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in (path, schema))
    errors = jsonschema.Draft202012Validator(schema).iter_errors(claims)
    found = [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
    claims, wrong = designs.fit(claims, design) if not found else ([], [])
    names = [claim["id"] for claim in claims]
    found += wrong
    found += [
        f"{claim['id']}.plain: {wrong}"
        for claim in claims
        if (wrong := sentences.mistake(claim["plain"], len(claim["rules"])))
    ]
    found += [f"{name}: is given twice; rename one" for name in set(names) if names.count(name) > 1]
    if found:
        raise UserError("\n  ".join([f"{path}: {len(found)} mistake(s)", *sorted(found)]))
    return claims


def judge(claim, measurements, outcomes):
    """Decide on a claim.

    Args:
        claim: an entry of the claims.
        measurements: table of experiment, cell, seed, metric, value.
        outcomes: table of experiment, cell, seed, metric, task, value.

    Returns:
        the claim with "verdict", "reason" (why nothing can be said, or None), "finding" (one
        sentence for a reader without statistics), and in each rule "value", "low" and "high"
        (None where a cell was not measured) and "verdict".
    """
    mine, tasks = (
        table[table["experiment"] == claim["experiment"]] for table in (measurements, outcomes)
    )
    rules = [{**rule, **_decide(rule, mine, tasks)} for rule in claim["rules"]]
    verdict, reason = overall([rule["verdict"] for rule in rules]), None
    if any(rule["value"] is None for rule in rules):
        reason = "Not all of the cells that the rules name were measured in this version."
    elif needed := claim.get("only_if"):
        found = _values(mine, needed["metric"], needed["cell"], "seed").mean()
        if not found >= needed["at_least"]:  # nan, if it was not measured, is no ground either
            words = needed["metric"].replace("_", " ")
            verdict = INCONCLUSIVE
            reason = (
                f"The {words} of {needed['cell']} is not shown to be {needed['at_least']} or more."
            )
    finding = MEANING[verdict]
    if all(rule["value"] is not None for rule in rules):
        finding += " " + sentences.fill(claim["plain"], [rule["value"] for rule in rules])
    return {**claim, "rules": rules, "verdict": verdict, "reason": reason, "finding": finding}


def verdict(low, high, at_least=None, at_most=None):
    """The verdict of an interval on bounds; None is no bound, nan gives no verdict."""
    least = -math.inf if at_least is None else at_least
    most = math.inf if at_most is None else at_most
    if least <= low <= high <= most:
        return SUPPORTED
    return NOT_SUPPORTED if high < least or low > most else INCONCLUSIVE


def overall(verdicts):
    """The verdict on a claim from the verdicts on its rules."""
    for one in (NOT_SUPPORTED, UNTESTED, INCONCLUSIVE):
        if one in verdicts:
            return one
    return SUPPORTED


def t_interval(values):
    """(mean, low, high) of values, each of one seed; a single one has no interval: nan."""
    import numpy as np
    from scipy import stats

    values = np.asarray(values, dtype=float)
    mean, error = values.mean(), stats.sem(values) if len(values) > 1 else np.nan
    if error == 0:
        return mean, mean, mean
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=mean, scale=error)
    return mean, low, high


def bootstrap_interval(values):
    """(mean, low, high) of values, each of one task, by resampling them."""
    import numpy as np
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if np.ptp(values) == 0:
        return values[0], values[0], values[0]
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, method="percentile", rng=1
    ).confidence_interval
    return values.mean(), found.low, found.high


def _decide(rule, measurements, outcomes):
    by_task = rule.get("over") == "tasks"
    table, unit = (outcomes, "task") if by_task else (measurements, "seed")
    cells = [rule["cell"], rule["against"]] if "against" in rule else [rule["cell"]]
    parts = [_values(table, rule["metric"], cell, unit) for cell in cells]
    if any(part.empty for part in parts):
        return dict.fromkeys(("value", "low", "high")) | {"verdict": UNTESTED}
    values = parts[0]
    if len(parts) == 2:  # paired by seed or task
        values = parts[0] - parts[1] if rule["by"] == "difference" else parts[0] / parts[1]
    interval = {"tasks": bootstrap_interval, "exact": lambda values: [values.mean()] * 3}
    found = interval.get(rule.get("over"), t_interval)(values.dropna())
    value, low, high = map(float, found)
    bounds = {key: rule[key] for key in ("at_least", "at_most") if key in rule}
    return {"value": value, "low": low, "high": high, "verdict": verdict(low, high, **bounds)}


def _values(table, metric, cell, unit):
    """The values of a cell, the mean of each seed or task."""
    rows = table[(table["metric"] == metric) & (table["cell"] == cell)]
    return rows.groupby(unit)["value"].mean()
