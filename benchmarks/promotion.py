"""Promotions, rollbacks and canaries under load, and killed: what a client and an auditor see.

    python benchmarks/promotion.py [--walks 20] [--kills 50] [--clients 4] [--hold 3] [--seed 1]

In a workspace of its own, with git, DVC, MLflow and small real SavedModels, each of which answers
another mask; `segtrail serve` runs at the recipe's address all the while. Needs what `make test`
installs. Ends with exit code 1 if anything was found that must not be.

1. --walks: so many `segtrail promote` and `segtrail rollback` while clients ask without a pause:
   without a version, by the label `stable`, and by the number that models.config names as champion.
   Asked: no failed request; each answer is by content that of the version that it names; requests
   without a version or by label are answered by a version that was the champion at some moment
   between sending and answer; in a change, none by the old version once the new one has answered.
2. --kills: so many promotions, rollbacks, canaries, confirmations and aborts, ended by SIGKILL:
   every other one right after a step, each step in turn, the others at a random moment of the walk.
   After each the recovery runs. Asked: at any time the store holds whole versions only; afterwards
   store, configuration, label, MLflow's aliases, git tags and the ledger's chain agree, nothing is
   left over, the live server answers with the ledger's champion; and one client, that asks all the
   while, sees no failure and no mixed answer.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
sys.path.append(str(ROOT / "tests"))


def main() -> int:
    """Prints the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--walks", type=int, default=20)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--hold", type=float, default=3.0, help="serving.hold_s")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    from segtrail import telemetry

    telemetry.switch_off()
    with tempfile.TemporaryDirectory(prefix="segtrail-promotion-") as temporary:
        wrong = []
        if given.walks:
            wrong += under_load(Path(temporary) / "load", given.walks, given.clients, given.hold)
        if given.kills:
            wrong += killed(Path(temporary) / "kills", given.kills, given.seed)
    for each in wrong[:20]:
        print(f"    {each}")
    return 1 if wrong else 0


def under_load(
    folder: Path, walks: int, clients: int, hold_s: float,
    pause_s: float = 0.0, load_tests: Path | None = None,
) -> list[str]:  # fmt: skip
    """Promotes and rolls back in turn under load, and prints a table; returns what was wrong.

    Args:
        folder: Made, and filled.
        walks: How many.
        clients: How many ask.
        hold_s: The recipe's `serving.hold_s`.
        pause_s: Of a client between two requests.
        load_tests: A folder with the `tensorflow_model_server` that load tests take, if not the
            one that there is.
    """
    from benchmarks.promotion_load import Load, counts, findings
    from benchmarks.promotion_workspace import (
        RECIPE,
        build,
        command,
        live_server,
        load_tests_by,
    )

    bench = build(folder, 1 + (walks + 1) // 2, hold_s)
    with load_tests_by(load_tests):
        command(bench, "promote", "--recipe", RECIPE)
    took: dict[str, list[float]] = {"promote": [], "rollback": []}
    load = Load(bench, pause_s)
    with (
        live_server(bench, folder / "server.log"),
        load.at_work(clients),
        load_tests_by(load_tests),
    ):
        for number in range(walks):
            if number % 2:
                why = ("--by", "Grace", "--reason", "a drill")
                took["rollback"].append(command(bench, "rollback", RECIPE, *why))
            else:
                bench.next_candidate()
                took["promote"].append(command(bench, "promote", "--recipe", RECIPE))
    found, answered = findings(load, bench.thresholds()), counts(load)
    changes = sum(len(span.champions) > 1 for span in load.spans)
    print(f"{walks} walks under {clients} clients, hold_s {hold_s:g}: {changes} changes seen")
    for asked in sorted(answered):
        print(f"  {asked}: {answered[asked]} answers")
    for kind, cases in found.items():
        print(f"  {kind}: {len(cases)}")
    for name, seconds in took.items():
        if seconds:
            print(
                f"  segtrail {name}: median {statistics.median(seconds):.1f} s, at most "
                f"{max(seconds):.1f} s"
            )
    missing = [] if changes == walks else [f"{changes} changes were seen, not {walks}"]
    return missing + [f"{kind}: {case}" for kind, cases in found.items() for case in cases]


def killed(folder: Path, kills: int, seed: int, load_tests: Path | None = None) -> list[str]:
    """Kills walks and recovers, and prints a table; returns what was wrong.

    Args:
        folder: Made, and filled.
        kills: How many.
        seed: Of what is drawn.
        load_tests: See `under_load`.
    """
    from benchmarks.promotion_kills import kill
    from benchmarks.promotion_load import Load, counts, findings
    from benchmarks.promotion_workspace import (
        RECIPE,
        build,
        command,
        live_server,
        load_tests_by,
    )

    bench = build(folder, 2 + kills, 0.0)
    with load_tests_by(load_tests):
        command(bench, "promote", "--recipe", RECIPE)
    load = Load(bench, pause_s=0.02)
    with live_server(bench, folder / "server.log"), load.at_work(1), load_tests_by(load_tests):
        done = kill(bench, kills, seed)
    found = findings(load, bench.thresholds())
    print(f"{sum(done.killed.values())} killed, {done.finished} were done before")
    print("  " + ", ".join(f"{name} {n}" for name, n in done.killed.most_common()))
    print("  " + ", ".join(f"{where} {n}" for where, n in done.at.most_common()))
    print(
        f"  recovery: median {statistics.median(done.recovery_s):.1f} s, at most "
        f"{max(done.recovery_s):.1f} s; wrong afterwards: {len(done.wrong)}"
    )
    seen = {kind: found[kind] for kind in ("failed", "mixed versions", "not the champion")}
    said = ", ".join(f"{kind} {len(cases)}" for kind, cases in seen.items())
    print(f"  the client's {counts(load).total()} answers: {said}")
    return done.wrong + [f"{kind}: {case}" for kind, cases in seen.items() for case in cases]


if __name__ == "__main__":
    sys.exit(main())
