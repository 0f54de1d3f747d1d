package io.ucow.qcow2;

import io.ucow.store.ExceptionStoreContract;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.OriginReference;
import org.junit.jupiter.api.Nested;

/** QEMU's format keeps the contract, with small and ordinary clusters, and its largest. */
class Qcow2ContractTest {
    abstract static class Contract extends ExceptionStoreContract {
        @Override
        protected ExceptionStoreProvider format() {
            return new Qcow2Format();
        }

        /** All that qcow2 records. */
        @Override
        protected OriginReference reference() {
            return OriginReference.ofPath("base.img", false);
        }
    }

    @Nested
    class With4KiB extends Contract {
        @Override
        protected int chunkShift() {
            return 12;
        }
    }

    @Nested
    class With64KiB extends Contract {}

    @Nested
    class With2MiB extends Contract {
        @Override
        protected int chunkShift() {
            return 21;
        }
    }
}
