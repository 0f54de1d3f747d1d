package io.ucow.sys;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.StoreFullException;
import java.io.EOFException;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import org.junit.jupiter.api.Test;

class ErrnoTest {
    @Test
    void nearestSystemCallInTheChainDecides() {
        NativeException full = new NativeException("pwrite", Errno.ENOSPC);
        assertThat(Errno.of(full)).isEqualTo(28);
        assertThat(Errno.of(new IOException("store", full))).isEqualTo(28);
        assertThat(Errno.of(new StoreFullException("x", new IOException(full)))).isEqualTo(28);
        NativeException outer = new NativeException("open", Errno.EACCES);
        outer.initCause(full);
        assertThat(Errno.of(outer)).isEqualTo(13);
    }

    @Test
    void javasOwnExceptionsHaveTheirNumbers() {
        assertThat(Errno.of(new NoSuchFileException("x"))).isEqualTo(Errno.ENOENT);
        assertThat(Errno.of(new AccessDeniedException("x"))).isEqualTo(Errno.EACCES);
        assertThat(Errno.of(new FileAlreadyExistsException("x"))).isEqualTo(Errno.EEXIST);
        assertThat(Errno.of(new RuntimeException(new NoSuchFileException("x")))).isEqualTo(Errno.ENOENT);
    }

    @Test
    void whatIsNotKnownIsAnInputOutputError() {
        assertThat(Errno.of(new IOException("x"))).isEqualTo(Errno.EIO);
        assertThat(Errno.of(new EOFException())).isEqualTo(Errno.EIO);
        assertThat(Errno.of(new CorruptStoreException("x"))).isEqualTo(Errno.EIO);
        assertThat(Errno.of(new OutOfMemoryError())).isEqualTo(Errno.EIO);
        assertThat(Errno.of(new IllegalStateException())).isEqualTo(Errno.EIO);
    }

    @Test
    void numbersAreThoseOfThisMachinesLibc() throws IllegalAccessException {
        int checked = 0;
        for (Field field : Errno.class.getDeclaredFields()) {
            if (Modifier.isPublic(field.getModifiers()) && field.getType() == int.class) {
                int value = field.getInt(null);
                assertThat(jnr.constants.platform.Errno.valueOf(field.getName()).intValue())
                        .as(field.getName())
                        .isEqualTo(value);
                checked++;
            }
        }
        assertThat(checked).isGreaterThan(20);
    }

    @Test
    void descriptionHasWordsAndTheName() {
        assertThat(Errno.describe(Errno.ENOSPC)).isEqualTo("no space left on device (ENOSPC)");
        assertThat(Errno.describe(99999)).isEqualTo("errno 99999");
        NativeException e = new NativeException("pwrite x.cow", Errno.EIO);
        assertThat(e).hasMessage("pwrite x.cow: input/output error (EIO)");
        assertThat(e.call()).isEqualTo("pwrite x.cow");
        assertThat(e.errno()).isEqualTo(5);
    }
}
