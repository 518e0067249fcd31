"""Which files the rules read and write, by the names of the configuration.

The rules ask `Paths`. It has one object for each kind of entry, and each path pattern is written in
one of these objects. A function returns a path as text, a list of paths, or an empty
list for a file that is not needed, as Snakemake takes them as inputs.
"""

from specialist.config.paths.costs import Costs
from specialist.config.paths.datasets import Datasets
from specialist.config.paths.indexes import Indexes
from specialist.config.paths.models import Models
from specialist.config.paths.paper import Paper
from specialist.config.paths.releases import Releases
from specialist.config.paths.systems import Systems


class Paths:
    """The files of a configuration.

    Args:
        config: the loaded configuration.
        results: folder that the workflow writes to.
        evaluated: the configuration without the paper's cells, for messages; default: `config`.

    Attributes:
        datasets, models, indexes, systems, releases, costs, paper: see their classes.
    """

    def __init__(self, config, results="results", evaluated=None):
        self.datasets = Datasets(config, results, evaluated)
        self.models = Models(config, results, self.datasets)
        self.indexes = Indexes(config, results, self.datasets)
        self.systems = Systems(config, results, self.datasets, self.models, self.indexes)
        self.releases = Releases(config, self.datasets, self.models, self.indexes, self.systems)
        self.costs = Costs(config, results, self.datasets, self.models, self.indexes, self.systems)
        self.paper = Paper(config, results, self.models, self.indexes, self.systems, self.costs)
