package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CacheMode;
import java.io.IOException;
import java.nio.file.Files;
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

    private static final MountSpec SPEC = new MountSpec(
            "id",
            Path.of("/mnt"),
            false,
            "auto",
            CacheMode.WRITEBACK,
            false,
            false,
            Optional.empty(),
            List.of(Path.of("/vm1.cow")),
            Optional.empty(),
            "");

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
        try (DaemonLauncher launcher = new DaemonLauncher()) {
            return launcher.start(SPEC, run);
        }
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
    void whyItCannotStartIsPassedOn() {
        assertThatThrownBy(() -> start("read -r spec; echo '{\"code\":13,\"error\":\"no right\"}'"))
                .isInstanceOfSatisfying(
                        RemoteException.class, e -> assertThat(e.exitCode()).isEqualTo(13))
                .hasMessage("no right");
    }

    @Test
    void theLogOfOneThatCrashedIsNamed() {
        Path log = run.log("id");
        assertThatThrownBy(() -> start("echo why >" + log + "; exit 1")).hasMessageContaining(log.toString());
    }

    @Test
    void oneThatCrashedBeforeItHadALogNamesNone() {
        assertThatThrownBy(() -> start("exit 1")).hasMessageNotContaining("log");
    }

    @Test
    void onePreparedIsTheOneThatIsStarted() throws Exception {
        Path started = temporary.resolve("started");
        script = Script.inPlace(temporary, "echo $$ >>" + started + "; " + READY + "read -r line");
        try (DaemonLauncher launcher = new DaemonLauncher()) {
            launcher.prepare();
            launcher.start(SPEC, run).close();
        }
        assertThat(started).content().hasLineCount(1);
    }

    @Test
    void onePreparedInVainIsGone() throws Exception {
        Path pid = temporary.resolve("pid");
        Path ready = temporary.resolve("ready");
        assertThat(new ProcessBuilder("mkfifo", ready.toString()).start().waitFor())
                .isZero();
        script = Script.inPlace(temporary, "echo $$ >" + pid + "; echo >" + ready + "; read -r spec");
        try (DaemonLauncher launcher = new DaemonLauncher()) {
            launcher.prepare();
            Files.readString(ready);
        }
        assertThat(ProcessHandle.of(Long.parseLong(Files.readString(pid).strip())))
                .isEmpty();
    }

    @Test
    void withoutTheStartScriptThereIsNoDaemon() {
        try (DaemonLauncher launcher = new DaemonLauncher()) {
            assertThatThrownBy(() -> launcher.start(SPEC, run)).hasMessageContaining("bin/ucow");
            launcher.prepare();
            assertThatThrownBy(() -> launcher.start(SPEC, run)).hasMessageContaining("bin/ucow");
        }
    }
}
