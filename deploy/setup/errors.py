"""The one exception that `setup.py` and `dev.py` turn into a message and exit code 1."""


class SetupError(Exception):
    """What failed, why, and what to do about it, in words for the person who ran the command."""
