"""The two ways of saying no: to one input among many, and to a whole command."""


class Refused(Exception):
    """One input cannot be used. The message says why and what to do, and holds no identity: it goes into the audit."""


class UserError(ValueError):
    """The command cannot be carried out as given. The message says what, where, and what to do; the exit code is 2."""
