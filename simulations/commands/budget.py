"""``transecg budget``: what a site's privacy ledger holds, whether it is intact, and the same for others to read."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from transecg_core.errors import UserError
from transecg_core.text import escaped, plural

if TYPE_CHECKING:
    from client.spending import Budget

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    help="Show, verify or export a site's privacy ledger; never changes it.",
)  # fmt: skip

Ledgers = Annotated[
    list[Path], typer.Argument(metavar="LEDGER...", help="Ledger files, or folders of *.sqlite.")
]
PolicyFile = Annotated[Path | None, typer.Option(help="A site's policy file: its lifetime budget and delta.")]
MaxEpsilon = Annotated[float | None, typer.Option(help="A lifetime budget, without a policy file.")]
Delta = Annotated[float | None, typer.Option(help="Delta of every epsilon shown [1e-05, or the policy's].")]


@app.command()
def show(
    ledgers: Ledgers,
    policy: PolicyFile = None,
    max_epsilon: MaxEpsilon = None,
    delta: Delta = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what each run cost a person, what all cost together, and what is left."""
    from client.ledger import read
    from simulations import ledger_account

    at, budget = _limits(policy, max_epsilon, delta)
    found = [ledger_account.account(read(path), at, budget) for path in ledger_account.find(ledgers)]
    if as_json:
        print(json.dumps([ledger_account.as_data(one) for one in found], indent=2))
    else:
        print("\n\n".join(_printable(ledger_account.page(one)) for one in found))


@app.command()
def verify(
    ledgers: Ledgers,
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="A head noted earlier: charges cut off since then show."),
    ] = None,
    policy: PolicyFile = None,
    max_epsilon: MaxEpsilon = None,
    delta: Delta = None,
) -> None:
    """Recompute chain, updates' hashes and epsilons; status 1 and one line for each ledger that is wrong."""
    from client import ledger
    from client.refusal import LedgerTrouble
    from simulations import ledger_account

    at, budget = _limits(policy, max_epsilon, delta)
    paths = ledger_account.find(ledgers)
    if head is not None and len(paths) != 1:
        raise UserError(f"--head is one ledger's; {len(paths)} were given")
    wrong = 0
    for path in paths:
        try:
            contents, notes = ledger.verify(path, None if head is None else head.strip().lower())
            found = ledger_account.account(contents, at, budget)
            if found.overspent and budget is not None:
                spent = ledger_account.number(found.epsilon_person)
                raise LedgerTrouble(
                    f"ledger {path}: person epsilon {spent} is over the budget of {budget.epsilon:g}"
                )
        except LedgerTrouble as trouble:
            wrong += 1
            print(_printable(f"transecg: {trouble}"), file=sys.stderr)
            continue
        print(_printable(
            f"ledger {path}: intact; site {contents.site}, {plural(len(contents.charges), 'charge')}, person epsilon "
            f"{ledger_account.number(found.epsilon_person)} at delta {at:g}, head {contents.head}"
            f"{'; ' if contents.mark else ''}{contents.mark}"
        ))  # fmt: skip
        for note in notes:
            print(f"  note: {note}")
    if wrong:
        raise typer.Exit(1)


@app.command()
def export(
    ledgers: Ledgers,
    kind: Annotated[Literal["csv", "json"], typer.Option("--format", help="csv or json.")] = "csv",
    out: Annotated[
        Path | None, typer.Option(help="Write into this new file, not to standard output.")
    ] = None,
) -> None:
    """Write out every charge, without the updates' bytes: for a data protection officer."""
    from client.ledger import read
    from simulations import ledger_account

    rows = [
        row for path in ledger_account.find(ledgers) for row in ledger_account.charge_rows(read(path))
    ]  # fmt: skip
    if kind == "json":
        text = json.dumps(rows, indent=2) + "\n"
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, ledger_account.CHARGE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = buffer.getvalue()
    if out is None:
        sys.stdout.write(text)
        return
    try:
        with out.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}; name a new file") from None
    print(f"{plural(len(rows), 'charge')} in {out}")


def _limits(
    policy: Path | None, max_epsilon: float | None, delta: float | None
) -> tuple[float, Budget | None]:
    """Return (delta, budget) as the options say.

    Raises
    ------
    UserError
        If they contradict each other, or are out of bounds.
    """
    from client.policy import LIFETIME_DELTA, read_policy
    from client.spending import Budget
    from transecg_core.privacy.accounting import SMALLEST_DELTA

    if policy is not None and (max_epsilon is not None or delta is not None):
        raise UserError("--policy has its own budget and delta; leave --max-epsilon and --delta out")
    if delta is not None and not SMALLEST_DELTA <= delta < 1:
        raise UserError(f"--delta {delta:g}: a number from {SMALLEST_DELTA:g} to 1")
    if max_epsilon is not None and not 0 < max_epsilon < float("inf"):
        raise UserError(f"--max-epsilon {max_epsilon:g}: a positive number")
    if policy is not None:
        rules = read_policy(policy)
        return rules.lifetime_delta, Budget(rules.max_lifetime_epsilon, rules.lifetime_delta)
    at = LIFETIME_DELTA if delta is None else delta
    return at, None if max_epsilon is None else Budget(max_epsilon, at)


def _printable(text: str) -> str:
    return "\n".join(map(escaped, text.split("\n")))
