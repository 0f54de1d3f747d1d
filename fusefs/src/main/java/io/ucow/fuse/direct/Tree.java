package io.ucow.fuse.direct;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ucow.fuse.ImageFile;
import io.ucow.fuse.direct.abi.Attr;
import io.ucow.fuse.direct.abi.AttrOut;
import io.ucow.fuse.direct.abi.Dirent;
import io.ucow.fuse.direct.abi.EntryOut;
import io.ucow.fuse.direct.abi.InHeader;
import io.ucow.fuse.direct.abi.StatfsOut;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A root directory and its files, as nodes: 1 is the root, 2 the first file, 3 the second. Nodes depend on the files'
 * order alone, so they mean the same to every process that serves a mount in turn.
 *
 * <p>Names are good for an hour, they never change while mounted. Attributes for a second: the kernel drops its copy of
 * {@code blocks} after each change through the mount, and is told when the size has changed; the second bounds what
 * changes underneath.
 *
 * <p>Threading: immutable.
 */
final class Tree {
    /** No node. */
    static final long NONE = 0;

    private static final long FIRST_FILE = 2;
    private static final int ROOT_MODE = 0x4000 | 0555;
    private static final long ENTRY_SECONDS = 3600, ATTR_SECONDS = 1;
    private static final int SECTOR_BYTES = 512, PAGE_BYTES = 4096;
    /** Entries before the first file: {@code .} and {@code ..}. */
    private static final int DOTS = 2;

    private static final byte[] DOT = {'.'}, DOT_DOT = {'.', '.'};

    private final ImageFile[] files;
    private final byte[][] names;
    private final Map<String, Long> nodes = new HashMap<>();
    private final Instant mounted = Instant.now();
    private final int uid = Libc.geteuid();
    private final int gid = Libc.getegid();

    Tree(List<ImageFile> files) {
        this.files = files.toArray(new ImageFile[0]);
        this.names = new byte[this.files.length][];
        for (int i = 0; i < this.files.length; i++) {
            names[i] = this.files[i].name().getBytes(UTF_8);
            nodes.put(this.files[i].name(), FIRST_FILE + i);
        }
    }

    /** The file that is {@code node}; null for the root and for nodes that there are not. */
    ImageFile file(long node) {
        long index = node - FIRST_FILE;
        return index >= 0 && index < files.length ? files[(int) index] : null;
    }

    /** The node of the root's entry {@code name}, or {@link #NONE}. */
    long find(String name) {
        return nodes.getOrDefault(name, NONE);
    }

    /** Puts an {@link AttrOut} at 0. */
    void putAttr(long node, ByteBuffer reply) throws IOException {
        AttrOut.putValid(reply, ATTR_SECONDS);
        putAttr(node, reply, AttrOut.ATTR);
    }

    /** Puts an {@link EntryOut} at {@code at}. */
    void putEntry(long node, ByteBuffer reply, int at) throws IOException {
        EntryOut.put(reply, at, node, ENTRY_SECONDS, ATTR_SECONDS);
        putAttr(node, reply, at + EntryOut.ATTR);
    }

    private void putAttr(long node, ByteBuffer reply, int at) throws IOException {
        Instant time = mounted;
        ImageFile file = file(node);
        if (file != null) {
            ImageFile.Attributes a = file.attributes();
            time = a.modified();
            Attr.put(reply, at, node, a.sizeBytes(), a.blocks(), a.mode(), 1, PAGE_BYTES);
        } else if (node == InHeader.ROOT_ID) {
            Attr.put(reply, at, node, 0, 0, ROOT_MODE, 2, PAGE_BYTES);
        } else {
            throw new NativeException("getattr of node " + node, Errno.ENOENT);
        }
        Attr.putOwner(reply, at, uid, gid);
        Attr.putTimes(reply, at, time.getEpochSecond(), time.getNano());
    }

    /**
     * Puts a {@link StatfsOut}: for a file, so that a loop device on it takes its discard granularity; for the root, the
     * finest of all files.
     *
     * @return its length
     */
    int putStatfs(long node, ByteBuffer reply) {
        ImageFile only = file(node);
        List<ImageFile> shown = only == null ? List.of(files) : List.of(only);
        int blockBytes =
                shown.stream().mapToInt(ImageFile::granularityBytes).min().orElseThrow();
        long sectors = shown.stream().mapToLong(ImageFile::sizeBytes).sum() / SECTOR_BYTES;
        // frsize: Java's O_DIRECT takes it for the alignment it demands; a device needs none.
        StatfsOut.put(reply, sectors, files.length, blockBytes, SECTOR_BYTES, ImageFile.MAX_NAME_BYTES);
        return StatfsOut.SIZE;
    }

    /**
     * Puts {@link Dirent}s from the one numbered {@code offset}, as many as fit.
     *
     * @return their length
     */
    int putEntries(long offset, ByteBuffer reply) {
        int at = 0;
        for (long i = offset; i >= 0 && i < DOTS + files.length; i++) {
            int size = Dirent.sizeFor(name(i).length);
            if (at + size > reply.limit()) {
                break;
            }
            putDirent(i, reply, at);
            at += size;
        }
        return at;
    }

    /** The same, each with an {@link EntryOut} before it. */
    int putEntriesPlus(long offset, ByteBuffer reply) throws IOException {
        int at = 0;
        for (long i = offset; i >= 0 && i < DOTS + files.length; i++) {
            int size = EntryOut.SIZE + Dirent.sizeFor(name(i).length);
            if (at + size > reply.limit()) {
                break;
            }
            if (i < DOTS) {
                reply.put(at, new byte[EntryOut.SIZE]); // node 0: nothing is looked up
            } else {
                putEntry(node(i), reply, at);
            }
            putDirent(i, reply, at + EntryOut.SIZE);
            at += size;
        }
        return at;
    }

    private void putDirent(long number, ByteBuffer reply, int at) {
        int type = number < DOTS ? Dirent.DT_DIR : Dirent.DT_REG;
        Dirent.put(reply, at, node(number), number + 1, type, name(number));
    }

    private byte[] name(long number) {
        return number < DOTS ? (number == 0 ? DOT : DOT_DOT) : names[(int) number - DOTS];
    }

    private static long node(long number) {
        return number < DOTS ? InHeader.ROOT_ID : FIRST_FILE + number - DOTS;
    }
}
