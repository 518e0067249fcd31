"""What the tasks of an evaluation need besides a policy: tools, database, search and prompt."""

import contextlib

from specialist.agent.environment import SEARCH, dump, open_database


def runs(tasks, trials, sample=None):
    """[(task, trial)] in the order in which they run.

    All tasks run first. Then the conversations run again, once for each further trial.

    Args:
        tasks: JSONL of tasks, every key filled in.
        trials: runs of each conversation.
        sample: number of tasks, spread evenly over all of them; None for all.
    """
    from specialist.agent.record import spread
    from specialist.core.text import read_rows

    suite = spread(list(read_rows(tasks)), sample)
    again = [(task, t) for t in range(1, trials) for task in suite if "requests" in task]
    return [*((task, 0) for task in suite), *again]


class World:
    """The world of a dataset's tasks. Close it after use.

    Args:
        tools: tools.yaml, or an empty list.
        database: SQL script of the database, or an empty list.
        prompt: Jinja template of the system message.
        index: arguments of `specialist.rag.shards.open_search` as a tuple, the first of them an
            empty list without a search.
        how: its keywords.

    Attributes:
        offered: the tools on offer.
        search: function from a query to chunks, or None.
        system: the system message.
    """

    def __init__(self, tools, database, prompt, index, how):
        import yaml

        from specialist.core.prompt import system_message

        self.offered = yaml.safe_load(tools.read_text(encoding="utf-8")) if tools else []
        script = database.read_text(encoding="utf-8") if database else ""
        self._original, self.search = open_database(script), None
        self._before = dump(self._original)
        with contextlib.ExitStack() as opened:
            if index[0]:
                from specialist.rag.shards import open_search

                searcher = open_search(*(part or None for part in index), **how)
                self.search = opened.enter_context(searcher).search
                self.offered = [SEARCH, *self.offered]
            self.system = system_message(prompt, self.offered)
            self._open = opened.pop_all()

    def episode(self, agent, task, trial):
        """A generator of one run of a task on its own copy of the database.

        See `specialist.agent.loop.Agent.episode`.
        """
        with contextlib.closing(self._original.copy()) as copy:
            return (yield from agent.episode(task, trial, copy, self._before))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()


def customers(played):
    """The class of customers for an `Agent`.

    Args:
        played: {"url", "model"} of a language model that plays them, or None.
    """
    import functools

    from specialist.agent.customer import Customer
    from specialist.agent.played import Played

    return functools.partial(Played, **played) if played else Customer
