"""What must hold at the end of the month."""

from __future__ import annotations

from scripts.made_workspace import RECIPE
from scripts.soak.days import Month
from scripts.soak.world import World


def check(world: World, month: Month) -> dict[str, str | None]:
    """Returns what was looked at, each with what does not hold, or None."""
    world.git("merge", "--quiet", "--no-edit", f"segtrail/{RECIPE}")
    found: dict[str, str | None] = {}
    done = world.segtrail("ledger", "verify", check=False)
    found["the ledger verifies"] = done.stderr if done.returncode else None
    for version in versions(world):
        done = world.segtrail("audit", RECIPE, "--version", str(version), check=False)
        bad = f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        found[f"the audit of v{version}"] = bad if done.returncode else None
    client = month.client
    asked = len(client.answers) + len(client.failures)
    found[f"no request of {asked} failed"] = "; ".join(w for _, w in client.failures[:3]) or None
    if not client.answers:
        found["a model answered"] = "no request was answered"
    return found


def versions(world: World) -> list[int]:
    """Returns the versions that served, by the ledger."""
    from lineage import ledger

    entries = ledger.read(world.root / "ledger" / f"{RECIPE}.jsonl")
    return sorted({e.version for e in entries if e.event == ledger.DONE and e.version is not None})
