package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** Waits for what other processes do to a file or in a directory; nothing that happens meanwhile is missed. */
final class Changes {
    private Changes() {}

    /** What is waited for. */
    interface Condition {
        boolean holds() throws IOException;
    }

    /**
     * Returns when {@code condition} holds, which is asked first at once and then after each change.
     *
     * @param mask which changes of {@code path} may bring it about: {@link Libc}'s {@code IN_*}
     * @throws AssertionError when it does not hold within {@code limit}, with {@code what} was waited for
     */
    static void await(Path path, int mask, Duration limit, String what, Condition condition) throws IOException {
        long deadline = System.nanoTime() + limit.toNanos();
        int changes = Libc.watch(path.toString(), mask);
        try {
            while (!condition.holds()) {
                long millis = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
                assertThat(Libc.awaitReadable(changes, (int) Math.max(0, millis)))
                        .as("%s within %s", what, limit)
                        .isTrue();
                Libc.drain(changes);
            }
        } finally {
            Libc.close(changes);
        }
    }
}
