"""Writes a system into a self-contained folder, with hashes."""

import json
import shutil
from pathlib import Path

from specialist.core.errors import UserError


def make_release(
    model, modelfile, card, license_text, prompt, tools, database, articles, index, tasks, scores,
    baselines, programs, page, requirements, release, *, name, limits, examples, sources, search,
):  # fmt: skip
    """Write the folder `release`.

    Args:
        model, modelfile, card: GGUF, Modelfile and README.md of the release.
        license_text: file of the licence of the programs.
        prompt: Jinja template of the system message.
        tools, database: tools.yaml and SQL script, or empty lists.
        articles: files of the knowledge base; folders below its own are kept.
        index: files of the canonical index (chunks, embeddings, settings, encoder, perhaps
            what it learned), or an empty list.
        tasks: JSONL of the evaluation; the first one lends its session, and some are examples.
        scores: JSON of score.
        baselines: the same of the systems that it should be better than; see
            `baselines` in specialist/config/paths/systems.py.
        programs: chat.py, serve.py, verify_release.py and the modules that they import.
        page: files of the server's page.
        requirements: pins of what the programs need.
        release: folder to write.
        name: the model's name.
        limits: dict of the agent's limits (max_steps, context, max_new_tokens, top_k), and `rules`:
            whether those of the tools hold.
        sources: paths of the articles below kb/.
        search: dict of how the index is searched; see `specialist.rag.ranking.How`.
        examples: most tasks to show to who opens the chat, with their sessions.

    Raises:
        UserError: the name of an article cannot stand in SHA256SUMS.
    """
    from verify_release import SUMS, sha256, walk

    from specialist.agent.customer import requests
    from specialist.core.text import read_rows
    from specialist.release.contents import DATABASE, INDEX, PAGE, SETTINGS, TOOLS
    from specialist.release.standing import notice

    _copy(model, release / "model.gguf")
    _copy(modelfile, release / "Modelfile")
    _copy(card, release / "README.md")
    _copy(license_text, release / "LICENSE")
    _copy(prompt, release / "prompt.jinja")
    _copy(requirements, release / "requirements.txt")
    for path, target in ((tools, TOOLS), (database, DATABASE)):
        if path:
            _copy(path, release / target)
    for path, source in zip(articles, map(_listable, sources), strict=True):
        _copy(path, release / "kb" / source)
    for path in index:
        _copy(path, release / INDEX / path.name)
    for path in page:
        _copy(path, release / PAGE / path.name)
    for path in programs:
        _copy(path, release / _place(path))
    asked = {}
    for row in read_rows(tasks):
        shown = {"message": requests(row)[0]["says"][0], "session": row.get("session", {})}
        asked.setdefault(row["kind"], shown)
    # One of each kind; the account of the first is the one that a chat opens by itself.
    shown = list(asked.values())[:examples]
    given = ((TOOLS, tools), (DATABASE, database), (INDEX, index))
    parts = [part for part, files in given if files]
    about = {"name": name, **limits, "parts": parts, "session": shown[0]["session"]}
    if index:
        about["search"] = search
    about["examples"] = shown
    if warning := notice(_json(scores), {path.parent.name: _json(path) for path in baselines}):
        about["notice"] = warning
        print(f"WARNING: {warning}")
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (release / SETTINGS).write_text(text + "\n", encoding="utf-8")
    sums = "".join(f"{sha256(release / path)}  {path}\n" for path, _ in walk(release))
    (release / SUMS).write_text(sums, encoding="utf-8")


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _listable(source):
    """The path of an article, if SHA256SUMS can list it."""
    if not source.isprintable() or "\\" in source:
        raise UserError(
            f"{ascii(source)}: a release lists its files by name, one per line; rename the article "
            "without line feeds, backslashes and characters that cannot be printed"
        )
    return source


def _place(program):
    """Path in a release of a program of workflow/scripts."""
    if "specialist" in program.parts:
        return Path(*program.parts[program.parts.index("specialist") :])
    return Path({"verify_release.py": "verify.py"}.get(program.name, program.name))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(make_release, snakemake)
