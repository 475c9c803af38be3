"""Run every declared tier of tests, and print what ran, what was skipped and why, and the time it took."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent


def run_tier(tier: dict) -> dict:
    """Run one tier and return its counts, skip reasons, minutes and verdict."""
    report = HERE.parent / f".tier-{tier['name']}.xml"
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *tier["arguments"]]
    print(f"\n== tier {tier['name']}: pytest {' '.join(tier['arguments'])}", flush=True)
    start = time.monotonic()
    status = subprocess.run(command, cwd=HERE.parent, check=False).returncode  # noqa: S603  (our own arguments)
    minutes = (time.monotonic() - start) / 60
    counts, reasons = read(report)
    report.unlink(missing_ok=True)
    ran = counts["passed"] + counts["failed"]
    wrong = (
        status not in (0, 5)
        or counts["failed"] > 0
        or (tier["required"] and (ran == 0 or counts["skipped"] > 0))
    )
    return {"tier": tier, "counts": counts, "reasons": reasons, "minutes": minutes, "ok": not wrong}


def read(report: Path) -> tuple[Counter, Counter]:
    """Return outcome -> count and skip reason -> count of a JUnit file."""
    counts: Counter = Counter(passed=0, failed=0, skipped=0)
    reasons: Counter = Counter()
    if not report.exists():
        return counts, reasons
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  (our own file, just written)
        skipped = case.find("skipped")
        if skipped is not None:
            reason = skipped.get("message", "no reason given")
            reasons[reason] += 1
            # The default tier skips the others by name; they run on their own below.
            counts["other tiers" if reason.startswith("tier '") else "skipped"] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
        else:
            counts["passed"] += 1
    return counts, reasons


def main() -> int:
    """Run all tiers; 0 only if every required one ran and passed."""
    plan = json.loads((HERE / "tiers.json").read_text())
    declared = sum(tier["minutes"] for tier in plan["tiers"])
    if declared > plan["budget_minutes"]:
        print(f"declared minutes {declared} are over the budget of {plan['budget_minutes']}")
        return 1
    results = [run_tier(tier) for tier in plan["tiers"]]
    print(
        f"\n{'tier':<12} {'passed':>7} {'failed':>7} {'skipped':>8} {'minutes':>8} {'declared':>9}  verdict"
    )
    for result in results:
        tier, counts = result["tier"], result["counts"]
        verdict = "ok" if result["ok"] else "FAILED"
        print(
            f"{tier['name']:<12} {counts['passed']:>7} {counts['failed']:>7} {counts['skipped']:>8} "
            f"{result['minutes']:>8.1f} {tier['minutes']:>9}  {verdict}"
        )
        for reason, count in result["reasons"].items():
            print(f"{'':<12} skipped {count}: {reason}")
    total = Counter()
    for result in results:
        total.update(result["counts"])
    print(f"\n{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
