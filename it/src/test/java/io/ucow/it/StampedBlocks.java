package io.ucow.it;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.CountDownLatch;

/**
 * What is known of a device's blocks while threads write them: for each the last change that was acknowledged, and the
 * one that was asked for and perhaps was not. Each block is changed by one thread; neighbours, which share a chunk, by
 * different ones.
 *
 * <p>Threading: {@link #change} by any number of threads, each with another {@code writer}; the rest when none runs.
 */
final class StampedBlocks {
    private static final int PART = 1 << 20;
    /** A change by which the block became zeros has its number negative; 0 is the base's content. */
    private final long[] acknowledged;

    private final long[] asked;
    private final Path base;

    /** @param base with as many bytes as the device, and no block of them all zeros */
    StampedBlocks(Path base, long bytes) {
        this.base = base;
        this.acknowledged = new long[Math.toIntExact(bytes / DirectFile.BLOCK)];
        this.asked = new long[acknowledged.length];
    }

    /**
     * Changes random blocks until the device fails.
     *
     * @param acknowledgements counted down by each
     * @return why it failed
     */
    IOException change(Path file, int writer, int writers, Random random, CountDownLatch acknowledgements) {
        try (DirectFile device = DirectFile.open(file)) {
            while (true) {
                // Half of the changes go to an eighth of the blocks, so that both first writes and later ones happen.
                int range = random.nextBoolean() ? asked.length : asked.length / 8;
                int block = random.nextInt(range / writers) * writers + writer;
                long number = Math.abs(asked[block]) + 1;
                boolean zeros = random.nextInt(8) == 0;
                asked[block] = zeros ? -number : number;
                long offset = (long) block * DirectFile.BLOCK;
                if (zeros) {
                    device.punch(offset, DirectFile.BLOCK);
                } else {
                    device.write(offset, content(block, number));
                }
                acknowledged[block] = asked[block];
                acknowledgements.countDown();
                if (random.nextInt(300) == 0) {
                    device.sync();
                }
            }
        } catch (IOException e) {
            return e;
        }
    }

    /** Counts blocks that have been changed at least once, for sure. */
    long changedBlocks() {
        return Arrays.stream(acknowledged).filter(n -> n != 0).count();
    }

    /**
     * Compares every block, and takes for acknowledged what it finds.
     *
     * @throws AssertionError if one holds anything but its last acknowledged change or the one asked for after that
     */
    void verify(Path file) throws IOException {
        try (FileChannel found = FileChannel.open(file);
                FileChannel origin = FileChannel.open(base)) {
            byte[] part = new byte[PART];
            byte[] originPart = new byte[PART];
            for (int block = 0; block < acknowledged.length; block++) {
                int at = (int) ((long) block * DirectFile.BLOCK % PART);
                if (at == 0) {
                    readPart(found, part, (long) block * DirectFile.BLOCK);
                    readPart(origin, originPart, (long) block * DirectFile.BLOCK);
                }
                byte[] bytes = Arrays.copyOfRange(part, at, at + DirectFile.BLOCK);
                byte[] originBytes = Arrays.copyOfRange(originPart, at, at + DirectFile.BLOCK);
                if (!Arrays.equals(bytes, expected(block, acknowledged[block], originBytes))) {
                    if (!Arrays.equals(bytes, expected(block, asked[block], originBytes))) {
                        throw new AssertionError("block " + block + " holds " + describe(bytes, originBytes)
                                + "; acknowledged was change " + acknowledged[block] + ", asked for " + asked[block]);
                    }
                    acknowledged[block] = asked[block];
                }
                asked[block] = acknowledged[block];
            }
        }
    }

    private static void readPart(FileChannel channel, byte[] part, long offset) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(part);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, offset + buffer.position()) < 0) {
                throw new AssertionError("end of file within " + offset + " + " + part.length);
            }
        }
    }

    private static byte[] expected(int block, long change, byte[] origin) {
        if (change == 0) {
            return origin;
        }
        return change < 0 ? new byte[DirectFile.BLOCK] : content(block, change);
    }

    /** No 8 bytes of it occur in another block, or after another change of this one. */
    private static byte[] content(int block, long change) {
        ByteBuffer words = ByteBuffer.allocate(DirectFile.BLOCK);
        words.putLong(block).putLong(change);
        long state = (long) block << 32 ^ change ^ 0x9e3779b97f4a7c15L;
        while (words.hasRemaining()) {
            state ^= state << 13;
            state ^= state >>> 7;
            state ^= state << 17;
            words.putLong(state);
        }
        return words.array();
    }

    private static String describe(byte[] bytes, byte[] origin) {
        if (Arrays.equals(bytes, origin)) {
            return "the base's bytes";
        }
        if (Arrays.equals(bytes, new byte[bytes.length])) {
            return "zeros";
        }
        ByteBuffer words = ByteBuffer.wrap(bytes);
        long block = words.getLong();
        long change = words.getLong();
        boolean whole = block == (int) block && Arrays.equals(bytes, content((int) block, change));
        return (whole ? "all" : "parts") + " of block " + block + " after change " + change;
    }
}
