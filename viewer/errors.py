"""Bad input from a user, in the shape that every surface shows."""


class InvalidInput(Exception):
    """What was asked for can't be done.

    code : short, stable, snake_case. message : value, limit and remedy, for the user.
    field : the input at fault, if there is one.
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Conflict(InvalidInput):
    """Somebody else was faster: nothing is wrong with what was asked for, and asking again may do."""
