package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Memory is short, and to get some the kernel must write to the disk that a daemon serves, which has little itself: it
 * gets on all the same. What keeps it from waiting for itself is in ARCHITECTURE.md, "When memory is short".
 */
@Timeout(600)
class MemoryPressureIT {
    private static final int MIB = 1 << 20;
    private static final long WRITER_BYTES = 48 * MIB, DAEMON_BYTES = 256 * MIB;
    private static final int FILES = 12, FILE_MEBIBYTES = 64;
    private static final Duration LIMIT = Duration.ofMinutes(2);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private Optional<ControlGroup> writers = Optional.empty();
    private Optional<ControlGroup> daemons = Optional.empty();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("dd", "cmp", "mkfs.ext4", "e2fsck");
    }

    @Test
    void aWriterOfManyTimesItsMemoryGetsOn() throws Exception {
        try {
            writers = ControlGroup.ofMemory("writers", WRITER_BYTES);
            daemons = ControlGroup.ofMemory("daemons", DAEMON_BYTES);
            assumeTrue(writers.isPresent() && daemons.isPresent(), "no control group for memory can be made here");
            write(writers.get(), daemons.get());
        } finally {
            if (writers.isPresent()) {
                writers.get().close();
            }
            if (daemons.isPresent()) {
                daemons.get().close();
            }
        }
    }

    private void write(ControlGroup writers, ControlGroup daemons) throws Exception {
        Path source = home.randomFile("source", FILE_MEBIBYTES, 1);
        Path image = home.create("vm.cow", source, "--size", "1G");
        Path device = Path.of(
                daemons.run(home.ucow("attach", image)).within(LIMIT).succeed().line());
        Tool.of("mkfs.ext4", "-q", "-F", device).succeed();

        try (TempMount mount = TempMount.of(device)) {
            long start = System.nanoTime();
            for (int i = 0; i < FILES; i++) {
                // Through the page cache, of which the writer may have no more than its limit.
                Tool copy = Tool.of("dd", "if=" + source, "of=" + mount.root().resolve("file" + i), "bs=1M");
                writers.run(copy).within(LIMIT).succeed();
            }
            Tool.of("sync", "-f", mount.root()).within(LIMIT).succeed();
            System.out.println("MemoryPressureIT millis=" + (System.nanoTime() - start) / 1_000_000 + " limitHits="
                    + writers.limitHits() + "," + daemons.limitHits());
            for (int i = 0; i < FILES; i++) {
                writers.run(Tool.of("cmp", source, mount.root().resolve("file" + i)))
                        .within(LIMIT)
                        .succeed();
            }
            mount.unmount();
        }
        Tool.of("e2fsck", "-f", "-n", device).succeed();
        home.detach(device);

        assertThat(writers.limitHits()).as("memory was short for writers").isPositive();
        assertThat(daemons.limitHits()).as("memory was short for daemons").isPositive();
        assertThat(writers.oomKills()).as("writers killed").isZero();
        assertThat(daemons.oomKills()).as("daemons killed").isZero();
        home.check(image);
    }
}
