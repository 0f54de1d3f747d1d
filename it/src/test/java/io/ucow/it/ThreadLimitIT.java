package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Where a daemon may not have all the threads it wants it serves, and can be ended, or it says so and leaves nothing. */
@Timeout(180)
class ThreadLimitIT {
    /** With fewer no Java starts. */
    private static final int FEWEST = 34;

    private static final int ENOUGH = 90;
    private static final int STEP = 2;
    private static final int FAILED = 1;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
    }

    @Test
    void aDaemonStartsOrLeavesNothing() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", 1, 1));
        int failures = 0;
        int successes = 0;
        Tool.Result lastFailure = null;
        for (int limit = FEWEST; successes < 3; limit += STEP) {
            assertThat(limit).isLessThan(ENOUGH);
            Optional<ControlGroup> made = ControlGroup.ofThreads("threads", limit);
            assumeTrue(made.isPresent(), "no control group of threads can be made here");
            try (ControlGroup group = made.get()) {
                Tool.Result attached = group.run(home.ucow("attach", image)).run();
                if (attached.status() == 0) {
                    successes++;
                    Tool.of("cmp", home.path("base"), attached.line()).succeed();
                    home.detach(image);
                } else {
                    failures++;
                    lastFailure = attached;
                }
                assertThat(home.mountPoints())
                        .as("limit of %d: %s", limit, attached)
                        .isEmpty();
                assertThat(home.list()).isEmpty();
                awaitNone();
            }
        }
        assertThat(failures).isPositive();
        assertThat(lastFailure.status()).isEqualTo(FAILED);
        assertThat(lastFailure.stderr()).startsWith("ucow: ").contains("thread").hasLineCount(1);
    }

    private void awaitNone() throws IOException {
        for (long process : home.processes()) {
            ProcessHandle.of(process).ifPresent(handle -> handle.onExit().join());
        }
    }
}
