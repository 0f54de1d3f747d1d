package io.ucow.cli;

import io.ucow.store.CacheMode;
import picocli.CommandLine.Option;

/** {@code --cache}, for the verbs that mount. */
final class CacheOption {
    @Option(
            names = "--cache",
            paramLabel = "MODE",
            defaultValue = "writeback",
            converter = CacheModeConverter.class,
            description = {
                "As in QEMU: none bypasses the page cache for base and store (O_DIRECT);"
                        + " writethrough makes each write durable before it is acknowledged;"
                        + " writeback caches, and is durable after a flush. Default: ${DEFAULT-VALUE}."
            })
    CacheMode mode;
}
