"""Sessions in the database, for keys that Django can have made."""

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """A cookie can hold any text, PostgreSQL refuses some (NUL): another key is no session, and no error."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key if session_key and session_key.isalnum() else None)
