"""Asks the teacher for messages of customers who need the tools, and for the answers."""


def synthesize_requests(
    tools, database, prompts, gguf, candidates,
    *, teacher, requests, conversations, held_out, seed, threads, checkpoints,
):  # fmt: skip
    """Write the candidates of the tools; see `specialist.synthesis.requests.requests`.

    Args:
        tools: tools.yaml.
        database: SQL script of the database, or an empty list.
        prompts: files of the prompts and styles.
        gguf: a local teacher, or an empty list.
        candidates: JSONL to write.
        teacher: dict of `specialist.config.settings.synthesis.Teacher`.
        requests: requests of each style for each tool.
        conversations: most held-out conversations.
        held_out: whether the held-out styles write requests too.
        seed: of the calls and the teacher's replies.
        threads: CPU threads of a local teacher.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.

    Raises:
        UserError: the teacher cannot be reached, or a file is wrong.
    """
    from specialist.core.text import write_rows
    from specialist.data.formats import Mistakes
    from specialist.data.tool_yaml import read_yaml
    from specialist.data.toolbox import read_database, read_tools
    from specialist.synthesis.calls import Calls, session_names
    from specialist.synthesis.journal import Journal
    from specialist.synthesis.requests import requests as write
    from specialist.synthesis.requests import spoken
    from specialist.synthesis.resources import Prompts
    from specialist.synthesis.teacher import open_teacher

    with Mistakes() as mistakes:
        world = read_database(database, mistakes)
        entries, _ = read_yaml(tools, mistakes)
        read_tools(tools, world, session_names(entries), mistakes)
    calls = Calls(entries, world, seed)
    with (
        open_teacher(teacher, gguf, threads) as opened,
        Journal(checkpoints.folder / "replies.jsonl", opened, seed) as journal,
    ):
        asking = Prompts(prompts)
        found = []
        if requests:
            found += write(entries, calls, asking, journal.ask, count=requests, held_out=held_out)
        if conversations:
            found += spoken(entries, calls, asking, journal.ask, conversations)
    write_rows(candidates, found)
    dropped = sum("dropped" in row for row in found)
    print(f"{len(found)} candidates, {dropped} of them came to nothing; {journal.asked} requests")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(synthesize_requests, snakemake)
