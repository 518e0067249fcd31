"""Entries of the configuration, by the names in requested paths."""

from specialist.config.settings.places import unknown
from specialist.core.errors import UserError


def entry(config, section, name):
    """The entry of a section.

    Raises:
        UserError: there is no entry of that name; the message names the nearest one.
    """
    for _, text in unknown((), name, config[section]):
        raise UserError(f"{section}: {text}")
    return config[section][name]
