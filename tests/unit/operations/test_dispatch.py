"""A broker that is away costs a delay and no operation: the row says that nobody was told."""

from __future__ import annotations

import pytest
from django.utils import timezone

from containers_app.audit.ledger import Source
from containers_app.models import Operation, State
from containers_app.operations.authority import Asker
from containers_app.operations.dispatch import broker_answers, publish, republish
from containers_app.operations.kinds import BACKUP
from containers_app.operations.submit import Request, submit
from containers_app.workflows.backup import BackupParams
from tests import recipes

# The settings of tests name a broker's socket that does not exist.
pytestmark = pytest.mark.django_db(databases=["default", "audit"])


def test_a_message_that_the_broker_does_not_take_is_noted_in_the_row() -> None:
    operation = recipes.operation(published_at=timezone.now())
    assert not publish(operation)
    assert Operation.objects.get().published_at is None


def test_a_message_that_is_not_taken_again_stays_unsent() -> None:
    assert not republish(recipes.operation(published_at=None))
    assert Operation.objects.get().published_at is None


def test_a_broker_that_is_away_is_known() -> None:
    assert not broker_answers()


@pytest.mark.django_db(databases=["default", "audit"], transaction=True)
@pytest.mark.usefixtures("groups")
def test_a_wish_is_kept_although_nobody_could_be_told() -> None:
    request = Request(
        kind=BACKUP,
        params=BackupParams(container="web"),
        host=recipes.host(),
        asker=Asker(user=recipes.operator()),
        source=Source(channel="api"),
    )
    submitted = submit(request)
    assert not submitted.published
    row = Operation.objects.get()
    assert (row.state, row.published_at) == (State.QUEUED, None)
