# SPDX-License-Identifier: Apache-2.0
"""Spoiled messages for the decoder in this process, and for a bridge over its socket.

Four sources: random changes of good messages, hypothesis (which builds headers from the inside and shrinks what fails),
atheris (which is led by the decoder's branches, in a process of its own) and a bridge that gets them over its socket. The process may
take :data:`HEADROOM` bytes more than it has at the start; what asks for more ends in a MemoryError, which counts as a failure.
"""

from __future__ import annotations

import copy
import faulthandler
import importlib.util
import json
import random
import re
import resource
import subprocess
import sys
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.results import Result
from bridge_server.cli.client import Client
from shared.errors import UnderstudyError
from shared.protocol import DTYPES, FROM_BRIDGE, FROM_CLIENT
from tests.stress.common import a_bridge
from tests.stress.messages import VALUES, WORDS, mutate, one, seeds

__all__ = ["HEADROOM", "bounded_memory", "measure", "messages"]

MESSAGES, BY_HYPOTHESIS, OVER_THE_SOCKET, TRACED = 1_000_000, 100_000, 50_000, 20_000
BATCH = 5_000
ATHERIS_SECONDS = 660
HEADROOM = 128 << 20
"""Bytes that decoding may ask for above what the process has; the messages are of some kilobytes."""
PEAK = 4 << 20
"""Bytes that one message may take while it is read."""
HANG_SECONDS = 2.0


@contextmanager
def bounded_memory(headroom: int = HEADROOM) -> Iterator[None]:
    """The process cannot take more than ``headroom`` bytes of further address space."""
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    former = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + headroom, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)


def _try(receiver: str, frames: list[bytes], wrong: list[str]) -> None:
    since = time.process_time()  # other programs' time is not the decoder's
    try:
        one(receiver, frames)
    except Exception:  # whatever it is, it is what is looked for
        wrong.append(f"{frames[:1]!r}: {traceback.format_exc(limit=-2)}")
    if (took := time.process_time() - since) > HANG_SECONDS:
        wrong.append(f"took {took:.1f} s: {frames[0][:200]!r}")


def _by_chance(rng: random.Random, count: int, wrong: list[str]) -> None:
    good = seeds()
    for n in range(count):
        if n % 1000 == 0:  # what does not come back at all ends the run with its place in the code
            faulthandler.dump_traceback_later(300, exit=True)
        receiver, frames = rng.choice(good)
        _try(receiver, mutate(frames, rng), wrong)
    faulthandler.cancel_dump_traceback_later()


def _peak(rng: random.Random, count: int, wrong: list[str]) -> int:
    """The most bytes that Python and numpy held for one message."""
    good, most = seeds(), 0
    tracemalloc.start()
    try:
        for _ in range(count):
            receiver, frames = rng.choice(good)
            mutated = mutate(frames, rng)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            _try(receiver, mutated, wrong)
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    if most > PEAK:
        wrong.append(f"one message took {most >> 20} MB while it was read")
    return most


def messages() -> st.SearchStrategy[tuple[str, list[bytes]]]:
    """Headers built from the inside: right and wrong values in every place, with buffers that fit or do not."""
    values = st.recursive(
        st.sampled_from(VALUES).map(copy.deepcopy) | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=8,
    )
    buffer = st.fixed_dictionaries(
        {"name": st.sampled_from(["audio", "rotations", "x"]) | values,
         "dtype": st.sampled_from(DTYPES) | values,
         "shape": st.lists(st.integers(0, 4), max_size=3) | values})
    header = st.fixed_dictionaries(
        {"protocol": st.sampled_from(["1.0", "1.7", "2.0"]) | values,
         "type": st.sampled_from((*FROM_CLIENT, *FROM_BRIDGE)) | values,
         "id": st.just("job-1") | values},
        optional={"body": st.dictionaries(st.sampled_from(["kind", "request", "code", "fps", "stage"]), values) | values,
                  "token": values, "buffers": st.lists(buffer, max_size=3) | values})
    words = st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=8).map(b"".join)
    built = st.tuples(st.sampled_from(["bridge", "client"]),
                      st.tuples((header | values).map(_as_json) | words, st.lists(st.binary(max_size=64), max_size=3)).map(
                          lambda parts: [parts[0], *parts[1]]))
    changed = st.tuples(st.sampled_from(seeds()), st.randoms(use_true_random=False)).map(
        lambda drawn: (drawn[0][0], mutate(drawn[0][1], drawn[1])))
    return built | st.tuples(st.sampled_from(seeds()), st.lists(st.tuples(st.integers(0, 40), values), max_size=3)).map(
        _replaced) | changed


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _replaced(drawn: tuple[tuple[str, list[bytes]], list[tuple[int, Any]]]) -> tuple[str, list[bytes]]:
    """A good message with the n-th value of its header replaced."""
    (receiver, frames), changes = drawn
    header = json.loads(frames[0])
    for n, value in changes:
        places: list[tuple[Any, Any]] = []
        todo = [header]
        while todo:
            place = todo.pop(0)
            for key in list(place) if isinstance(place, dict) else range(len(place)):
                places.append((place, key))
                if isinstance(place[key], dict | list):
                    todo.append(place[key])
        if places:
            place, key = places[n % len(places)]
            place[key] = copy.deepcopy(value)
    return receiver, [_as_json(header), *frames[1:]]


def _by_hypothesis(count: int, wrong: list[str]) -> int:
    """How many were tried, in batches, since hypothesis remembers those of one test; the first failure of each, made small, is
    noted."""
    tried = 0
    # of hypothesis about the length of the seeds' text, which is looked at only when something fails
    warnings.filterwarnings("ignore", message="Generating overly large repr")
    for batch in range(max(1, count // BATCH)):

        @seed(batch)
        @settings(max_examples=min(count, BATCH), database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
                  suppress_health_check=list(HealthCheck))
        @given(messages())
        def every_message_is_decoded_or_refused(message: tuple[str, list[bytes]]) -> None:
            nonlocal tried
            tried += 1
            since = time.process_time()
            with bounded_memory():  # here and not around it all: what hypothesis remembers is its own affair
                one(*message)
            assert time.process_time() - since < HANG_SECONDS, "it took too long"

        faulthandler.dump_traceback_later(900, exit=True)
        try:
            every_message_is_decoded_or_refused()
        except Exception:
            wrong.append(f"hypothesis, batch {batch}: {traceback.format_exc(limit=-3)}")
    faulthandler.cancel_dump_traceback_later()
    return tried


def _by_atheris(seconds: int, wrong: list[str]) -> int:
    """How many were tried; what the fuzzer says of a failure is noted."""
    if importlib.util.find_spec("atheris") is None:
        wrong.append("atheris is not installed (pip install 'understudy[fuzz]'), so nothing was led by coverage")
        return 0
    command = [sys.executable, "-m", "tests.stress.fuzz_atheris", f"-max_total_time={seconds}", "-timeout=5"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + 300)
    except subprocess.TimeoutExpired:
        wrong.append("atheris did not come to its end")
        return 0
    ran = re.search(r"^Done (\d+) runs", done.stderr, re.M)
    if done.returncode or ran is None:
        wrong.append(f"atheris ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return int(ran.group(1)) if ran else 0


def _over_the_socket(rng: random.Random, count: int, wrong: list[str]) -> int:
    """The bridge lives through all of them, its memory does not grow, and it goes on to answer."""
    good = seeds()
    sent = 0
    with a_bridge("Walker", "--queue-limit", "100000", "--client-limit", "100000") as bridge:
        token = bridge.record.token.encode()
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(bridge.record.address)
        for n in range(count):
            _, frames = rng.choice(good)
            mutated = mutate(frames, rng)
            if not mutated or b"shutdown" in mutated[0]:
                continue
            # half of them with the right token, so that they get past the door
            first = mutated[0].replace(b'"token":"token"', b'"token":"' + token + b'"') if n % 2 else mutated[0]
            socket.send_multipart([first, *mutated[1:]])
            sent += 1
            while socket.poll(0):
                socket.recv_multipart()
        with Client(bridge.record.address, bridge.record.token) as client:
            try:
                client.hello(120)
                for what in ("bridge.crash", "request.failed", "worker.died"):
                    if what in bridge.log:
                        wrong.append(f"the bridge's log has {what}")
            except UnderstudyError as error:
                wrong.append(f"the bridge no longer answers: {error}")
        socket.close(0)
        context.term()
    return sent


def measure(scale: float) -> tuple[list[Result], list[str]]:
    """``fuzz_messages`` and ``fuzz_failures``, and how many of the messages came from where."""
    rng = random.Random(20_261_121)
    wrong: list[str] = []
    chance = int(MESSAGES * scale)

    def say(text: str) -> None:
        print(f"  {text}, {len(wrong)} failures", file=sys.stderr, flush=True)

    peak = _peak(rng, int(TRACED * scale), wrong)
    say(f"{peak / 1024:.0f} KB at most for one message")
    with bounded_memory():
        _by_chance(rng, chance, wrong)
        say(f"{chance} by chance")
    hypothesis = _by_hypothesis(int(BY_HYPOTHESIS * scale), wrong)
    say(f"{hypothesis} by hypothesis")
    socket = _over_the_socket(rng, int(OVER_THE_SOCKET * scale), wrong)
    say(f"{socket} over the socket")
    atheris = _by_atheris(max(5, int(ATHERIS_SECONDS * scale)), wrong)
    say(f"{atheris} by atheris")
    total = chance + hypothesis + socket + atheris
    return [
        Result.of("fuzz_messages", total, "messages", MESSAGES),
        Result.of("fuzz_messages_hypothesis", hypothesis, "messages", BY_HYPOTHESIS),
        Result.of("fuzz_messages_atheris", atheris, "messages", MESSAGES),
        Result.of("fuzz_peak_kb", peak / 1024, "KB", PEAK / 1024),
        Result.of("fuzz_failures", len(wrong), "", 1),
    ], wrong[:10]
