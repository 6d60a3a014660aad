"""The engine's one error root: a message for the user, and whether trying again could help."""


class EngineError(Exception):
    """A registration or export can't be done.

    code : short, stable, snake_case. permanent : a retry with the same input fails the same way.
    field : the input at fault, if there is one.
    """

    def __init__(self, code: str, message: str, *, permanent: bool = True, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.permanent = permanent
        self.field = field


class Cancelled(EngineError):
    """The user asked to stop; raised from inside an `on_progress` callback."""

    def __init__(self) -> None:
        super().__init__("cancelled", "Cancelled.")
