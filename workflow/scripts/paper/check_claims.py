"""Checks the claims before anything is trained to test them."""

import json


def check_claims(claims, schema, checked, *, experiments, design):
    """Write the claims with an experiment in this version of the paper.

    Args:
        claims: YAML of claims.
        schema: YAML of their JSON schema.
        checked: JSON to write.
        experiments: names of the experiments.
        design: what claims take from the version; see `specialist.report.designs.fit`.

    Raises:
        UserError: what is wrong with the claims, or that there is no experiment.
    """
    from specialist.core.errors import UserError
    from specialist.report.claims import read

    if not experiments:
        raise UserError(
            "found no experiment, expected `papers` in the configuration and an adapter in the "
            "headline's system"
        )
    kept = [claim for claim in read(claims, schema, design) if claim["experiment"] in experiments]
    checked.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(check_claims, snakemake)
