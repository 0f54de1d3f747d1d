package io.ucow.qcow2;

import io.ucow.store.ExceptionStoreContract;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreOptions;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Nested;

/** QEMU's format keeps the contract, with small and ordinary clusters, and its largest, and with extended L2 entries. */
class Qcow2ContractTest {
    abstract static class Contract extends ExceptionStoreContract {
        @Override
        protected ExceptionStoreProvider format() {
            return new Qcow2Format();
        }

        /** Disks are whole sectors. */
        @Override
        protected int missingBytes() {
            return 1024;
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

    /** Chunks are subclusters of 2 KiB. */
    @Nested
    class WithExtendedL2Entries extends Contract {
        @Override
        protected int chunkShift() {
            return 11;
        }

        @Override
        protected void create(PositionalFile file, Geometry geometry) throws IOException {
            StoreOptions extended = StoreOptions.NONE.withOwn(Map.of(ImageOptions.EXTENDED_L2, "on"));
            format().create(file, geometry.sizeBytes(), reference(), extended);
        }
    }

    @Nested
    class With2MiB extends Contract {
        @Override
        protected int chunkShift() {
            return 21;
        }
    }
}
