from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from model_bakery import baker

from containers_app.operations.evidence import actor_of
from tests import recipes

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("channel", "auth"), [("ui", "session"), ("api", "session"), ("cli", "none")])
def test_a_name_given_at_a_terminal_is_no_session(channel: str, auth: str) -> None:
    operation = recipes.operation(user=baker.make(User, username="alice"), channel=channel)
    assert (actor_of(operation).type, actor_of(operation).auth) == ("user", auth)


def test_the_product_itself_has_signed_in_nowhere() -> None:
    assert actor_of(recipes.operation(user=None, channel="scheduler")).auth == "none"
