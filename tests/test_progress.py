"""Progress: plain lines in a log, a bar on a terminal, nothing when quiet."""

from __future__ import annotations

import logging

import pytest

from anymod import progress


def test_items_come_through_unchanged_and_quietly(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING, "anymod")
    assert list(progress.track("abc", "letters", 3)) == ["a", "b", "c"]
    assert caplog.text == ""
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_a_closing_line_and_stdout_nothing(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "anymod")
    assert list(progress.track(range(2), "subjects", 5, done=3)) == [0, 1]
    assert caplog.messages == ["subjects: 5 of 5, 0:00:00 left"]
    assert capsys.readouterr().out == ""


def test_time_left_counts_only_what_was_done_now(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    caplog.set_level(logging.INFO, "anymod")
    list(progress.track(range(2), "steps", 10, done=6))
    assert caplog.messages == ["steps: 7 of 10, 0:01:00 left", "steps: 8 of 10, 0:00:40 left"]


def test_a_terminal_gets_a_bar_on_stderr(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich's way to be told that this is a terminal
    caplog.set_level(logging.INFO, "anymod")
    assert list(progress.track(range(3), "slices", 3)) == [0, 1, 2]
    shown = capsys.readouterr()
    assert "3/3" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (3661.0, "1:01:01"), (9e4, "25:00:00")]
)
def test_durations_are_hours_minutes_seconds(seconds: float, text: str) -> None:
    assert progress.format_seconds(seconds) == text
