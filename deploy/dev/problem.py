"""The one exception that `dev.py` turns into a message and exit code 1."""


class DevError(Exception):
    """What failed, why, and what to do about it, in words for the person who ran the command."""
