"""Processes that are killed, and two runs at once."""

from __future__ import annotations

import random
import threading
import time
from functools import partial

from scripts.faults import state
from scripts.faults.bench import STEPS, Bench
from scripts.faults.case import Case, Found, again, ends_as_fault, judged
from scripts.faults.running import Said


def _step_dies(bench: Bench, rng: random.Random, step: str) -> Found:
    run = bench.retrain()
    bench.wait_for(lambda: bench.processes_of(step), run)
    time.sleep(rng.uniform(0, bench.seconds[step]))
    victims = bench.processes_of(step)
    bench.kill(victims)
    done = run.ends()
    if done.code == 0:  # it had ended by itself, or its end was all that was left
        return judged(bench, done, "nothing to mend: the step was at its end", [])
    return again(bench, done, ends_as_fault(done))


def _run_dies(bench: Bench, rng: random.Random, step: str) -> Found:
    run = bench.retrain()
    bench.wait_for(lambda: bench.processes_of(step), run)
    time.sleep(rng.uniform(0, bench.seconds[step]))
    bench.kill([process for process, _ in bench.processes()])
    run.kill()
    return again(bench, Said(-9, ""), [])


def _two_runs(bench: Bench, rng: random.Random) -> Found:
    runs = [bench.retrain()]
    time.sleep(rng.uniform(0, 5))
    runs.append(bench.retrain())
    ends: list[Said] = []
    threads = [threading.Thread(target=lambda r=r: ends.append(r.ends())) for r in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    problems = [f"exit code {done.code}: {done.text[-600:]}" for done in ends if done.code]
    waits = next(
        (line for done in ends for line in done.text.splitlines() if "waiting" in line), ""
    )
    if not waits:
        problems.append("neither waited for the other")
    problems += state.as_if_nothing_had_happened(bench)
    return Found(waits.strip(), "the second waited, and found nothing to do", problems)


CASES = [
    *(
        Case(f"step-{step}", f"`{step}` is killed (SIGKILL, as by the kernel out of memory)",
             partial(_step_dies, step=step))
        for step in STEPS
    ),
    *(
        Case(f"run-{step}", f"the run is killed with all its processes during `{step}`",
             partial(_run_dies, step=step))
        for step in STEPS
    ),
    Case("two-runs", "two retrainings of one recipe at once", _two_runs),
]  # fmt: skip
