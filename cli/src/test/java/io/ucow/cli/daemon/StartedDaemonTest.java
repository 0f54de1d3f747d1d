package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CacheMode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The command's side of a daemon's start, against shell scripts in the daemon's place. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class StartedDaemonTest {
    private static final String READY = "read -r spec; echo '{\"done\":{\"files\":[\"/mnt/vm1\"]}}';";

    @TempDir
    Path temporary;

    private RunDirectory run;
    private Script script;

    @BeforeEach
    void open() throws Exception {
        run = RunDirectory.of(Map.of("UCOW_RUN_DIR", temporary.resolve("run").toString()), true);
    }

    @AfterEach
    void forget() {
        if (script != null) {
            script.close();
        }
    }

    private StartedDaemon start(String body) throws IOException {
        script = Script.inPlace(temporary, body);
        return new DaemonLauncher(run)
                .start(new MountSpec(
                        "id",
                        Path.of("/mnt"),
                        false,
                        "auto",
                        CacheMode.WRITEBACK,
                        false,
                        false,
                        List.of(Path.of("/vm1.cow")),
                        Optional.empty(),
                        ""));
    }

    @Test
    void staysWhenItIsTold() throws Exception {
        Path told = temporary.resolve("told");
        try (StartedDaemon daemon = start(READY + "read -r line; echo \"$line\" >" + told + "; echo '{\"done\":{}}'")) {
            assertThat(daemon.files()).containsExactly(Path.of("/mnt/vm1"));
            daemon.stayAttachedAs(Path.of("/dev/loop3"));
        }
        assertThat(told).content().isEqualTo("{\"item\":{\"loop\":\"/dev/loop3\"}}\n");
    }

    @Test
    void isGoneWhenTheCommandGivesUp() throws Exception {
        Path undone = temporary.resolve("undone");
        try (StartedDaemon daemon = start(READY + "read -r line || touch " + undone)) {
            assertThat(daemon.files()).hasSize(1);
        }
        assertThat(undone).exists();
    }

    @Test
    void whyItCannotStartIsPassedOnAndNoLogIsLeft() {
        assertThatThrownBy(() -> start("read -r spec; echo log >&2; echo '{\"code\":13,\"error\":\"no right\"}'"))
                .isInstanceOfSatisfying(
                        RemoteException.class, e -> assertThat(e.exitCode()).isEqualTo(13))
                .hasMessage("no right");
        assertThat(run.log("id")).doesNotExist();
    }

    @Test
    void theLogOfOneThatCrashedIsKeptAndNamed() {
        assertThatThrownBy(() -> start("echo why >&2; exit 1"))
                .hasMessageContaining(run.log("id").toString());
        assertThat(run.log("id")).content().isEqualTo("why\n");
    }

    @Test
    void withoutTheStartScriptThereIsNoDaemon() {
        assertThatThrownBy(() -> new DaemonLauncher(run)
                        .start(new MountSpec(
                                "id",
                                Path.of("/mnt"),
                                false,
                                "auto",
                                CacheMode.WRITEBACK,
                                false,
                                false,
                                List.of(),
                                Optional.empty(),
                                "")))
                .hasMessageContaining("bin/ucow");
    }
}
