package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What follows the header: a type and a length of 4 bytes each, the data, padding to 8 bytes; type 0 ends it. Of those
 * this program has no use for only the feature names are kept, to say what it is that it does not know.
 *
 * @param backingFormat the backing file's format; empty if none is recorded
 * @param dataFile name of the external data file; empty if none is recorded
 * @param featureNames by {@link #featureKey}
 * @param bitmaps how many persistent bitmaps there are
 * @param bitmapDirectoryOffset where they are described, in bytes
 * @param bitmapDirectorySize bytes that this takes
 */
record HeaderExtensions(
        Optional<String> backingFormat,
        Optional<String> dataFile,
        Map<Integer, String> featureNames,
        int bitmaps,
        long bitmapDirectoryOffset,
        long bitmapDirectorySize) {
    /** Type and length of each. */
    static final int HEAD_BYTES = 8;

    static final int END = 0;
    static final int BACKING_FORMAT = 0xe2792aca;
    static final int FEATURE_NAMES = 0x6803f857;
    static final int BITMAPS = 0x23852875;
    static final int DATA_FILE = 0x44415441;

    /** Feature types of the name table. */
    static final int INCOMPATIBLE = 0;

    private static final int FEATURE_BYTES = 48;
    private static final int BITMAPS_BYTES = 24;

    /**
     * @param block big-endian; the area is from its position to its limit
     * @param name the image's, for messages
     */
    static HeaderExtensions decode(ByteBuffer block, String name) throws CorruptStoreException {
        Optional<String> format = Optional.empty();
        Optional<String> dataFile = Optional.empty();
        Map<Integer, String> names = new HashMap<>();
        int bitmaps = 0;
        long directoryOffset = 0;
        long directorySize = 0;
        while (block.remaining() >= HEAD_BYTES) {
            int at = block.position();
            int type = block.getInt();
            int length = block.getInt();
            if (length < 0 || length > block.remaining()) {
                throw new CorruptStoreException(name + " at 0x" + Integer.toHexString(at) + ": header extension 0x"
                        + Integer.toHexString(type) + " has " + Integer.toUnsignedString(length)
                        + " bytes, and only " + block.remaining() + " follow before the backing file's name or the"
                        + " cluster's end");
            }
            if (type == END) {
                break;
            }
            int data = block.position();
            if (type == BACKING_FORMAT) {
                format = Optional.of(text(block, data, length));
            } else if (type == DATA_FILE) {
                dataFile = Optional.of(text(block, data, length));
            } else if (type == FEATURE_NAMES) {
                for (int i = 0; i + FEATURE_BYTES <= length; i += FEATURE_BYTES) {
                    int key = featureKey(block.get(data + i), block.get(data + i + 1));
                    names.put(key, printable(text(block, data + i + 2, FEATURE_BYTES - 2)));
                }
            } else if (type == BITMAPS && length >= BITMAPS_BYTES) {
                bitmaps = block.getInt(data);
                directorySize = block.getLong(data + 8);
                directoryOffset = block.getLong(data + 16);
            }
            block.position(Math.min(block.limit(), data + padded(length)));
        }
        return new HeaderExtensions(format, dataFile, Map.copyOf(names), bitmaps, directoryOffset, directorySize);
    }

    /** What {@code length} bytes of data take. */
    static int padded(int length) {
        return length + 7 & ~7;
    }

    /** What a feature is known by in {@link #featureNames}. */
    static int featureKey(int type, int bit) {
        return (type & 0xff) << 8 | (bit & 0xff);
    }

    private static String text(ByteBuffer block, int at, int length) {
        byte[] bytes = new byte[length];
        block.get(at, bytes);
        String text = new String(bytes, StandardCharsets.UTF_8);
        int end = text.indexOf('\0');
        return end < 0 ? text : text.substring(0, end);
    }

    private static String printable(String text) {
        return text.replaceAll("\\p{Cntrl}", "?");
    }
}
