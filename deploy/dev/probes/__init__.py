"""Calls over the components' real protocols, by hand: what tells that a component is ready to serve."""


class NotReady(Exception):
    """The component does not serve yet; the words say how far the call came."""
