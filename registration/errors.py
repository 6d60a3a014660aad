"""Bad input has one shape in both apps."""

from viewer.errors import InvalidInput

__all__ = ["InvalidInput"]
