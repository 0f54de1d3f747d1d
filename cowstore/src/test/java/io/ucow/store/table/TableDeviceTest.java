package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.Errno;
import java.io.IOException;
import java.io.StringReader;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TableDeviceTest {
    private static final int SECTOR = Target.SECTOR_BYTES;
    private static final String TABLE = """
            0 16 cow a /base /a 8
            16 5 linear /d 3
            21 1 zero
            22 2 linear /d 40
            24 8 cow b /base /b 8
            32 8 cow a /base /a 8
            40 3 linear /e 0
            """;

    private final MemoryDevice a = MemoryDevice.random(40 * SECTOR, 1);
    private final MemoryDevice b = new MemoryDevice(32 * SECTOR, 64 << 10);
    private final MemoryDevice d = MemoryDevice.random(42 * SECTOR, 2);
    private final MemoryDevice e = MemoryDevice.random(3 * SECTOR, 3);

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void behavesAsOneDevice(long seed) throws IOException {
        TableDevice device = open();
        int size = (int) device.sizeBytes();
        byte[] model = new byte[size];
        System.arraycopy(a.bytes(), 0, model, 0, 16 * SECTOR);
        System.arraycopy(d.bytes(), 3 * SECTOR, model, 16 * SECTOR, 5 * SECTOR);
        System.arraycopy(d.bytes(), 40 * SECTOR, model, 22 * SECTOR, 2 * SECTOR);
        System.arraycopy(a.bytes(), 32 * SECTOR, model, 32 * SECTOR, 8 * SECTOR);
        System.arraycopy(e.bytes(), 0, model, 40 * SECTOR, 3 * SECTOR);
        Random random = new Random(seed);
        ByteBuffer buffer = ByteBuffer.allocateDirect(size + 64);
        for (int i = 0; i < 5000; i++) {
            int offset = random.nextInt(size + 1);
            int length = Math.min(size - offset, random.nextInt(random.nextBoolean() ? size + 1 : 3 * SECTOR));
            int position = random.nextInt(64);
            buffer.clear().position(position).limit(position + length);
            byte[] bytes = new byte[length];
            switch (random.nextInt(4)) {
                case 0 -> {
                    random.nextBytes(bytes);
                    buffer.duplicate().put(bytes);
                    device.write(offset, buffer);
                    assertThat(buffer.position()).isEqualTo(position + length);
                    System.arraycopy(bytes, 0, model, offset, length);
                }
                case 1 -> {
                    device.writeZeroes(offset, length);
                    Arrays.fill(model, offset, offset + length, (byte) 0);
                }
                case 2 -> {
                    device.discard(offset, length);
                    Arrays.fill(model, offset, offset + length, (byte) 0);
                }
                default -> {
                    device.read(offset, buffer);
                    assertThat(buffer.position()).isEqualTo(position + length);
                    buffer.duplicate().position(position).get(bytes);
                    assertThat(bytes).isEqualTo(Arrays.copyOfRange(model, offset, offset + length));
                }
            }
            assertThat(buffer.limit()).isEqualTo(position + length);
            Arrays.fill(model, 21 * SECTOR, 22 * SECTOR, (byte) 0);
        }
    }

    /** The parts behind tell bytes of zero for holes; so must the whole. */
    @Test
    void holesAreThoseOfWhatIsBehind() throws IOException {
        TableDevice device = open();
        int size = (int) device.sizeBytes();
        device.discard(10 * SECTOR, 7 * SECTOR);
        device.discard(35 * SECTOR + 100, 6 * SECTOR);
        ByteBuffer content = ByteBuffer.allocateDirect(size);
        device.read(0, content);
        int data = size;
        int hole = size;
        for (int at = size - 1; at >= 0; at--) {
            data = content.get(at) != 0 ? at : data;
            hole = content.get(at) == 0 ? at : hole;
            assertThat(device.seekData(at)).as("data from %d", at).isEqualTo(data);
            assertThat(device.seekHole(at)).as("hole from %d", at).isEqualTo(hole);
        }
        assertThatThrownBy(() -> device.seekData(size)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> device.seekHole(-1)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void factsAreThoseOfWhatIsBehind() throws IOException {
        TableDevice device = open();
        assertThat(device.sizeBytes()).isEqualTo(43 * SECTOR);
        assertThat(device.granularityBytes()).isEqualTo(64 << 10);
        assertThat(device.isReadOnly()).isFalse();
        assertThat(device.allocatedBytes()).isEqualTo((40 + 32 + 42 + 3) * SECTOR);
        assertThat(device.stores()).containsOnlyKeys("a", "b").containsEntry("a", a);
    }

    @Test
    void granularityWithoutStoresIsAPage() throws IOException {
        assertThat(open("0 8 zero").granularityBytes()).isEqualTo(4096);
    }

    @Test
    void rangesBeyondTheEndAreTheCallersBug() throws IOException {
        TableDevice device = open();
        ByteBuffer two = ByteBuffer.allocateDirect(2);
        assertThatThrownBy(() -> device.read(43 * SECTOR - 1, two)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> device.write(-1, two)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> device.discard(0, 43 * SECTOR + 1)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> device.writeZeroes(1, Long.MAX_VALUE)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void failedPartLeavesTheBuffersLimit() throws IOException {
        TableDevice device = open();
        d.failure = new IOException("broken");
        ByteBuffer buffer = ByteBuffer.allocateDirect(8 * SECTOR);
        assertThatThrownBy(() -> device.read(15 * SECTOR, buffer)).isSameAs(d.failure);
        assertThat(buffer.limit()).isEqualTo(buffer.capacity());
        assertThatThrownBy(() -> device.write(15 * SECTOR, buffer.rewind())).isSameAs(d.failure);
        assertThat(buffer.limit()).isEqualTo(buffer.capacity());
        device.read(24 * SECTOR, buffer.clear());
    }

    @Test
    void requestsAllocateNothing() throws IOException {
        TableDevice device = open();
        ByteBuffer buffer = ByteBuffer.allocateDirect(43 * SECTOR);
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = 0;
        for (int round = 0; round < 2; round++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 20_000; i++) {
                device.read(0, buffer.clear());
                device.write(0, buffer.clear());
                device.discard(0, 43 * SECTOR);
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertThat(allocated).isLessThan(20_000);
    }

    @Test
    void flushReachesEachBackingOnce() throws IOException {
        open().flush();
        assertThat(new int[] {a.flushes, b.flushes, d.flushes, e.flushes}).containsOnly(1);
    }

    @Test
    void failedFlushReachesTheOthersAndEndsChanges() throws IOException {
        TableDevice device = open();
        a.failure = new IOException("a is broken");
        assertThatThrownBy(device::flush).isSameAs(a.failure);
        assertThat(e.flushes).isEqualTo(1);
        a.failure = null;
        assertThatThrownBy(device::flush).satisfies(t -> assertThat(Errno.of(t)).isEqualTo(Errno.EIO));
        assertThatThrownBy(() -> device.write(0, ByteBuffer.allocateDirect(1)))
                .hasMessageStartingWith("write vm after a failed flush");
        device.read(0, ByteBuffer.allocateDirect(1));
    }

    @Test
    void oneReadOnlyPartMakesAllReadOnly() throws IOException {
        e.readOnly = true;
        TableDevice device = open();
        assertThat(device.isReadOnly()).isTrue();
        assertThatThrownBy(() -> device.discard(0, 1))
                .satisfies(t -> assertThat(Errno.of(t)).isEqualTo(Errno.EROFS));
    }

    @Test
    void closeReachesEachBackingOnceDespiteFailures() throws IOException {
        TableDevice device = open();
        a.failure = new IOException("a is broken");
        d.failure = new IOException("d is broken");
        assertThatThrownBy(device::close).isSameAs(a.failure).hasSuppressedException(d.failure);
        device.close();
        assertThat(new int[] {a.closes, b.closes, d.closes, e.closes}).containsOnly(1);
    }

    private TableDevice open() throws IOException {
        return open(TABLE);
    }

    private TableDevice open(String text) throws IOException {
        MemoryOpener opener =
                new MemoryOpener().with("/a", a).with("/b", b).with("/d", d).with("/e", e);
        return TableDevices.open(TableParser.parse(new StringReader(text), "vm.table", "vm"), opener)
                .get("vm");
    }
}
