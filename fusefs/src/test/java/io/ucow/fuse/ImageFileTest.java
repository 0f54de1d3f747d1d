package io.ucow.fuse;

import static io.ucow.sys.Libc.FALLOC_FL_KEEP_SIZE;
import static io.ucow.sys.Libc.FALLOC_FL_PUNCH_HOLE;
import static io.ucow.sys.Libc.FALLOC_FL_ZERO_RANGE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ImageFileTest {
    private static final int SIZE = 1 << 20;
    private static final int PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    private static final int ZERO_KEEP = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

    private final MemoryDevice device = new MemoryDevice(SIZE);
    private final Map<String, Supplier<String>> attributes =
            Map.of("user.ucow.base", () -> "/images/base", "user.ucow.chunk", () -> "65536");
    private final ImageFile file = new ImageFile("vm1", device, attributes);

    private ImageFile readOnlyFile() {
        device.readOnly = true;
        return new ImageFile("vm1", device, attributes);
    }

    private static ByteBuffer buffer(int length) {
        return ByteBuffer.allocateDirect(length);
    }

    @Test
    void readsWhatWasWritten() {
        assertThat(file.write(7, buffer(3).put(new byte[] {1, 2, 3}).flip())).isEqualTo(3);
        ByteBuffer dst = buffer(5);
        assertThat(file.read(6, dst)).isEqualTo(5);
        assertThat(dst.flip()).isEqualTo(ByteBuffer.wrap(new byte[] {0, 1, 2, 3, 0}));
    }

    @ParameterizedTest
    @CsvSource({"1048575,4096,1", "1048576,4096,0", "1048577,1,0", "9223372036854775807,1,0", "0,0,0", "-1,1,0"})
    void readsEndAtTheEnd(long offset, int length, int expected) {
        assertThat(file.read(offset, buffer(length))).isEqualTo(expected);
    }

    @Test
    void writeAcrossTheEndIsShortAndOnePastItIsTooBig() {
        assertThat(file.write(SIZE - 2, buffer(10))).isEqualTo(2);
        assertThat(file.write(SIZE, buffer(1))).isEqualTo(-Errno.EFBIG);
        assertThat(file.write(Long.MAX_VALUE, buffer(1))).isEqualTo(-Errno.EFBIG);
        assertThat(file.write(SIZE, buffer(0))).isZero();
        assertThat(device.calls).containsExactly("write 1048574+2");
    }

    @Test
    void punchingDiscardsAndIsCutAtTheEnd() {
        assertThat(file.fallocate(PUNCH, 4096, 8192)).isZero();
        assertThat(file.fallocate(PUNCH, SIZE - 512, 4096)).isZero();
        assertThat(file.fallocate(PUNCH, SIZE, 4096)).isZero();
        assertThat(file.fallocate(PUNCH, 0, Long.MAX_VALUE)).isZero();
        assertThat(device.calls).containsExactly("discard 4096+8192", "discard 1048064+512", "discard 0+1048576");
        assertThat(file.stats().discards()).isEqualTo(3);
    }

    @Test
    void zeroingWritesZeroesAndNeverGrows() {
        assertThat(file.fallocate(FALLOC_FL_ZERO_RANGE, 512, 512)).isZero();
        assertThat(file.fallocate(ZERO_KEEP, SIZE - 512, 4096)).isZero();
        assertThat(file.fallocate(FALLOC_FL_ZERO_RANGE, SIZE - 512, 4096)).isEqualTo(-Errno.EFBIG);
        assertThat(device.calls).containsExactly("writeZeroes 512+512", "writeZeroes 1048064+512");
        assertThat(file.stats().zeroes()).isEqualTo(2);
    }

    /** Preallocation, punching without KEEP_SIZE, COLLAPSE_RANGE, INSERT_RANGE, UNSHARE_RANGE, two modes at once. */
    @ParameterizedTest
    @ValueSource(ints = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, 0x08, 0x20, 0x40, 0x41, PUNCH | ZERO_KEEP})
    void otherModesAreNotSupported(int mode) {
        assertThat(file.fallocate(mode, 0, 4096)).isEqualTo(-Errno.EOPNOTSUPP);
        assertThat(device.calls).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"-1,4096", "0,0", "0,-1"})
    void senselessRangesAreInvalid(long offset, long length) {
        assertThat(file.fallocate(PUNCH, offset, length)).isEqualTo(-Errno.EINVAL);
    }

    @Test
    void readOnlyFileRefusesEveryChange() throws IOException {
        ImageFile readOnly = readOnlyFile();
        assertThat(readOnly.open(Libc.O_RDONLY)).isZero();
        assertThat(readOnly.open(Libc.O_RDWR)).isEqualTo(-Errno.EROFS);
        assertThat(readOnly.write(0, buffer(1))).isEqualTo(-Errno.EROFS);
        assertThat(readOnly.fallocate(PUNCH, 0, 1)).isEqualTo(-Errno.EROFS);
        assertThat(readOnly.fsync()).isZero();
        assertThat(readOnly.read(0, buffer(1))).isEqualTo(1);
        assertThat(readOnly.attributes().mode()).isEqualTo(0100400);
        assertThat(device.calls).containsExactly("read 0+1");
    }

    @Test
    void seekingAnswersAsLseekDoes() {
        assertThat(file.seek(5, Libc.SEEK_DATA)).isEqualTo(5);
        assertThat(file.seek(5, Libc.SEEK_HOLE)).isEqualTo(SIZE / 4);
        assertThat(file.seek(SIZE - 1, Libc.SEEK_HOLE)).isEqualTo(SIZE - 1);
        assertThat(file.seek(SIZE - 1, Libc.SEEK_DATA)).isEqualTo(-Errno.ENXIO);
        for (int whence : new int[] {Libc.SEEK_DATA, Libc.SEEK_HOLE}) {
            for (long offset : new long[] {-1, SIZE, Long.MAX_VALUE}) {
                assertThat(file.seek(offset, whence)).isEqualTo(-Errno.ENXIO);
            }
        }
        assertThat(file.stats().errors()).isZero();
        for (int whence : new int[] {-1, 0, 1, 2, 5}) {
            assertThat(file.seek(0, whence)).isEqualTo(-Errno.EINVAL);
        }
        device.failure = new NativeException("lseek", Errno.EIO);
        assertThat(file.seek(0, Libc.SEEK_DATA)).isEqualTo(-Errno.EIO);
    }

    @Test
    void sizeCannotBeChanged() {
        assertThat(file.truncate(SIZE)).isZero();
        assertThat(file.truncate(SIZE + 1)).isEqualTo(-Errno.EPERM);
        assertThat(file.truncate(0)).isEqualTo(-Errno.EPERM);
    }

    @Test
    void attributesShowWhatIsAllocated() throws IOException {
        ImageFile.Attributes shown = file.attributes();
        assertThat(shown.mode()).isEqualTo(0100600);
        assertThat(shown.sizeBytes()).isEqualTo(SIZE);
        assertThat(shown.blocks()).isEqualTo(2);
        assertThat(file.granularityBytes()).isEqualTo(MemoryDevice.GRANULARITY);
    }

    @Test
    void failuresOfTheDeviceBecomeErrnosAndLaterRequestsGoOn() {
        device.failure = new NativeException("pwrite store", Errno.ENOSPC);
        assertThat(file.write(0, buffer(1))).isEqualTo(-Errno.ENOSPC);
        device.failure = new IOException("chunk 7 is damaged");
        assertThat(file.read(0, buffer(1))).isEqualTo(-Errno.EIO);
        device.failure = new IllegalStateException("a bug");
        assertThat(file.fsync()).isEqualTo(-Errno.EIO);
        device.failure = new AssertionError("another bug");
        assertThat(file.fallocate(PUNCH, 0, 1)).isEqualTo(-Errno.EIO);
        device.failure = null;
        assertThat(file.fsync()).isZero();
        FileStats stats = file.stats();
        assertThat(stats.errors()).isEqualTo(4);
        assertThat(stats.writes()).isZero();
        assertThat(stats.flushes()).isEqualTo(1);
    }

    @Test
    void extendedAttributesAnswerTheirLengthThenTheirValue() {
        assertThat(file.getxattr("user.ucow.base", buffer(0))).isEqualTo(12);
        assertThat(file.getxattr("user.ucow.base", buffer(11))).isEqualTo(-Errno.ERANGE);
        ByteBuffer value = buffer(20);
        assertThat(file.getxattr("user.ucow.base", value)).isEqualTo(12);
        assertThat(UTF_8.decode(value.flip()).toString()).isEqualTo("/images/base");
        assertThat(file.getxattr("security.capability", buffer(20))).isEqualTo(-Errno.ENODATA);
        ByteBuffer names = buffer(64);
        assertThat(file.listxattr(buffer(0))).isEqualTo(31);
        assertThat(file.listxattr(names)).isEqualTo(31);
        assertThat(UTF_8.decode(names.flip()).toString()).isEqualTo("user.ucow.base\0user.ucow.chunk\0");
    }

    @Test
    void statsCountRequestsAndBytes() {
        file.write(0, buffer(4096));
        file.read(0, buffer(512));
        file.read(SIZE, buffer(512));
        file.fsync();
        FileStats stats = file.stats();
        assertThat(stats.writes()).isEqualTo(1);
        assertThat(stats.writtenBytes()).isEqualTo(4096);
        assertThat(stats.reads()).isEqualTo(1);
        assertThat(stats.readBytes()).isEqualTo(512);
        assertThat(stats.flushes()).isEqualTo(1);
        FileStats.Latency latency = stats.writeLatency();
        assertThat(latency.p50Micros()).isPositive();
        assertThat(latency.maxMicros()).isGreaterThanOrEqualTo(latency.p999Micros());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", "a/b", "a\0b"})
    void namesMustBeNamesOfFiles(String name) {
        assertThatThrownBy(() -> new ImageFile(name, device, Map.of())).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void longNamesAreRefused() {
        assertThatThrownBy(() -> new ImageFile("\u00e9".repeat(128), device, Map.of()))
                .hasMessageContaining("255 bytes");
    }
}
