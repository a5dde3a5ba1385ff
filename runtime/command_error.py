"""How a command of `octavo` fails in a way that the command line shows as one line."""


class CommandError(Exception):
    """A command failed for a reason that one line can say. args == (line,)."""
