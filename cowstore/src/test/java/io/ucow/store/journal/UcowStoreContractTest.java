package io.ucow.store.journal;

import io.ucow.store.Compression;
import io.ucow.store.ExceptionStoreContract;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreOptions;
import io.ucow.sys.PositionalFile;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
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

    @Nested
    class WithCompression extends ExceptionStoreContract {
        @Override
        protected ExceptionStoreProvider format() {
            return creating(Compression.LZ4, false);
        }

        @Override
        protected int chunkShift() {
            return 15;
        }
    }

    @Nested
    class WithChecksums extends ExceptionStoreContract {
        @Override
        protected ExceptionStoreProvider format() {
            return creating(Compression.NONE, true);
        }

        @Override
        protected int chunkShift() {
            return 15;
        }
    }

    /** Creates stores of that kind, and is ucow's own format in all else. */
    private static ExceptionStoreProvider creating(Compression compression, boolean checksums) {
        UcowFormat format = new UcowFormat();
        return (ExceptionStoreProvider) Proxy.newProxyInstance(
                ExceptionStoreProvider.class.getClassLoader(),
                new Class<?>[] {ExceptionStoreProvider.class},
                (proxy, method, arguments) -> {
                    try {
                        if (method.getName().equals("create")) {
                            StoreOptions asked = (StoreOptions) arguments[3];
                            format.create(
                                    (PositionalFile) arguments[0],
                                    (long) arguments[1],
                                    (OriginReference) arguments[2],
                                    asked.withCodec(compression.label()).withChecksums(checksums));
                            return null;
                        }
                        return method.invoke(format, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }
}
