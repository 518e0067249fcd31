"""Puts the tools of a dataset's spec into the dataset."""


def simulate_tools(spec, tools):
    """Copy the spec's tools.

    This is a separate step because the models are trained on the names of the tools. A change in
    the tasks or figures of a spec must not retrain anything.

    Args:
        spec: tools.yaml of the spec.
        tools: YAML to write.
    """
    import shutil

    shutil.copyfile(spec, tools)


if "snakemake" in globals():
    from specialist.engine.step import run

    run(simulate_tools, snakemake)
