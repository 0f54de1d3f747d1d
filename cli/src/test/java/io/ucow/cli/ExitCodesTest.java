package io.ucow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.cli.daemon.BusyException;
import io.ucow.cli.daemon.EnvironmentException;
import io.ucow.cli.daemon.RemoteException;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.DirectIoUnavailableException;
import io.ucow.store.OriginChangedException;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreInUseException;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.table.TableMismatchException;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ExitCodesTest {
    static Stream<Arguments> failures() {
        return Stream.of(
                Arguments.of(new IOException("x"), 1),
                Arguments.of(new IllegalStateException("x"), 1),
                Arguments.of(new IllegalArgumentException("x"), 2),
                Arguments.of(new TableMismatchException("x"), 2),
                Arguments.of(new NoSuchFileException("x"), 10),
                Arguments.of(new NativeException("x", Errno.ENOENT), 10),
                Arguments.of(new FileAlreadyExistsException("x"), 11),
                Arguments.of(new BusyException("x"), 12),
                Arguments.of(new StoreInUseException("x"), 12),
                Arguments.of(new NativeException("x", Errno.EBUSY), 12),
                Arguments.of(new AccessDeniedException("x"), 13),
                Arguments.of(new NativeException("x", Errno.EACCES), 13),
                Arguments.of(new NativeException("x", Errno.EPERM), 13),
                Arguments.of(new NativeException("x", Errno.EROFS), 13),
                Arguments.of(new StoreFullException("x"), 14),
                Arguments.of(new NativeException("x", Errno.ENOSPC), 14),
                Arguments.of(new OriginChangedException("x"), 15),
                Arguments.of(new CorruptStoreException("x"), 16),
                Arguments.of(new UnsupportedFormatException("x"), 17),
                Arguments.of(new NotDirectoryException("x"), 18),
                Arguments.of(new DirectoryNotEmptyException("x"), 18),
                Arguments.of(new EnvironmentException("x", null), 19),
                Arguments.of(new DirectIoUnavailableException("x", null), 19),
                Arguments.of(new NativeException("x", Errno.EIO), 1),
                Arguments.of(new RemoteException("x", 77), 77));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void eachFailureHasItsCode(Exception failure, int code) {
        assertThat(ExitCodes.of(failure)).isEqualTo(code);
        assertThat(ErrorLine.toRemote(failure).exitCode()).isEqualTo(code);
    }

    @Test
    void errorLinesSayWhatTheTypeSays() {
        assertThat(ErrorLine.of(new NoSuchFileException("/a"))).isEqualTo("/a: no such file or directory");
        assertThat(ErrorLine.of(new NoSuchFileException("/a", null, "because"))).isEqualTo("/a: because");
        assertThat(ErrorLine.of(new AccessDeniedException("/a"))).isEqualTo("/a: permission denied");
        assertThat(ErrorLine.of(new IOException("one\n  two\n"))).isEqualTo("one; two");
    }

    @Test
    void whatOnlyABugThrowsIsCalledOne() {
        assertThat(ErrorLine.of(new IllegalStateException("x")))
                .startsWith("internal error: ")
                .contains("-v");
        assertThat(ErrorLine.of(new IOException())).startsWith("internal error: java.io.IOException");
    }
}
