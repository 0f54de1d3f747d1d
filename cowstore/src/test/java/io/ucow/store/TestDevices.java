package io.ucow.store;

import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;

/** Devices whose parts are chosen by the test. */
public final class TestDevices {
    public static final UUID BOOT = new UUID(0x1111, 0x2222);
    public static final UUID NEXT_BOOT = new UUID(0x3333, 0x4444);

    private TestDevices() {}

    /** A device over {@code origin} and the store in {@code file}, with no thread of its own. */
    public static CowDevice open(ExceptionStoreProvider plugin, PositionalFile file, Origin origin, UUID boot)
            throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(false, boot, readers, false);
        return new CowDevice(plugin.open(file, Path.of(file.name()), context), origin, readers, false);
    }

    /** A device over a store that the caller opened itself, without a thread of its own. */
    public static CowDevice over(ExceptionStore store, Origin origin, GracePeriod readers) {
        return new CowDevice(store, origin, readers, false);
    }

    /** As {@link #open}, with detection of zeros. */
    public static CowDevice openDetecting(ExceptionStoreProvider plugin, PositionalFile file, Origin origin, UUID boot)
            throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(false, boot, readers, false);
        return new CowDevice(plugin.open(file, Path.of(file.name()), context), origin, readers, true);
    }

    /** As {@link #open}, read-only. */
    public static CowDevice openReadOnly(ExceptionStoreProvider plugin, PositionalFile file, Origin origin, UUID boot)
            throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(true, boot, readers, false);
        return new CowDevice(plugin.open(file, Path.of(file.name()), context), origin, readers, false);
    }

    /** Packs all that can be, of a store that compresses: what the thread does that a test's device does not have. */
    public static void packAll(CowDevice device) throws IOException {
        device.packAll();
    }

    /** Moves those of {@code chunks} that have a slot to another one, but not those being changed. @return how many */
    public static int move(CowDevice device, long... chunks) throws IOException {
        return device.relocate(chunks, chunks.length, device.slotMover(0, Long.MAX_VALUE));
    }

    /** Makes the device's file as short as it can be. */
    public static CompactReport compact(CowDevice device) throws IOException {
        return device.compact((moved, total) -> {});
    }

    /** An origin over bytes. */
    public static Origin origin(byte[] bytes) {
        return new Origin() {
            @Override
            public long sizeBytes() {
                return bytes.length;
            }

            @Override
            public void read(ByteBuffer dst, long offset) {
                int n = (int) Math.max(0, Math.min(dst.remaining(), bytes.length - offset));
                if (n > 0) {
                    dst.put(bytes, (int) offset, n);
                }
                while (dst.hasRemaining()) {
                    dst.put((byte) 0);
                }
            }

            @Override
            public void close() {}
        };
    }

    /** A direct buffer with these bytes, ready to be read from. */
    public static ByteBuffer direct(byte[] bytes, int from, int length) {
        return ByteBuffer.allocateDirect(length).put(bytes, from, length).flip();
    }

    /** The device's content in the range. */
    public static byte[] read(BlockDevice device, long offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(length);
        device.read(offset, buffer);
        byte[] bytes = new byte[length];
        buffer.flip().get(bytes);
        return bytes;
    }
}
