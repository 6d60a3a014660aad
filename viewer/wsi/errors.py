"""The one error root of slide access."""


class SlideError(Exception):
    """A slide can't be opened or read.

    code : short, stable, snake_case. message : for the user, with value, limit and remedy.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
