"""Renders the system message of the training conversations."""


def render_prompt(template, tools, prompt, *, search):
    """Write the system message of an agent that has the dataset's tools.

    Args:
        template: Jinja template of the system message.
        tools: tools.yaml, or an empty list.
        prompt: text to write.
        search: whether the agent can search too.
    """
    import yaml

    from specialist.agent.environment import SEARCH
    from specialist.core.prompt import system_message

    offered = yaml.safe_load(tools.read_text(encoding="utf-8")) if tools else []
    offered = [SEARCH, *offered] if search else offered
    prompt.write_text(system_message(template, offered), encoding="utf-8")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(render_prompt, snakemake)
