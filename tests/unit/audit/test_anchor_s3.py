"""A checkpoint in a bucket is locked until its time, and a bucket that does not lock counts as a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from containers_app.audit.anchor_s3 import Bucket, lock_away, signed_headers
from containers_app.audit.anchored import AnchorFailed, Brought
from containers_app.audit.anchors import anchors
from containers_app.conf import load
from mycodocker import env
from tests.fakes import bucket as fake

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
NOTE = Brought(
    shard=2026, origin="a.example/audit/2026", size=8, root="00" * 32, note="a.example/audit/2026\n8\n", signed_at=NOON
)
KEY = "/audit-bucket/my%20ledger/2026-000000000008-20261130T120000Z.checkpoint"


@pytest.fixture
def server() -> Iterator[fake.Bucket]:
    with fake.running() as running:
        yield running


@pytest.fixture
def bucket(server: fake.Bucket) -> Bucket:
    return Bucket(
        endpoint=server.url,
        region=fake.REGION,
        name="audit-bucket",
        prefix="my ledger/",
        access_key=fake.ACCESS_KEY,
        secret_key=fake.SECRET_KEY,
        days=365,
    )


def refused(bucket: Bucket) -> str:
    with pytest.raises(AnchorFailed) as failure:
        lock_away(bucket, NOTE)
    return failure.value.message


def test_the_example_that_amazon_publishes_is_signed_as_it_says() -> None:
    bucket = Bucket(
        endpoint="https://examplebucket.s3.amazonaws.com",
        region="us-east-1",
        name="examplebucket",
        prefix="",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        days=1,
    )
    headers = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    url = f"{bucket.endpoint}/test%24file.text"
    now = datetime(2013, 5, 24, tzinfo=UTC)
    signed = signed_headers(bucket, "PUT", url, headers, body=b"Welcome to Amazon S3.", now=now)
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_the_note_is_put_with_a_lock_and_the_lock_is_looked_at(server: fake.Bucket, bucket: Bucket) -> None:
    with time_machine.travel(NOON, tick=False):
        receipt = lock_away(bucket, NOTE)
    (((path, version), (body, lock)),) = server.objects.items()
    assert (path, body) == (KEY, NOTE.note.encode())
    assert lock == dict(zip(fake.LOCK_HEADERS, ("COMPLIANCE", "2027-11-30T12:00:00Z"), strict=True))
    assert receipt == f"my ledger/{NOTE.file_name} {version}"
    assert server.asked == [f"PUT {KEY}", f"HEAD {KEY}?versionId=v0%2F%2B"]


def test_a_bucket_without_object_lock_is_a_failure(server: fake.Bucket, bucket: Bucket) -> None:
    server.locks = False
    assert "does not say that the object is locked" in refused(bucket)


@pytest.mark.parametrize("until", ["2026-12-01T12:00:00Z", "soon", "2027-11-30T12:00:00"])
def test_a_lock_that_is_shorter_than_asked_for_is_a_failure(server: fake.Bucket, bucket: Bucket, until: str) -> None:
    server.shortens_to = until
    with time_machine.travel(NOON, tick=False):
        assert f"only until '{until}'" in refused(bucket)


def test_a_wrong_key_is_a_failure_and_told_nowhere(server: fake.Bucket, bucket: Bucket) -> None:
    message = refused(replace(bucket, secret_key="wrong-secret"))
    assert message == "the bucket answers 403: SignatureDoesNotMatch"
    assert "secret" not in repr(bucket).replace("secret_key", "")
    assert server.objects == {}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, "<Error><Code>InvalidRequest</Code></Error>"), "answers 400: InvalidRequest"),
        ((307, ""), "answers 307: no reason"),
        ((503, "x" * 100_000), "answers 503: no reason"),
    ],
)
def test_what_the_bucket_refuses_is_a_failure(
    server: fake.Bucket, bucket: Bucket, answer: tuple[int, str], words: str
) -> None:
    server.refusal = answer
    assert words in refused(bucket)
    assert len(server.asked) == 1


def test_the_settings_name_the_bucket(server: fake.Bucket) -> None:
    conf = replace(
        load(),
        anchor_s3_endpoint=server.url,
        anchor_s3_region=fake.REGION,
        anchor_s3_bucket="audit-bucket",
        anchor_s3_access_key=fake.ACCESS_KEY,
        anchor_s3_secret_key=fake.SECRET_KEY,
        anchor_s3_days=2,
    )
    (anchor,) = anchors(conf)
    assert anchor.name == f"s3 audit-bucket at {server.url.removeprefix('http://')}"
    anchor.bring(NOTE, 0)
    ((_body, lock),) = server.objects.values()
    kept = datetime.fromisoformat(lock["x-amz-object-lock-retain-until-date"]) - datetime.now(UTC)
    assert timedelta(days=2) - kept < timedelta(minutes=1)
    assert conf.has_outside_anchor


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ANCHOR_S3_BUCKET": "No Bucket"}, "BUCKET must be"),
        ({"ANCHOR_S3_SECRET_KEY": ""}, "needs MYCO_ANCHOR_S3_ACCESS_KEY"),
        ({"ANCHOR_S3_DAYS": 0.0}, "days"),
        ({"ANCHOR_S3_ENDPOINT": "s3.example.org"}, "ENDPOINT must be"),
        ({"ANCHOR_S3_ENDPOINT": "https://s3.example.org/path"}, "ENDPOINT must be"),
    ],
)
def test_a_half_named_bucket_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], words: str
) -> None:
    set_all: Callable[..., None] = monkeypatch.setattr
    right = {"ANCHOR_S3_BUCKET": "audit-bucket", "ANCHOR_S3_ACCESS_KEY": "a", "ANCHOR_S3_SECRET_KEY": "b"}
    for name, value in right.items():
        set_all(env, name, value)
    assert env.s3_endpoint() == "https://s3.us-east-1.amazonaws.com"
    for name, value in changed.items():
        set_all(env, name, value)
    with pytest.raises(ValueError, match=words):
        env.s3_endpoint()
