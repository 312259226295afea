"""A seeded simulation: whole replicas in virtual time, under everything that may go wrong, held to the laws.

One seed is one history of one to five replicas: the real engine, the real webhook handler, the real
Kubernetes actions and checks, and the real transactions of the SQLite ledger, which all of them share as
they would share one PostgreSQL. Only what lies between them is simulated: time (`clockwork`), messages
(`ledger`, `network`), the world's troubles (`script`, `alerting`), and what befalls replicas and lines
(`chaos`), in a `weather` that the seed has chosen. Replicas are killed, stopped past their lease and
thawed, cut off, restarted; calls fail before they are served or lose their answer after it; requests
arrive long after their sender has gone.

After each commit of the ledger and each write to the cluster, every law is asserted (`laws`). The
simulation has teeth: each bug of `bugs` is caught within 200 seeds; and over the seeds of CI nothing of
`diary.MUST_HAPPEN` may have happened never.

    make simulate SEEDS=100000                       all cores; the first seed that breaks a law is shown
    python -m tests.simulation --seed 57             one seed again, with its schedule
    python -m tests.simulation --bug "blind retry"   how a planted bug is caught

**To add a law or a guard**: write what must never be as a function in `laws`, decorated by when it is
asked (`after_commit`, `after_write`, `at_end`), from the ledger's rows and what was witnessed, never by
calling the code that it judges. Let a rule of `rulebook`, a trouble of `script` or a person of `chaos`
lead there. Plant a bug in `bugs` that forgets the guard, and name what must have happened in
`diary.MUST_HAPPEN`, counted in `counting`.
"""
