"""Progress in a log and on a terminal."""

import logging

import pytest

from duo import progress as module
from duo.progress import progress


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="duo.progress")
    return lambda: [record.message for record in caplog.records]


def test_a_log_has_a_line_at_both_ends_alone_where_all_is_done_in_less_than_a_minute(lines):
    with progress("walk", "losses", total=20_000) as shown:
        for _ in range(20):
            shown.update(1000)
    first, last = lines()
    assert first == "walk: 0 of 20.0k losses" and last.startswith("walk: 20.0k of 20.0k losses, 00:00 passed, ")


def test_a_log_has_rate_and_time_left_in_between(lines, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    clock = iter(range(100))
    with progress("walk", "losses", total=40) as shown:
        shown._time = lambda: shown.start_t + 10.0 * next(clock)
        shown.update(10)
        shown.set_postfix_str("loss=3.5", refresh=False)
        shown.update(10)
    between = lines()[1:-1]
    assert between and any(" losses a second" in line and " left" in line for line in between)
    assert "loss=3.5" in between[-1]


def test_what_is_gone_through_is_what_was_given_and_its_number_need_not_be_known(lines):
    assert [*progress("read", "documents", iter("abc"))] == ["a", "b", "c"]
    assert lines()[0] == "read: 0 documents" and lines()[-1].startswith("read: 3 documents, ")


def test_a_terminal_has_a_bar_and_no_line(lines, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert [*progress("read", "documents", "abc")] == ["a", "b", "c"]
    assert not lines() and "3/3" in capsys.readouterr().err
