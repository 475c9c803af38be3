"""Catching wrong privacy code: three instruments, each with stated power, none a proof.

`mechanism` runs the release code thousands of times on a worst case; `recount` recomputes a claim
from the ledger and from what an observer saw; `canaries` hides people in one real training run.
`broken` holds the trainers and books that they must catch, `suite` runs everything. Nothing is
imported here: the instruments load Opacus, which takes seconds.
"""
