from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from wsdev.errors import UsageError
from wsdev.journal_filters import make_wanted
from wsdev.journal_query import Wanted

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def wanted(**given: Any) -> Wanted:
    nothing: dict[str, Any] = dict.fromkeys(
        ("device", "device_class", "address", "kind", "since", "until", "grep", "session",
         "request_id")
    )  # fmt: skip
    return make_wanted(**{**nothing, "ignore_case": False, "now": NOW, **given})


def test_nothing_said_means_everything() -> None:
    assert wanted() == Wanted()


def test_words_become_a_choice() -> None:
    choice = wanted(device=["hall"], kind=["session,message"], address=["[::ffff:192.0.2.0]"])
    assert choice.devices == {"hall"}
    assert choice.kinds == {"session", "message"}
    assert choice.networks == {ip_network("192.0.2.0/32")}
    assert wanted(since="1h").since == round((NOW.timestamp() - 3600) * 1000)


@pytest.mark.parametrize(
    "given",
    [{"kind": ["x"]}, {"device_class": ["No"]}, {"address": ["x"]}, {"since": "x"},
     {"grep": "("}, {"ignore_case": True}, {"since": "1h", "until": "2h"}],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_meant_is_named_as_it_was_given(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        wanted(**given)
    name = next(iter(given)).replace("device_", "").replace("_", "-")
    assert f"--{name}" in refused.value.cause
    with pytest.raises(UsageError) as refused:
        wanted(**given, prefix="")
    assert name in refused.value.cause
    assert "--" not in refused.value.cause
