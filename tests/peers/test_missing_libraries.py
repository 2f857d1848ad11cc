"""A library that is not there: skipped as a rule, a failure where it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

Peer = Callable[[str], ModuleType]


def test_as_a_rule_it_is_skipped_and_says_why(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAPDOCTOR_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs no_such_library, which `make peers`"):
        peer("no_such_library.losses")


def test_where_it_was_asked_for_it_fails(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAPDOCTOR_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="needs no_such_library"):
        peer("no_such_library.losses")


def test_a_part_that_is_gone_is_never_skipped(peer: Peer) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"torch\.no_such_part"):
        peer("torch.no_such_part")
