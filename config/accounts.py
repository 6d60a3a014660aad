"""Who is who: log in by password or by a one-time link, log out, and the token for scripts."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.core import signing
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

LINK_LIFETIME = timedelta(minutes=15)
MAX_FAILURES = 10
FAILURE_WINDOW = timedelta(minutes=15)
_SALT = "slidepair.login-link"


def login_link(user: User, base_url: str) -> str:
    """A link that logs `user` in once, within 15 minutes; any login of theirs in between ends it."""
    seen = user.last_login.isoformat() if user.last_login else ""
    token = signing.dumps({"user": user.pk, "seen": seen}, salt=_SALT)
    return base_url.rstrip("/") + reverse("login-once", args=[token])


def first_admin() -> User:
    """The administrator who came first; made without a password (a link logs them in) where there is none."""
    users = get_user_model().objects
    found = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return found or users.create_superuser("admin")


@never_cache
@login_not_required
def login_once(request: HttpRequest, token: str) -> HttpResponse:
    user = _redeem(token)
    if user is not None:
        login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
        return redirect("home")
    if request.user.is_authenticated:
        return redirect("home")  # a browser that fetches the link twice
    return render(request, "accounts/link_expired.html", status=403)


def _redeem(token: str) -> User | None:
    """The token's user, once: the conditional UPDATE lets one of two simultaneous requests through."""
    try:
        data = signing.loads(token, salt=_SALT, max_age=LINK_LIFETIME)
    except signing.BadSignature:
        return None
    users = get_user_model().objects.filter(pk=data["user"], is_active=True)
    fresh = users.filter(last_login=_moment(data["seen"]))
    if fresh.update(last_login=timezone.now()) != 1:
        return None
    return users.get()


def _moment(text: str) -> datetime | None:
    return parse_datetime(text) if text else None


class LoginForm(AuthenticationForm):
    """Django's form, which after ten wrong passwords for one name from one address asks to wait."""

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        key = self._key()
        if cache.get(key, 0) >= MAX_FAILURES:
            raise ValidationError("Too many attempts. Wait 15 minutes, then try again.", code="throttled")
        try:
            cleaned = super().clean()
        except ValidationError:
            cache.add(key, 0, FAILURE_WINDOW.total_seconds())
            cache.incr(key)
            raise
        cache.delete(key)
        return cleaned

    def _key(self) -> str:
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        name = str(self.cleaned_data.get("username", "")).casefold()
        return "login:" + hashlib.sha256(f"{address}\0{name}".encode()).hexdigest()


class Login(LoginView):
    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True
