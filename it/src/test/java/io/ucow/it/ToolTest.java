package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ToolTest {
    @Test
    void resultHasAllThatWasWritten() throws IOException {
        Tool.Result result =
                Tool.of("sh", "-c", "echo out; echo err >&2; exit 3").run();

        assertThat(result.status()).isEqualTo(3);
        assertThat(result.line()).isEqualTo("out");
        assertThat(result.stderr()).isEqualTo("err\n");
    }

    @Test
    void inputDirectoryAndEnvironmentReachTheProgram(@TempDir Path directory) throws IOException {
        Tool.Result result = Tool.of("sh", "-c", "cat; pwd -P; echo $COLOUR")
                .reading("typed\n")
                .in(directory)
                .with("COLOUR", "blue")
                .succeed();

        assertThat(result.stdout()).isEqualTo("typed\n" + directory.toRealPath() + "\nblue\n");
    }

    @Test
    void failureShowsCommandStatusAndOutput() {
        assertThatThrownBy(() -> Tool.of("sh", "-c", "echo seen; exit 4").succeed())
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("'sh -c echo seen; exit 4' exited with 4")
                .hasMessageContaining("--- stdout\nseen");
    }

    @Test
    void programThatDoesNotEndIsKilledWithItsChildren() throws IOException {
        Tool endless = Tool.of("sh", "-c", "sleep 1000 & echo $!; wait").within(Duration.ofMillis(300));

        try (Tool.Running running = endless.start()) {
            assertThatThrownBy(running::await).hasMessageContaining("did not end within PT0.3S");

            long child = Long.parseLong(running.stdout().strip());
            assertThat(ProcessHandle.of(child).map(ProcessHandle::onExit))
                    .satisfiesAnyOf(
                            gone -> assertThat(gone).isEmpty(),
                            dying -> assertThat(dying.orElseThrow()).succeedsWithin(Duration.ofSeconds(5)));
        }
    }

    @Test
    void daemonThatKeepsTheOutputOpenDoesNotHoldTheCallerUp() throws IOException {
        Tool.Result result = Tool.of("sh", "-c", "sleep 1000 & echo $!").succeed();

        ProcessHandle daemon = ProcessHandle.of(Long.parseLong(result.line())).orElseThrow();
        assertThat(daemon.isAlive()).isTrue();
        assertThat(daemon.destroyForcibly()).isTrue();
    }

    @Test
    void backgroundProgramIsWatchedAndKilled() throws IOException {
        try (Tool.Running running = Tool.of("sleep", "1000").start()) {
            assertThat(running.isAlive()).isTrue();
            assertThat(ProcessHandle.of(running.pid())).isPresent();

            running.kill();

            assertThat(running.isAlive()).isFalse();
            assertThat(running.await().status()).isEqualTo(128 + 9);
        }
    }

    @Test
    void missingProgramIsNamed() {
        assertThat(Tool.find("no-such-program")).isEmpty();
        assertThatThrownBy(() -> Tool.of("no-such-program").run())
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("no program 'no-such-program'");
    }
}
