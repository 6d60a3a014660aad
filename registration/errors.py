"""Bad input has one shape in both apps."""

from viewer.errors import Conflict, InvalidInput

__all__ = ["Conflict", "InvalidInput"]
