package io.ucow.cli.daemon;

import java.io.Closeable;
import java.io.IOException;
import java.util.Collection;

/** Closes several things, each even if another fails. */
final class Closing {
    private Closing() {}

    /** @throws IOException the first failure, with the others suppressed */
    static void all(Collection<? extends Closeable> open) throws IOException {
        IOException first = null;
        for (Closeable each : open) {
            try {
                each.close();
            } catch (IOException e) {
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }

    /** Closes what {@code failure} leaves behind; what goes wrong then is suppressed in it. */
    static void after(Throwable failure, Collection<? extends Closeable> open) {
        for (Closeable each : open) {
            try {
                each.close();
            } catch (IOException | RuntimeException | Error e) {
                failure.addSuppressed(e);
            }
        }
    }
}
