package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunDirectoryTest {
    @TempDir
    Path temporary;

    private Path root;
    private RunDirectory run;

    @BeforeEach
    void open() throws Exception {
        root = temporary.resolve("run");
        run = RunDirectory.of(Map.of("UCOW_RUN_DIR", root.toString()), true);
    }

    private static DaemonState state(ProcessId process) {
        return new DaemonState(
                "a-12345678",
                process,
                Optional.of(new ProcessId(7, 8)),
                Path.of("/mnt/ä \"b\""),
                "jnr",
                true,
                true,
                List.of(
                        new ServedFile("vm1", List.of(Path.of("/vm/vm1.cow")), Optional.of(Path.of("/dev/loop3"))),
                        new ServedFile("zeros", List.of(), Optional.empty())));
    }

    @Test
    void isChosenByUserAndEnvironment() throws Exception {
        assertThat(RunDirectory.of(Map.of(), true).socket("x")).isEqualTo(Path.of("/run/ucow/x.sock"));
        assertThat(RunDirectory.of(Map.of("XDG_RUNTIME_DIR", "/run/user/7"), false)
                        .log("x"))
                .isEqualTo(Path.of("/run/user/7/ucow/x.log"));
        assertThat(RunDirectory.of(Map.of("UCOW_RUN_DIR", "/else"), false).mountPoint("x"))
                .isEqualTo(Path.of("/else/mnt/x"));
        assertThatThrownBy(() -> RunDirectory.of(Map.of(), false))
                .isInstanceOf(AccessDeniedException.class)
                .hasMessageContaining("XDG_RUNTIME_DIR");
    }

    @Test
    void isForItsOwnerAlone() throws Exception {
        run.create();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(root)))
                .isEqualTo("rwx------");

        Files.setPosixFilePermissions(root, PosixFilePermissions.fromString("rwxrwxrwx"));
        run.create();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(root)))
                .isEqualTo("rwx------");
    }

    @Test
    void listsNothingBeforeItExists() throws Exception {
        assertThat(run.states()).isEmpty();
        assertThat(root).doesNotExist();
    }

    @Test
    void statesComeBackAsTheyWereWritten() throws Exception {
        run.create();
        DaemonState state = state(ProcessId.current());

        run.write(state);

        assertThat(run.states()).containsExactly(state);
        assertThat(run.states().get(0).isAlive()).isTrue();
        try (var files = Files.list(root)) {
            assertThat(files).as("no temporary file is left").containsExactly(root.resolve("a-12345678.json"));
        }
    }

    @Test
    void aStateWhosePidWasUsedAgainIsDead() throws Exception {
        run.create();
        ProcessId self = ProcessId.current();
        run.write(state(new ProcessId(self.pid(), self.startTicks() + 1)));

        assertThat(run.states().get(0).isAlive()).isFalse();
    }

    @Test
    void writingReplacesAndRemovingLeavesTheLog() throws Exception {
        run.create();
        Files.createFile(run.log("a-12345678"));
        Files.createFile(run.socket("a-12345678"));
        Files.createDirectories(run.mountPoint("a-12345678"));
        run.write(state(ProcessId.current()));
        run.write(state(new ProcessId(1, 1)));
        assertThat(run.states()).hasSize(1);

        run.remove("a-12345678");

        assertThat(run.states()).isEmpty();
        assertThat(run.log("a-12345678")).exists();
        assertThat(run.socket("a-12345678")).doesNotExist();
        assertThat(run.mountPoint("a-12345678")).doesNotExist();
        run.remove("a-12345678");
    }

    @Test
    void saysWhichStateFileIsDamaged() throws Exception {
        run.create();
        Files.writeString(root.resolve("bad.json"), "{\"version\":");
        assertThatThrownBy(run::states).isInstanceOf(IOException.class).hasMessageContaining("bad.json");

        Files.writeString(root.resolve("bad.json"), "{\"version\":99}");
        assertThatThrownBy(run::states).hasMessageContaining("bad.json").hasMessageContaining("99");
    }

    @Test
    void lockExcludesOthers() throws Exception {
        run.create();
        try (Closeable first = run.lock()) {
            assertThat(first).isNotNull();
            assertThatThrownBy(run::lock).isInstanceOf(OverlappingFileLockException.class);
        }
        run.lock().close();
    }

    @Test
    void idsAreShortSafeAndDistinct() {
        String id = RunDirectory.idFor(Path.of("/vm/a very long name with späces and more.cow"));

        assertThat(id).matches("[A-Za-z0-9._-]{24}-[0-9a-f]{8}");
        assertThat(RunDirectory.idFor(Path.of("/vm/a.cow")))
                .isEqualTo(RunDirectory.idFor(Path.of("/vm/a.cow")))
                .isNotEqualTo(RunDirectory.idFor(Path.of("/vn/a.cow")));
        assertThat(RunDirectory.idFor(Path.of("/"))).isNotEmpty();
    }

    @Test
    void filesAreFoundByImageLoopDeviceAndPlace() throws Exception {
        DaemonState state = state(ProcessId.current());

        assertThat(state.find(Path.of("/vm/vm1.cow"))).contains(state.files().get(0));
        assertThat(state.find(Path.of("/dev/loop3"))).contains(state.files().get(0));
        assertThat(state.find(Path.of("/mnt/ä \"b\"/zeros")))
                .contains(state.files().get(1));
        assertThat(state.find(Path.of("/mnt"))).isEmpty();
        assertThat(state.describe(state.files().get(0))).contains("ucow detach /dev/loop3");
    }
}
