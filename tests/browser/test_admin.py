"""Django's admin and the API's page work under the content security policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from viewer.models import Slide, SlidePair

pytestmark = pytest.mark.browser


@pytest.fixture
def admin_page(page: Page, user: User) -> Page:
    user.is_staff = user.is_superuser = True
    user.save()
    return page


def test_the_admin_site_changes_a_slide(admin_page: Page, make_aligned_pair: Callable[[], SlidePair]) -> None:
    slide = make_aligned_pair().fixed
    admin_page.goto("/admin/viewer/slide/")
    admin_page.get_by_role("link", name="he.png").first.click()
    admin_page.locator("input[name=patient]").fill("P-7")
    admin_page.locator("input[name=_save]").click()
    expect(admin_page.locator(".messagelist .success")).to_be_visible()
    assert Slide.objects.get(pk=slide.pk).patient == "P-7"


def test_the_pages_of_the_api_and_the_jobs_load(
    admin_page: Page, make_aligned_pair: Callable[[], SlidePair]
) -> None:
    make_aligned_pair()
    for path, heading in [("/admin/", "Site administration"), ("/api/docs/", "API")]:
        admin_page.goto(path)
        expect(admin_page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    admin_page.goto("/admin/registration/pairalignment/")
    expect(admin_page.locator("#result_list tbody tr")).to_have_count(1)
