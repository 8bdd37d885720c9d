"""What a run remembers, and the `sqlite` state store.

    Store (store)          positions, epochs, splits, quarantine: SQL, the same for all state stores
      hold_store(state, p)   a Store that writes, held for the length of a run
      view_store(state, p)   a Store on a copy in memory: show, plan, dry runs
    EpochStore             the life of an epoch (epoch_store); Epoch, Status, Quarantine (epochs)
    snapshots              what stateful enrichers keep
    splits, rewind, export what `ktrans state` does
    SqliteState            the component `sqlite` (sqlite, lock)

The contract of state stores is `ktrans.api.state`; what they share is `ktrans.kit.state`.
"""
