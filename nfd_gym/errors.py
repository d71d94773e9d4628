"""The errors of this package: one sentence that names the fix.

The command line prints an `NfdError` as one line; any other exception is a bug and keeps its
traceback. A room's own error also inherits the builtin that callers may already catch:
`class WorldError(NfdError, ValueError)`.
"""


class NfdError(Exception):
    """A request that cannot be carried out. The message is for the person who made it."""


class UsageError(NfdError, ValueError):
    """An argument, option or setting whose value cannot work."""


class ArgumentError(NfdError, TypeError):
    """A keyword argument that does not exist."""
