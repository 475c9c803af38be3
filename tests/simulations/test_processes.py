"""Nothing we start survives: not what detaches itself, not what ignores SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from simulations.processes import Interrupted, ProcessTree, free_ports, interruptible, uninterrupted

DETACHED = "import subprocess,sys,time; subprocess.Popen(['sleep','600'], start_new_session=True); {then}"


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_a_detached_orphan_is_found_by_its_mark():
    with ProcessTree() as tree:
        child = tree.start([sys.executable, "-c", DETACHED.format(then="")])
        child.wait()
        assert [process.name() for process in tree.alive()] == ["sleep"]  # its parent is gone
    assert tree.alive() == []


def test_a_child_that_wipes_its_environment_is_found_by_its_descent():
    with ProcessTree() as tree:
        tree.start(["env", "-i", sys.executable, "-c", DETACHED.format(then="time.sleep(600)")])
        assert wait_for(lambda: len(tree.alive()) == 2)
    assert tree.alive() == []


def test_who_ignores_sigterm_is_killed():
    code = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    tree = ProcessTree()
    child = tree.start([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "up\n"
    tree.stop(grace=0.2)
    assert child.poll() == -signal.SIGKILL
    assert tree.alive() == []


def test_other_peoples_processes_are_left_alone():
    other = subprocess.Popen(["sleep", "600"])
    try:
        with ProcessTree() as tree:
            tree.start(["sleep", "600"])
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_signals_become_exceptions_and_the_old_handlers_return():
    before = signal.getsignal(signal.SIGTERM)

    def be_stopped() -> None:
        with interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(Interrupted) as caught:
        be_stopped()
    assert caught.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_waits_for_the_end_of_what_must_not_be_cut():
    steps = []

    def be_stopped() -> None:
        with interruptible(), uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("finished")

    with pytest.raises(Interrupted):
        be_stopped()
    assert steps == ["finished"]
    with interruptible(), uninterrupted(then_raise=False):
        os.kill(os.getpid(), signal.SIGINT)


def test_free_ports_differ_and_are_free():
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
