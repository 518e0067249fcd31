"""The settings that a rule passes to its step: exactly those that the step uses."""


def resolver(config):
    """The function that rules call for `params: settings=...`.

    Args:
        config: the loaded configuration.
    """

    def settings(*groups, **values):
        """A function from a job's wildcards to {name: value}.

        Snakemake compares the values of a rule's parameters with those of the last run as a set,
        without their names: a value that another parameter already had, or two that change places,
        would rerun nothing. So a rule with several parameters has them in one dict.

        Args:
            groups: classes of specialist.config.settings with a `place`; their fields are read
                there. A field that is not set is None.
            values: further settings: each a value, or a function from the wildcards to one.
        """

        def resolve(wildcards):
            found = {}
            for group in groups:
                entry = config
                for key in group.place.format(**dict(wildcards.items())).split("/"):
                    entry = entry[key]
                found |= {name: entry.get(name) for name in group.model_fields}
            return found | {n: v(wildcards) if callable(v) else v for n, v in values.items()}

        return resolve

    return settings
