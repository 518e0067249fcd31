"""Decides each claim by its rules."""

import json


def judge_claims(claims, measurements, outcomes, verdicts, table):
    """Write the verdicts of the claims.

    Args:
        claims: JSON of check_claims.
        measurements, outcomes: CSV of collect_paper.
        verdicts: JSON to write, a list; see `specialist.report.claims.judge`.
        table: CSV to write, one row for each rule.
    """
    import pandas as pd

    from specialist.report.claims import judge

    # Cells are text, though some look like numbers.
    numbers, solved = (pd.read_csv(path, dtype={"cell": str}) for path in (measurements, outcomes))
    found = [judge(claim, numbers, solved) for claim in json.loads(claims.read_text("utf-8"))]
    verdicts.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    rows = [
        {"claim": claim["id"], "verdict": claim["verdict"], "rule": rule["says"],
         "rule_verdict": rule["verdict"], **{key: rule[key] for key in ("value", "low", "high")}}
        for claim in found
        for rule in claim["rules"]
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(table, index=False)
    for claim in found:
        print(f"{claim['id']}: {claim['verdict']}")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(judge_claims, snakemake)
