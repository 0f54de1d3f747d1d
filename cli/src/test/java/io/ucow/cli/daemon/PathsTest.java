package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.channels.FileChannel;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Paths as people give them: spelt in many ways, and of the wrong kind. */
class PathsTest {
    @TempDir
    Path temporary;

    private Path dir;

    @BeforeEach
    void resolve() throws Exception {
        dir = temporary.toRealPath();
    }

    @Test
    void everySpellingOfAFileIsOne() throws Exception {
        Path file = Files.createFile(dir.resolve("f"));
        Files.createSymbolicLink(dir.resolve("link"), Path.of("f"));
        Files.createSymbolicLink(dir.resolve("dirlink"), dir);

        assertThat(CanonicalPath.of(dir.resolve("./f"))).isEqualTo(file);
        assertThat(CanonicalPath.of(dir.resolve("link"))).isEqualTo(file);
        assertThat(CanonicalPath.of(dir.resolve("dirlink/link"))).isEqualTo(file);
        assertThat(CanonicalPath.of(Path.of("relative")))
                .isEqualTo(Path.of("").toRealPath().resolve("relative"));
    }

    @Test
    void whatDoesNotExistKeepsItsName() throws Exception {
        Files.createSymbolicLink(dir.resolve("dirlink"), dir);

        assertThat(CanonicalPath.of(dir.resolve("dirlink/none"))).isEqualTo(dir.resolve("none"));
        assertThat(CanonicalPath.of(Path.of("/no/such/../place"))).isEqualTo(Path.of("/no/place"));
        assertThat(CanonicalPath.of(Path.of("/"))).isEqualTo(Path.of("/"));
    }

    @Test
    void circlesAreNoticed() throws Exception {
        Files.createSymbolicLink(dir.resolve("a"), Path.of("b"));
        Files.createSymbolicLink(dir.resolve("b"), Path.of("a"));

        assertThatThrownBy(() -> CanonicalPath.of(dir.resolve("a"))).isInstanceOf(FileSystemLoopException.class);
    }

    @Test
    void onlyAnEmptyDirectoryIsAMountPoint() throws Exception {
        Path file = Files.createFile(dir.resolve("file"));
        Path empty = Files.createDirectory(dir.resolve("empty"));

        assertThatCode(() -> MountPoint.requireUsable(empty)).doesNotThrowAnyException();
        assertThatThrownBy(() -> MountPoint.requireUsable(file)).isInstanceOf(NotDirectoryException.class);
        assertThatThrownBy(() -> MountPoint.requireUsable(dir)).isInstanceOf(DirectoryNotEmptyException.class);
        assertThatThrownBy(() -> MountPoint.requireUsable(dir.resolve("none")))
                .isInstanceOf(NoSuchFileException.class)
                .hasMessageContaining("mkdir");
        assertThatThrownBy(() -> MountPoint.requireUsable(Path.of("/proc")))
                .isInstanceOf(BusyException.class)
                .hasMessageContaining("type proc");
    }

    @Test
    void usersOfAMountAreNamed() throws Exception {
        Path file = Files.createFile(dir.resolve("file"));
        Process reader = new ProcessBuilder("cat", "-", file.toString())
                .directory(dir.toFile())
                .start();
        try (FileChannel ours = FileChannel.open(file)) {
            assertThat(ours.isOpen()).isTrue();
            assertThat(MountUsers.processes(dir)).hasSize(1).first().asString().endsWith("(pid " + reader.pid() + ")");
        } finally {
            reader.getOutputStream().close();
            reader.waitFor();
        }
        assertThat(MountUsers.of(dir)).isEmpty();
    }
}
