"""The one error that a user can mend."""


class UserError(Exception):
    """Bad input: the message gives the value, the need and the remedy.

    Commands print it on one line and exit with 2.
    """
