package io.ucow.qcow2;

import io.ucow.store.OriginReference;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Records another backing file in a header. All that says which it is, the format's extension and the name or where the name
 * is, goes into the file's first sector, in one write: power loss leaves the old one or the new one. The other extensions stay;
 * only the table of feature names, which is for messages alone, is left out to make room. A name that does not fit there is
 * written elsewhere in the first cluster, and made durable, before that.
 *
 * <p>Threading: for one thread.
 */
final class BackingName {
    private static final int SECTOR = 512;
    private static final int EXTENSION_HEAD = HeaderExtensions.HEAD_BYTES;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final Header header;
    private final ByteBuffer old;
    /** The first sector as it is to be. */
    private final ByteBuffer fresh = ByteBuffer.allocateDirect(SECTOR).order(ByteOrder.BIG_ENDIAN);

    private BackingName(PositionalFile file, Qcow2Image image) throws IOException {
        this.file = file;
        this.image = image;
        this.header = image.header();
        this.old = Qcow2Image.readAt(file, 0, header.clusterSize());
    }

    /**
     * Records it, durably.
     *
     * @param origin the new one; null for none
     * @throws IOException if there is no room for the name; nothing was changed then
     */
    static void record(PositionalFile file, Qcow2Image image, OriginReference origin) throws IOException {
        if (origin != null && image.header().hasRawExternalData()) {
            throw new UnsupportedFormatException(image.image()
                    + ": its data file is raw, and holds all of the disk; such an image can have no base");
        }
        new BackingName(file, image).write(origin);
    }

    private void write(OriginReference origin) throws IOException {
        requireRoom(header.headerLength());
        fresh.put(old.duplicate().limit(header.headerLength()));
        if (origin != null) {
            byte[] format = NewImage.format(origin, image.image()).getBytes(StandardCharsets.US_ASCII);
            putExtension(HeaderExtensions.BACKING_FORMAT, ByteBuffer.wrap(format));
        }
        int oldEnd = copyExtensions();
        requireRoom(EXTENSION_HEAD);
        int end = fresh.position() + EXTENSION_HEAD; // after the mark of the extensions' end, which is zeros
        fresh.putLong(Header.BACKING_FILE_OFFSET_AT, 0).putInt(Header.BACKING_FILE_SIZE_AT, 0);
        if (origin != null) {
            byte[] name = NewImage.spelled(origin.path()).getBytes(StandardCharsets.UTF_8);
            int at = placeOf(name.length, end, oldEnd);
            if (at + name.length <= SECTOR) {
                fresh.put(at, name);
            } else {
                file.write(ByteBuffer.allocateDirect(name.length).put(name).flip(), at);
                file.sync();
            }
            fresh.putLong(Header.BACKING_FILE_OFFSET_AT, at).putInt(Header.BACKING_FILE_SIZE_AT, name.length);
        }
        file.write(fresh.clear(), 0);
        file.sync();
    }

    /** Copies those that stay. @return where the old ones end */
    private int copyExtensions() throws IOException {
        int limit = header.backingFileOffset() >= header.headerLength()
                ? (int) header.backingFileOffset()
                : header.clusterSize();
        int at = header.headerLength();
        while (limit - at >= EXTENSION_HEAD && old.getInt(at) != HeaderExtensions.END) {
            int type = old.getInt(at);
            int length = old.getInt(at + 4);
            if (type != HeaderExtensions.BACKING_FORMAT && type != HeaderExtensions.FEATURE_NAMES) {
                putExtension(type, old.slice(at + EXTENSION_HEAD, length));
            }
            at += EXTENSION_HEAD + HeaderExtensions.padded(length);
        }
        return Math.min(limit, at + EXTENSION_HEAD);
    }

    private void putExtension(int type, ByteBuffer data) throws IOException {
        int padded = HeaderExtensions.padded(data.remaining());
        requireRoom(EXTENSION_HEAD + padded);
        int at = fresh.position();
        fresh.putInt(type).putInt(data.remaining()).put(data).position(at + EXTENSION_HEAD + padded);
    }

    private void requireRoom(int bytes) throws IOException {
        if (fresh.remaining() < bytes) {
            throw new UnsupportedFormatException(
                    image.image() + ": its header has more extensions than there is room for"
                            + " in 512 bytes, beside what says of its base; nothing was changed; use: qemu-img rebase");
        }
    }

    /** Where a name can be written that nothing old is overwritten by, but for the first sector. */
    private int placeOf(int length, int end, int oldEnd) throws IOException {
        if (length <= BackingFile.MAX_NAME_BYTES) {
            if (end + length <= SECTOR) {
                return end;
            }
            int oldName = (int) header.backingFileOffset();
            int behind = Math.max(SECTOR, Math.max(oldEnd, oldName + header.backingFileSize()) + 7 & ~7);
            if (behind + length <= header.clusterSize()) {
                return behind;
            }
            if (oldEnd <= SECTOR && SECTOR + length <= oldName) {
                return SECTOR;
            }
        }
        throw new IOException(image.image() + ": the base's path is " + length
                + " bytes long, and there is no room for it in the header; nothing was changed; put the base nearer to the"
                + " image");
    }
}
