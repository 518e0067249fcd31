"""Renders the system message that conversations for training get."""


def render_prompt(template, tools, prompt):
    """Write the system message of an agent that can search and has the dataset's tools.

    Args:
        template: Jinja template of the system message.
        tools: tools.yaml, or an empty list.
        prompt: text to write.
    """
    import yaml

    from specialist.agent.environment import SEARCH
    from specialist.core.prompt import system_message

    offered = yaml.safe_load(tools.read_text(encoding="utf-8")) if tools else []
    prompt.write_text(system_message(template, [SEARCH, *offered]), encoding="utf-8")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(render_prompt, snakemake)
