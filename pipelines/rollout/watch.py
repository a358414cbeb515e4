"""The watch beside the front: it judges the canary every ten seconds, and takes its requests away if it is worse.

It needs neither git nor GitHub, so an abort takes effect while they do not respond. A canary gets the share that its
tag gives it, once it has answered logged requests (replay.py); the watch raises no share by itself.
"""

import fcntl
import time
from datetime import UTC, datetime

import numpy as np

from pipelines.cli.errors import MainlineError
from pipelines.config.rollout import Rollout
from pipelines.deployment import canary
from pipelines.deployment.canary import Canary
from pipelines.deployment.containers import PORT
from pipelines.deployment.front import Front
from pipelines.deployment.host import Host
from pipelines.deployment.replicas import Version, list_replicas
from pipelines.deployment.service_client import get_info
from pipelines.rollout import counters, judge, replay
from pipelines.rollout.records import Record, Records, conclude, this_host
from pipelines.tables.locations import prediction_log

LOOK_SECONDS = 10.0
_LONGEST_GAP = 60.0  # between two looks; a longer one (a machine that slept) counts as this


def watch(host: Host, rollout: Rollout, bins: int, look_seconds: float = LOOK_SECONDS) -> int:
    """Judge the canary of this host until there is none; return 0. A second watch of a host ends at once."""
    host.folder.mkdir(parents=True, exist_ok=True)
    with (host.folder / "watch.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another process watches this canary.")
            return 0
        last, replayed = time.monotonic(), set[Version]()
        while (state := canary.read(host)) is not None:
            now = time.monotonic()
            try:
                if state.version not in replayed and not state.aborted:
                    record = Records(host).read_own(state.version.tag, state.percent)
                    if record is None or record.since != state.since:  # else an earlier watch has replayed
                        _replay(host, rollout, state)
                    replayed.add(state.version)
                    continue
                canary.give_requests(host, state)
                look(host, rollout, state, min(now - last, _LONGEST_GAP), bins)
            except MainlineError as error:  # the log's store, or the front: the next look may succeed
                print(f"{datetime.now(UTC):%H:%M:%S} {error}", flush=True)
            last = now
            time.sleep(look_seconds)
    return 0


def look(host: Host, rollout: Rollout, state: Canary, seconds: float, bins: int) -> Record:
    """Count and judge once; abort the canary if it is worse; write and return the record of the step.

    Raises:
        Unreachable: if the record cannot be written; an abort has then taken effect all the same.
    """
    records = Records(host)
    before = records.read_own(state.version.tag, state.percent)
    if before and before.since != state.since:
        before = None  # of an aborted canary, which began again
    now = counters.read_counters(host, Front(host).read_roles(), rollout.limits.p99_ms)
    evidence = before.evidence if before else judge.start(bins)
    if before:
        evidence = judge.add(evidence, counters.subtract(now, before.read, bins))
    verdict, reasons = conclude(judge.judge(evidence, rollout.limits, len(rollout.steps)))
    if state.aborted:
        verdict, reasons = "worse", (state.aborted,)
    elif verdict == "worse":
        canary.abort(host, "; ".join(reasons))
    record = Record(
        version=state.version.tag,
        percent=state.percent,
        host=this_host(),
        tag=state.tag,
        since=state.since,
        seconds=(before.seconds if before else 0.0) + seconds,
        updated=datetime.now(UTC),
        state=verdict,
        reasons=reasons,
        counts={name: np.asarray(value).tolist() for name, value in vars(evidence.counts).items()},
        bets=evidence.bets.tolist(),
        read={**(before.read if before else {}), **now},
    )
    records.write(record)
    return record


def _replay(host: Host, rollout: Rollout, state: Canary) -> None:
    """Send logged requests to the canary; abort it if it fails or is slow."""
    log = prediction_log()
    replica = next(replica for replica in list_replicas(host) if replica.version == state.version)
    url = f"http://{replica.address}:{PORT}"
    signature = get_info(url).get("signature")
    if not rollout.replay:
        return
    if log is None or "://" not in log or signature is None:
        print(f"Nothing is replayed: this host cannot read the log ({log}), or does not reach {url}.", flush=True)
        return
    if hashed := [field["name"] for field in signature["inputs"] if field.get("sensitive")]:
        print(f"Nothing is replayed: the log holds only hashes of {', '.join(hashed)}.", flush=True)
        return
    result = replay.ask(url, signature, replay.newest_rows(log, rollout.replay))
    text = result.to_markdown(state.version.tag)
    print(text, flush=True)
    Records(host).write_page(f"replay-{state.version.tag.replace('@', '-')}.md", text)
    if result.errors:
        canary.abort(host, f"{result.errors:,} of {result.rows:,} logged requests failed in the replay")
    elif result.slowest * 1000 > rollout.limits.p99_ms:
        canary.abort(host, f"the 99th percentile of the replay was {result.slowest * 1000:.0f} ms")
