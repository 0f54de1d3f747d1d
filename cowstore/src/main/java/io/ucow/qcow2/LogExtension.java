package io.ucow.qcow2;

import io.ucow.store.Zeros;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.UUID;
import java.util.zip.CRC32C;

/**
 * The header extension that says where the {@link PendingLog} is. It counts only while the autoclear feature bit {@link
 * Header#PENDING_LOG} is set, which every program that does not know it clears before it changes the image. Its data, 48
 * bytes, big-endian:
 * <pre>
 *    0 u64 offset of the log, on a cluster boundary    8 u32 its bytes    12 u32 0
 *   16 boot id of the machine that wrote it, 16 bytes
 *   32 u64 salt of the log's checksums                40 u32 0            44 u32 CRC32C of bytes 0..43
 * </pre>
 *
 * <p>Threading: immutable.
 *
 * @param offset of the log in the file, in bytes
 * @param bytes that it has, {@code 512..MAX_BYTES}
 * @param bootId the boot in which its records count
 * @param salt what sets its records apart from any that were there before
 */
record LogExtension(long offset, int bytes, UUID bootId, long salt) {
    /** Most bytes of a log. */
    static final int MAX_BYTES = 1 << 20;

    private static final int TYPE = 0x75636f77;
    private static final int HEAD = HeaderExtensions.HEAD_BYTES;
    private static final int DATA = 48;
    private static final int CRC_AT = 44;

    /** Reads it. @return null if there is none that counts */
    static LogExtension read(PositionalFile file, Qcow2Image image) throws IOException {
        Header header = image.header();
        if ((header.autoclearFeatures() & Header.PENDING_LOG) == 0) {
            return null;
        }
        ByteBuffer block = Qcow2Image.readAt(file, 0, header.clusterSize());
        int at = find(block, header.headerLength(), areaEnd(block));
        if (!isAt(block, at)) {
            return null;
        }
        ByteBuffer data = block.slice(at + HEAD, DATA).order(ByteOrder.BIG_ENDIAN);
        LogExtension found = new LogExtension(
                data.getLong(0), data.getInt(8), new UUID(data.getLong(16), data.getLong(24)), data.getLong(32));
        boolean valid = data.getInt(CRC_AT) == checksum(data)
                && found.bytes >= 512
                && found.bytes <= MAX_BYTES
                && found.offset > 0
                && (found.offset & (header.clusterSize() - 1)) == 0
                && found.offset <= file.size() - found.bytes;
        return valid ? found : null;
    }

    /** Whether the header names a log, which may not count any more. */
    static boolean isNamed(ByteBuffer block, Header header) {
        return isAt(block, find(block, header.headerLength(), areaEnd(block)));
    }

    private static int checksum(ByteBuffer data) {
        CRC32C crc = new CRC32C();
        crc.update(data.duplicate().position(0).limit(CRC_AT));
        return (int) crc.getValue();
    }

    /** Where the area of extensions must end: at the backing file's name, or with the cluster. */
    private static int areaEnd(ByteBuffer block) {
        long name = block.getLong(Header.BACKING_FILE_OFFSET_AT);
        return name >= block.getInt(Header.LENGTH_AT) ? (int) name : block.capacity();
    }

    /** Where this extension is, or else the area's end mark is or would have to be. */
    private static int find(ByteBuffer block, int from, int end) {
        int at = from;
        while (end - at >= HEAD && block.getInt(at) != HeaderExtensions.END && block.getInt(at) != TYPE) {
            at += HEAD + HeaderExtensions.padded(block.getInt(at + 4));
        }
        return at;
    }

    /**
     * Enters it in the header, in place of one that is there; the log itself and what counts its clusters become durable
     * before. Cut off by power loss anywhere, this leaves a header that reads as before.
     *
     * @return false, with nothing changed, if there is no room
     */
    boolean announce(PositionalFile file, Qcow2Image image) throws IOException {
        ByteBuffer block = Qcow2Image.readAt(file, 0, image.header().clusterSize());
        int at = find(block, image.header().headerLength(), areaEnd(block));
        boolean isThere = isAt(block, at);
        int end = at + HEAD + DATA;
        if (!isThere && areaEnd(block) - at < HEAD + DATA + HEAD) {
            end = moveName(file, block, end + HEAD);
            if (end == 0) {
                return false;
            }
        }
        // What follows must not be taken for an extension: there are zeros before this one is there.
        ByteBuffer data = ByteBuffer.allocateDirect(isThere ? DATA : Math.max(DATA + HEAD, end - at - HEAD))
                .order(ByteOrder.BIG_ENDIAN);
        data.putLong(0, offset).putInt(8, bytes);
        data.putLong(16, bootId.getMostSignificantBits()).putLong(24, bootId.getLeastSignificantBits());
        data.putLong(32, salt);
        data.putInt(CRC_AT, checksum(data));
        file.write(data, at + HEAD);
        file.sync();
        ByteBuffer word = ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.BIG_ENDIAN);
        file.write(word.putInt(0, TYPE).putInt(4, DATA), at);
        long features = block.getLong(Header.AUTOCLEAR_AT) | Header.PENDING_LOG;
        file.write(word.clear().putLong(0, features), Header.AUTOCLEAR_AT);
        return true;
    }

    private static boolean isAt(ByteBuffer block, int at) {
        return areaEnd(block) - at >= HEAD + DATA && block.getInt(at) == TYPE && block.getInt(at + 4) == DATA;
    }

    /**
     * Moves the backing file's name to the end of the header's cluster, past {@code from}; each step is durable before the
     * next, and one field in one sector says where it is.
     *
     * @return where it ended before; 0, with nothing changed, if there is no room
     */
    private static int moveName(PositionalFile file, ByteBuffer block, int from) throws IOException {
        int old = (int) block.getLong(Header.BACKING_FILE_OFFSET_AT);
        int length = block.getInt(Header.BACKING_FILE_SIZE_AT);
        int moved = block.capacity() - length & ~7;
        if (old < block.getInt(Header.LENGTH_AT) || moved < Math.max(from, old + length)) {
            return 0;
        }
        file.write(block.slice(old, length), moved);
        file.sync();
        ByteBuffer word = ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.BIG_ENDIAN);
        file.write(word.putLong(0, moved), Header.BACKING_FILE_OFFSET_AT);
        file.sync();
        return old + length;
    }

    /** Takes the extension and its feature bit away. */
    static void withdraw(PositionalFile file, Qcow2Image image) throws IOException {
        ByteBuffer block = Qcow2Image.readAt(file, 0, image.header().clusterSize());
        ByteBuffer word = ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.BIG_ENDIAN);
        word.putLong(0, block.getLong(Header.AUTOCLEAR_AT) & ~Header.PENDING_LOG);
        file.write(word, Header.AUTOCLEAR_AT);
        int at = find(block, image.header().headerLength(), areaEnd(block));
        if (isAt(block, at)) {
            int next = at + HEAD + DATA;
            boolean isLast = areaEnd(block) - next < HEAD || block.getInt(next) == HeaderExtensions.END;
            // Another program may have put one behind it; then it stays, without a meaning.
            int from = isLast ? at : at + HEAD;
            Zeros.write(file, from, next - from);
        }
    }
}
