"""Log lines are written aside: in order, and never at the cost of who logs."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from wsdev import log_writer
from wsdev.log_writer import LogWriter, written_aside


class Gate(io.StringIO):
    """A stream whose reader can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.writing = threading.Event()

    def write(self, text: str) -> int:
        self.writing.set()
        assert self.open.wait(20)
        return super().write(text)

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def logger() -> logging.Logger:
    # Not in the tree, so that no other test sees it.
    return logging.Logger("test", logging.INFO)  # noqa: LOG001


def test_lines_come_in_order_and_all_of_them(gate: Gate, logger: logging.Logger) -> None:
    logger.addHandler(target := logging.StreamHandler(gate))
    with written_aside(logger):
        for number in range(1000):
            logger.info("line %d", number)
    assert gate.lines() == [f"line {number}" for number in range(1000)]
    assert logger.handlers == [target]


def test_flush_returns_when_all_is_written(gate: Gate, logger: logging.Logger) -> None:
    with closing(LogWriter(logging.StreamHandler(gate))) as writer:
        logger.addHandler(writer)
        logger.info("first")
        writer.flush()
        assert gate.lines() == ["first"]
    writer.flush()  # at the interpreter's end, once more


def test_log_that_is_not_read_costs_lines_and_not_who_logs(
    gate: Gate, logger: logging.Logger
) -> None:
    gate.open.clear()
    with closing(LogWriter(logging.StreamHandler(gate))) as writer:
        logger.addHandler(writer)
        logger.info("in the pipe")
        assert gate.writing.wait(20)
        for number in range(log_writer.QUEUE_LINES + 5):
            logger.info("line %d", number)
        gate.open.set()
    lines = gate.lines()
    assert lines[:2] == ["in the pipe", "line 0"]
    assert lines[-2] == f"line {log_writer.QUEUE_LINES - 1}"
    assert lines[-1] == "5 lines were not written: the log is not read fast enough"


class Reader(io.StringIO):
    """A stream whose reader can be gone."""

    gone = True

    def write(self, text: str) -> int:
        if self.gone:
            raise BrokenPipeError
        return super().write(text)


def test_reader_that_is_gone_does_not_end_the_writer(logger: logging.Logger) -> None:
    reader = Reader()
    with closing(LogWriter(logging.StreamHandler(reader))) as writer:
        logger.addHandler(writer)
        logger.info("to nobody")
        writer.flush()
        reader.gone = False
        logger.info("to a new one")
    assert reader.getvalue() == "to a new one\n"


def test_end_does_not_wait_for_a_reader_that_takes_nothing(
    gate: Gate, logger: logging.Logger
) -> None:
    gate.open.clear()
    writer = LogWriter(logging.StreamHandler(gate))
    logger.addHandler(writer)
    logger.info("stuck")
    assert gate.writing.wait(20)
    writer.close()
    assert gate.lines() == []
