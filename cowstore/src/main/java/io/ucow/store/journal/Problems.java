package io.ucow.store.journal;

import io.ucow.store.CorruptStoreException;

/** What to do with a contradiction found in the metadata: stop at the first, or collect them for {@code check}. */
interface Problems {
    /** Stops at the first one. */
    Problems STRICT = problem -> {
        throw new CorruptStoreException(problem);
    };

    /** Takes note of one: {@code problem} is one line with the store's name, the place, what was found, what was expected. */
    void report(String problem) throws CorruptStoreException;
}
