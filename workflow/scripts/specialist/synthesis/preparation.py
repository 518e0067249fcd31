"""Whether a generated task passes what prepare_tasks asks of tasks that people write."""

import tempfile
from pathlib import Path

from specialist.core.errors import UserError
from specialist.core.text import write_rows
from specialist.data.customers import check_customer
from specialist.data.formats import Mistakes
from specialist.data.playing import rehearse_conversation
from specialist.data.rehearsal import Stage, rehearse
from specialist.data.suite import check_tasks, read_tasks
from specialist.data.toolbox import read_database, read_tools, written_tables


class Preparation:
    """Checks tasks one by one.

    Args:
        tools: tools.yaml, or an empty list.
        database: SQL script of the database, or an empty list.
        session: names of the values that tasks give to SQL.
        articles: names of the knowledge base's files.
        limits: dict of "max_steps", "context" and "max_messages" of the agent.

    Raises:
        UserError: tools or database are wrong.
    """

    def __init__(self, tools, database, session, articles, limits):
        with Mistakes() as mistakes:
            world = read_database(database, mistakes)
            self.tools = read_tools(tools, world, set(session), mistakes)
        self.tables, self.articles = written_tables(world, self.tools), articles
        self.most = limits["max_messages"]
        self.stage = Stage(
            world, self.tools, limits["max_steps"], limits["context"], bool(articles)
        )

    def mistake(self, task):
        """The first mistake of a task, or None if it is right."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "task.jsonl")
            write_rows(path, [task])
            mistakes = Mistakes()
            try:
                self._check(path, mistakes)
            except UserError as error:
                return _plain(str(error).split("\n")[-1], path)
            return _plain(mistakes.found[0], path) if mistakes.found else None

    def _check(self, path, mistakes):
        """As prepare_tasks checks a file."""
        found = read_tasks(path, mistakes)
        check_tasks(found, self.tools, self.tables, self.articles, mistakes)
        for place, task in found:
            if "requests" in task:
                check_customer(task, self.most, mistakes, place)
        mistakes.stop()
        for place, task in found:
            play = rehearse_conversation if "requests" in task else rehearse
            play(task, self.stage, mistakes, place)


def _plain(line, path):
    return line.strip().replace(f"{path}:1, ", "").replace(f"{path}: ", "")
