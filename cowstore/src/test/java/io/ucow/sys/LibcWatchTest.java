package io.ucow.sys;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibcWatchTest {
    private static final int LONG_ENOUGH_MILLIS = 10_000;

    @TempDir
    private Path directory;

    @Test
    void closeWakesTheWatcherAndNothingElseDoes() throws IOException {
        Path file = Files.writeString(directory.resolve("watched"), "x");
        int watch = Libc.watch(file.toString(), Libc.IN_CLOSE_NOWRITE);
        try {
            NativeFile open = NativeFile.open(file, Libc.O_RDONLY);
            assertThat(Libc.awaitReadable(watch, 0)).isFalse();

            open.close();

            assertThat(Libc.awaitReadable(watch, LONG_ENOUGH_MILLIS)).isTrue();
        } finally {
            assertThat(Libc.close(watch)).isZero();
        }
    }

    @Test
    void missingFileIsNamed() {
        assertThatThrownBy(() -> Libc.watch(directory.resolve("none").toString(), Libc.IN_CLOSE_WRITE))
                .isInstanceOf(NativeException.class)
                .hasMessageContaining("inotify_add_watch " + directory.resolve("none"))
                .hasMessageContaining("ENOENT");
    }
}
