package io.ucow.sys;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Arrays;
import java.util.Random;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeFileTest {
    @TempDir
    Path directory;

    private Path path;

    @BeforeEach
    void setUp() {
        path = directory.resolve("file");
    }

    @Test
    void bytesAreReadWhereTheyWereWritten() throws IOException {
        byte[] bytes = new byte[100_000];
        new Random(1).nextBytes(bytes);
        try (NativeFile file = NativeFile.create(path, 0600)) {
            ByteBuffer src = ByteBuffer.allocateDirect(bytes.length + 20);
            src.position(10).put(bytes).limit(10 + bytes.length).position(10);
            file.write(src, 5000);
            assertThat(src.position()).isEqualTo(src.limit());
            ByteBuffer dst = ByteBuffer.allocateDirect(1000).position(100).limit(300);
            assertThat(file.read(dst, 5500)).isEqualTo(200);
            assertThat(dst.position()).isEqualTo(300);
            dst.clear();
            assertThat(dst.get(99)).isZero();
            assertThat(dst.get(300)).isZero();
            byte[] read = new byte[200];
            dst.get(100, read);
            assertThat(read).isEqualTo(Arrays.copyOfRange(bytes, 500, 700));
            assertThat(file.size()).isEqualTo(105_000);
        }
        assertThat(Files.readAllBytes(path)).startsWith(new byte[5000]).endsWith(bytes);
        assertThat(Files.getPosixFilePermissions(path)).isEqualTo(PosixFilePermissions.fromString("rw-------"));
    }

    @Test
    void whatIsWrittenBehindIsThere() throws IOException {
        byte[] bytes = new byte[5 << 20];
        new Random(2).nextBytes(bytes);
        ByteBuffer src = ByteBuffer.allocateDirect(bytes.length).put(bytes);
        try (NativeFile file = NativeFile.create(path, 0600)) {
            file.writeBehind();
            for (int i = 0; i < 4; i++) {
                file.write(src.flip(), (long) i * bytes.length);
            }
            file.sync();
        }
        byte[] written = Files.readAllBytes(path);
        assertThat(written).hasSize(4 * bytes.length);
        for (int i = 0; i < 4; i++) {
            assertThat(Arrays.copyOfRange(written, i * bytes.length, (i + 1) * bytes.length))
                    .isEqualTo(bytes);
        }
    }

    @Test
    void readStopsAtTheEnd() throws IOException {
        Files.write(path, new byte[] {1, 2, 3});
        try (NativeFile file = NativeFile.open(path, Libc.O_RDONLY)) {
            ByteBuffer dst = ByteBuffer.allocateDirect(10);
            assertThat(file.read(dst, 1)).isEqualTo(2);
            assertThat(dst.position()).isEqualTo(2);
            assertThat(file.read(dst, 3)).isZero();
            assertThat(file.read(dst, 1L << 40)).isZero();
            assertThat(file.read(dst.limit(2), 0)).isZero();
        }
    }

    @Test
    void offsetsBeyondFourGibibytesWork() throws IOException {
        try (NativeFile file = NativeFile.create(path, 0600)) {
            long far = (1L << 33) + 12345;
            file.write(ByteBuffer.allocateDirect(1).put((byte) 7).flip(), far);
            assertThat(file.size()).isEqualTo(far + 1);
            ByteBuffer dst = ByteBuffer.allocateDirect(2);
            assertThat(file.read(dst, far)).isEqualTo(1);
            assertThat(dst.get(0)).isEqualTo((byte) 7);
            assertThat(file.allocatedBytes()).isLessThan(1 << 20);
        }
    }

    @Test
    void holesReadAsZerosAndGiveSpaceBack() throws IOException {
        try (NativeFile file = NativeFile.create(path, 0600)) {
            ByteBuffer ones = ByteBuffer.allocateDirect(1 << 20);
            while (ones.hasRemaining()) {
                ones.put((byte) 1);
            }
            file.write(ones.flip(), 0);
            file.sync();
            long before = file.allocatedBytes();
            assertThat(before).isGreaterThanOrEqualTo(1 << 20);
            assertThat(file.dataBytes(0, 1 << 20)).isEqualTo(1 << 20);
            file.punchHole(4096, 512 << 10);
            assertThat(file.size()).isEqualTo(1 << 20);
            assertThat(before - file.allocatedBytes()).isEqualTo(512 << 10);
            assertThat(file.dataBytes(0, 1 << 20)).isEqualTo(512 << 10);
            assertThat(file.dataBytes(4096, 512 << 10)).isZero();
            file.punchHole(1 << 20, 1 << 20);
            assertThat(file.size()).isEqualTo(1 << 20);
            ByteBuffer dst = ByteBuffer.allocateDirect(1 << 20);
            file.read(dst, 0);
            assertThat(dst.get(4095)).isEqualTo((byte) 1);
            assertThat(dst.get(4096)).isZero();
            assertThat(dst.get(4095 + (512 << 10))).isZero();
            assertThat(dst.get(4096 + (512 << 10))).isEqualTo((byte) 1);
        }
    }

    @Test
    void dataAndHolesAreFound() throws IOException {
        try (NativeFile file = NativeFile.create(path, 0600)) {
            file.truncate(1 << 20);
            file.write(ByteBuffer.allocateDirect(64 << 10), 256 << 10);
            assumeThat(file.dataBytes(0, 1 << 20))
                    .as("the file system keeps holes")
                    .isEqualTo(64 << 10);
            assertThat(file.seekData(5)).isEqualTo(256 << 10);
            assertThat(file.seekData(300 << 10)).isEqualTo(300 << 10);
            assertThat(file.seekData(320 << 10)).isEqualTo(Long.MAX_VALUE);
            assertThat(file.seekData(1 << 20)).isEqualTo(Long.MAX_VALUE);
            assertThat(file.seekHole(5)).isEqualTo(5);
            assertThat(file.seekHole(256 << 10)).isEqualTo(320 << 10);
            assertThat(file.seekHole(1 << 20)).isEqualTo(1 << 20);
            assertThat(file.seekHole(1L << 40)).isEqualTo(1L << 40);
            file.write(ByteBuffer.allocateDirect(1), (1 << 20) - 1);
            assertThat(file.seekHole((1 << 20) - 1)).isEqualTo(1 << 20);
        }
    }

    @Test
    void sizesFollowTruncateAndPreallocate() throws IOException {
        try (NativeFile file = NativeFile.create(path, 0600)) {
            file.truncate(1 << 30);
            assertThat(file.size()).isEqualTo(1 << 30);
            assertThat(file.allocatedBytes()).isZero();
            file.truncate(10);
            assertThat(file.size()).isEqualTo(10);
            file.preallocate(0, 1 << 20);
            assertThat(file.size()).isEqualTo(1 << 20);
            assertThat(file.allocatedBytes()).isGreaterThanOrEqualTo(1 << 20);
            FileStatus status = file.status();
            assertThat(status.isRegular()).isTrue();
            assertThat(status.isBlockDevice()).isFalse();
            assertThat(status.sizeBytes()).isEqualTo(1 << 20);
            assertThat(status.mode() & 0777).isEqualTo(0600);
            assertThat(Instant.ofEpochSecond(status.modifiedSeconds(), status.modifiedNanos()))
                    .isEqualTo(Files.getLastModifiedTime(path).toInstant());
            assertThat(status.inode()).isEqualTo((Long) Files.getAttribute(path, "unix:ino"));
            assertThat(Libc.statx(path)).isEqualTo(status);
        }
    }

    @Test
    void locksConflictBetweenTwoDescriptorsOfOneProcess() throws IOException {
        Files.createFile(path);
        NativeFile a = NativeFile.open(path, Libc.O_RDWR);
        try (NativeFile b = NativeFile.open(path, Libc.O_RDWR)) {
            assertThat(a.tryLock(true)).isTrue();
            assertThat(a.tryLock(true)).isTrue();
            assertThat(b.tryLock(true)).isFalse();
            assertThat(b.tryLock(false)).isFalse();
            // Closing any other descriptor drops a POSIX lock, but not this one.
            NativeFile.open(path, Libc.O_RDWR).close();
            assertThat(b.tryLock(false)).isFalse();
            a.close();
            assertThat(b.tryLock(false)).isTrue();
            try (NativeFile c = NativeFile.open(path, Libc.O_RDONLY)) {
                assertThat(c.tryLock(false)).isTrue();
                assertThat(b.tryLock(true)).isFalse();
            }
            assertThat(b.tryLock(true)).isTrue();
        }
    }

    /** As one has it, for a moment, that is forked off by another thread to start a program. */
    @Test
    void lockEndsThoughAChildHasTheDescriptor() throws IOException {
        int inherited;
        try (NativeFile first = NativeFile.create(path, 0600);
                NativeFile another = first.another()) {
            assertThat(first.tryLock(true)).isTrue();
            inherited = Libc.duplicate(another.fd(), "copy");
        }
        try {
            try (NativeFile next = NativeFile.open(path, Libc.O_RDWR)) {
                assertThat(next.tryLock(true)).isTrue();
            }
        } finally {
            Libc.close(inherited);
        }
    }

    @Test
    void lockIsHeldUntilTheLastDescriptorOfAnOpenFileIsClosed() throws IOException {
        Files.createFile(path);
        try (NativeFile other = NativeFile.open(path, Libc.O_RDWR)) {
            NativeFile first = NativeFile.open(path, Libc.O_RDWR);
            assertThat(first.tryLock(true)).isTrue();
            try (NativeFile another = first.another()) {
                another.write(ByteBuffer.allocateDirect(10), 0);
                first.close();
                assertThat(another.size()).isEqualTo(10);
                assertThat(another.name()).isEqualTo(path.toString());
                assertThat(other.tryLock(false)).isFalse();
            }
            assertThat(other.tryLock(false)).isTrue();
        }
    }

    @Test
    void bytesAreLockedOneByOne() throws IOException {
        Files.createFile(path);
        try (NativeFile a = NativeFile.open(path, Libc.O_RDWR);
                NativeFile b = NativeFile.open(path, Libc.O_RDWR)) {
            assertThat(a.tryLockByte(false, 1L << 62)).isTrue();
            assertThat(b.tryLockByte(false, 1L << 62)).isTrue();
            assertThat(b.tryLockByte(true, 1L << 62)).isFalse();
            assertThat(b.tryLockByte(true, (1L << 62) + 1)).isTrue();
            assertThat(a.tryLock(false)).isFalse();
        }
    }

    @Test
    void failedCallsNameTheFileAndCarryTheirErrno() throws IOException {
        assertErrno(Errno.ENOENT, () -> NativeFile.open(path, Libc.O_RDONLY).close());
        Files.createFile(path);
        assertErrno(Errno.EEXIST, () -> NativeFile.create(path, 0600).close());
        try (NativeFile file = NativeFile.open(path, Libc.O_RDONLY)) {
            assertThat(file.name()).isEqualTo(path.toString());
            assertErrno(Errno.EBADF, () -> file.write(ByteBuffer.allocateDirect(1), 0));
            assertErrno(Errno.EBADF, () -> file.punchHole(0, 1));
            assertErrno(Errno.EINVAL, () -> file.truncate(1));
            assertErrno(Errno.EINVAL, () -> file.read(ByteBuffer.allocateDirect(1), -1));
        }
        assumeThat(Files.exists(Path.of("/dev/full"))).isTrue();
        Path full = Path.of("/dev/full");
        try (NativeFile file = NativeFile.open(full, Libc.O_RDWR)) {
            assertThatThrownBy(() -> file.write(ByteBuffer.allocateDirect(1), 0))
                    .hasMessage("pwrite /dev/full: no space left on device (ENOSPC)");
        }
    }

    @Test
    void closedFileFailsAndClosesOnce() throws IOException {
        NativeFile file = NativeFile.create(path, 0600);
        file.close();
        assertThatCode(file::close).doesNotThrowAnyException();
        assertErrno(Errno.EBADF, () -> file.read(ByteBuffer.allocateDirect(1), 0));
        assertErrno(Errno.EBADF, () -> file.write(ByteBuffer.allocateDirect(1), 0));
        assertErrno(Errno.EBADF, file::sync);
        assertErrno(Errno.EBADF, file::size);
    }

    @Test
    void interruptDisturbsNobody() throws IOException {
        try (NativeFile file = NativeFile.create(path, 0600)) {
            Thread.currentThread().interrupt();
            file.write(ByteBuffer.allocateDirect(10), 0);
            assertThat(file.read(ByteBuffer.allocateDirect(10), 0)).isEqualTo(10);
            assertThat(Thread.interrupted()).isTrue();
        }
    }

    private void assertErrno(int errno, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOf(NativeException.class)
                .hasMessageContaining(path.toString())
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(errno));
    }
}
