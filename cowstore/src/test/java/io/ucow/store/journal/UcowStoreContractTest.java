package io.ucow.store.journal;

import io.ucow.store.ExceptionStoreContract;
import io.ucow.store.ExceptionStoreProvider;
import org.junit.jupiter.api.Nested;

/** ucow's own format keeps the contract, with its smallest, an ordinary and its largest chunk. */
class UcowStoreContractTest {
    @Nested
    class With4KiB extends ExceptionStoreContract {
        @Override
        protected ExceptionStoreProvider format() {
            return new UcowFormat();
        }

        @Override
        protected int chunkShift() {
            return 12;
        }
    }

    @Nested
    class With64KiB extends ExceptionStoreContract {
        @Override
        protected ExceptionStoreProvider format() {
            return new UcowFormat();
        }
    }

    @Nested
    class With1MiB extends ExceptionStoreContract {
        @Override
        protected ExceptionStoreProvider format() {
            return new UcowFormat();
        }

        @Override
        protected int chunkShift() {
            return 20;
        }
    }
}
