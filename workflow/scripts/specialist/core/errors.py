"""The error that a user sees."""


class UserError(Exception):
    """A mistake in configuration or data: shown as a message, without a traceback."""
