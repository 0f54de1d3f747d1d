package io.ucow.fuse.direct;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.fuse.ImageFile;
import io.ucow.fuse.MemoryDevice;
import io.ucow.fuse.direct.abi.Attr;
import io.ucow.fuse.direct.abi.AttrOut;
import io.ucow.fuse.direct.abi.Dirent;
import io.ucow.fuse.direct.abi.EntryOut;
import io.ucow.fuse.direct.abi.FallocateIn;
import io.ucow.fuse.direct.abi.GetxattrIn;
import io.ucow.fuse.direct.abi.GetxattrOut;
import io.ucow.fuse.direct.abi.InHeader;
import io.ucow.fuse.direct.abi.LseekIn;
import io.ucow.fuse.direct.abi.LseekOut;
import io.ucow.fuse.direct.abi.Opcode;
import io.ucow.fuse.direct.abi.OpenIn;
import io.ucow.fuse.direct.abi.OpenOut;
import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.fuse.direct.abi.ReadIn;
import io.ucow.fuse.direct.abi.SetattrIn;
import io.ucow.fuse.direct.abi.StatfsOut;
import io.ucow.fuse.direct.abi.WriteIn;
import io.ucow.fuse.direct.abi.WriteOut;
import io.ucow.store.CacheMode;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests as bytes, without a kernel. */
class DispatcherTest {
    private static final int SIZE = 1 << 20;
    private static final int MAX_PAYLOAD = 64 << 10;
    private static final long ROOT = InHeader.ROOT_ID, VM1 = 2, VM2 = 3, NOBODY = 4;

    private final MemoryDevice first = new MemoryDevice(SIZE);
    private final MemoryDevice second = new MemoryDevice(2 * SIZE);
    private Exchange kernel;

    @BeforeEach
    void open() throws NativeException {
        second.readOnly = true;
        kernel = new Exchange(dispatcher(CacheMode.WRITEBACK), MAX_PAYLOAD);
    }

    private Dispatcher dispatcher(CacheMode cache) {
        return new Dispatcher(
                new Tree(List.of(
                        new ImageFile("vm1", first, Map.of("user.ucow.base", () -> "/base", "user.ucow.id", () -> "7")),
                        new ImageFile("disk two", second, Map.of()))),
                cache);
    }

    @AfterEach
    void release() throws NativeException {
        kernel.close();
    }

    private int read(long node, long offset, int size) {
        return kernel.ask(Opcode.READ, node, ReadIn.SIZE, b -> putRange(b, offset, size));
    }

    private int write(long node, long offset, byte[] payload) {
        return kernel.ask(Opcode.WRITE, node, WriteIn.SIZE + payload.length, b -> {
            b.putLong(WriteIn.OFFSET, offset).putInt(WriteIn.LENGTH, payload.length);
            b.put(WriteIn.SIZE, payload);
        });
    }

    private static void putRange(ByteBuffer body, long offset, int size) {
        body.putLong(ReadIn.OFFSET, offset).putInt(ReadIn.LENGTH, size);
    }

    private byte[] replied() {
        byte[] bytes = new byte[kernel.bodyLength()];
        kernel.body().get(bytes);
        return bytes;
    }

    @Test
    void writesAndReads() {
        assertThat(write(VM1, 4096, "data".getBytes(UTF_8))).isZero();
        assertThat(kernel.bodyLength()).isEqualTo(WriteOut.SIZE);
        assertThat(kernel.body().getInt(WriteOut.WRITTEN)).isEqualTo(4);

        assertThat(read(VM1, 4095, 6)).isZero();
        assertThat(replied()).containsExactly(0, 'd', 'a', 't', 'a', 0);
        assertThat(first.calls).containsExactly("write 4096+4", "read 4095+6");
    }

    @Test
    void theLongestPayloadPasses() {
        byte[] payload = "0123456789abcdef".repeat(MAX_PAYLOAD / 16).getBytes(UTF_8);
        assertThat(write(VM1, 512, payload)).isZero();
        assertThat(read(VM1, 512, MAX_PAYLOAD)).isZero();
        assertThat(replied()).isEqualTo(payload);
    }

    @Test
    void readsAndWritesEndAtTheEnd() {
        assertThat(read(VM1, SIZE - 3, 4096)).isZero();
        assertThat(kernel.bodyLength()).isEqualTo(3);
        assertThat(read(VM1, SIZE, 4096)).isZero();
        assertThat(kernel.bodyLength()).isZero();
        assertThat(write(VM1, SIZE - 1, new byte[2])).isZero();
        assertThat(kernel.body().getInt(WriteOut.WRITTEN)).isEqualTo(1);
        assertThat(write(VM1, SIZE, new byte[2])).isEqualTo(-Errno.EFBIG);
    }

    @Test
    void failuresOfTheDeviceAreRepliesAndTheNextRequestPasses() {
        first.failure = new NativeException("pwrite", Errno.ENOSPC);
        assertThat(write(VM1, 0, new byte[1])).isEqualTo(-Errno.ENOSPC);
        first.failure = new IllegalStateException("a bug");
        assertThat(read(VM1, 0, 1)).isEqualTo(-Errno.EIO);
        assertThat(kernel.ask(Opcode.GETATTR, VM1, 16, b -> {})).isEqualTo(-Errno.EIO);
        first.failure = null;
        assertThat(read(VM1, 0, 1)).isZero();
    }

    @ParameterizedTest
    @CsvSource({"-1", "65537", "2147483647", "-2147483648"})
    void readsLongerThanAgreedAreInvalid(int size) {
        assertThat(read(VM1, 0, size)).isEqualTo(-Errno.EINVAL);
        assertThat(first.calls).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(ints = {Integer.MIN_VALUE, -1, 0, 9, 11, MAX_PAYLOAD, Integer.MAX_VALUE})
    void aWritesLengthIsThatOfItsPayload(int says) {
        int answer = kernel.ask(Opcode.WRITE, VM1, WriteIn.SIZE + 10, b -> b.putInt(WriteIn.LENGTH, says));
        assertThat(answer).isEqualTo(-Errno.EINVAL);
        assertThat(first.calls).isEmpty();
    }

    /** Of each structure, all lengths that are too short: it fails alone, and reads nothing of the request before. */
    @ParameterizedTest
    @CsvSource({"15,40", "16,40", "28,40", "44,40", "43,32", "14,8", "4,88", "22,8", "23,8"})
    void cutRequestsFailAlone(int opcode, int structureBytes) {
        for (int bytes = 0; bytes < structureBytes; bytes++) {
            assertThat(kernel.ask(opcode, VM1, bytes, b -> {}))
                    .as("%d bytes", bytes)
                    .isEqualTo(-Errno.EINVAL);
        }
        assertThat(first.calls).isEmpty();
        assertThat(read(VM1, 0, 1)).isZero();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 39, 79, 81, -1, Integer.MAX_VALUE})
    void theHeadersLengthIsWhatWasRead(int says) {
        kernel.put(Opcode.READ, VM1, ReadIn.SIZE, b -> putRange(b, 0, 512));
        kernel.putHeader(Opcode.READ, VM1, says);
        assertThat(kernel.send(InHeader.SIZE + ReadIn.SIZE)).isEqualTo(-Errno.EINVAL);
        assertThat(first.calls).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
            ints = {0, 5 /* READLINK */, 31 /* GETLK */, 39 /* IOCTL */, 40 /* POLL */, 999, -1, Integer.MIN_VALUE})
    void unknownOpcodesAreNotImplemented(int opcode) {
        assertThat(kernel.ask(opcode, VM1, 64, b -> {})).isEqualTo(-Errno.ENOSYS);
    }

    @ParameterizedTest
    @ValueSource(
            ints = {
                Opcode.CREATE,
                Opcode.MKNOD,
                Opcode.MKDIR,
                Opcode.SYMLINK,
                Opcode.LINK,
                Opcode.TMPFILE,
                Opcode.UNLINK,
                Opcode.RMDIR,
                Opcode.RENAME,
                Opcode.RENAME2
            })
    void theDirectoryCannotBeChanged(int opcode) {
        assertThat(kernel.ask(opcode, ROOT, "vm1")).isEqualTo(-Errno.EPERM);
    }

    @ParameterizedTest
    @ValueSource(ints = {Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT})
    void whatExpectsNoReplyGetsNone(int opcode) {
        kernel.put(opcode, VM1, 8, b -> {});
        assertThat(kernel.answer(InHeader.SIZE + 8)).isZero();
    }

    @ParameterizedTest
    @ValueSource(ints = {Opcode.FLUSH, Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.FSYNCDIR, Opcode.DESTROY})
    void whatNeedsNothingIsAcknowledged(int opcode) {
        assertThat(kernel.ask(opcode, VM1, 24, b -> {})).isZero();
        assertThat(kernel.bodyLength()).isZero();
        assertThat(first.calls).isEmpty();
    }

    @Test
    void fsyncFlushes() {
        assertThat(kernel.ask(Opcode.FSYNC, VM1, 16, b -> {})).isZero();
        assertThat(first.calls).containsExactly("flush 0+0");
        assertThat(kernel.ask(Opcode.FSYNC, ROOT, 16, b -> {})).isEqualTo(-Errno.EINVAL);
    }

    @Test
    void fallocatePunchesAndZeroes() {
        assertThat(fallocate(VM1, Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE))
                .isZero();
        assertThat(fallocate(VM1, Libc.FALLOC_FL_ZERO_RANGE)).isZero();
        assertThat(fallocate(VM1, 0)).isEqualTo(-Errno.EOPNOTSUPP);
        assertThat(fallocate(VM2, Libc.FALLOC_FL_ZERO_RANGE)).isEqualTo(-Errno.EROFS);
        assertThat(fallocate(ROOT, Libc.FALLOC_FL_ZERO_RANGE)).isEqualTo(-Errno.EINVAL);
        assertThat(first.calls).containsExactly("discard 8192+4096", "writeZeroes 8192+4096");
    }

    private int fallocate(long node, int mode) {
        return kernel.ask(
                Opcode.FALLOCATE,
                node,
                FallocateIn.SIZE,
                b -> b.putLong(FallocateIn.OFFSET, 8192)
                        .putLong(FallocateIn.LENGTH, 4096)
                        .putInt(FallocateIn.MODE, mode));
    }

    @ParameterizedTest
    @ValueSource(longs = {ROOT, NOBODY, 0, -1, Long.MAX_VALUE, Long.MIN_VALUE})
    void nodesThatAreNoFilesHoldNoData(long node) {
        assertThat(read(node, 0, 512)).isEqualTo(-Errno.EINVAL);
        assertThat(write(node, 0, new byte[1])).isEqualTo(-Errno.EINVAL);
        assertThat(open(node, Libc.O_RDONLY)).isEqualTo(-Errno.EINVAL);
    }

    private int open(long node, int flags) {
        return kernel.ask(Opcode.OPEN, node, OpenIn.SIZE, b -> b.putInt(OpenIn.FLAGS, flags));
    }

    @ParameterizedTest
    @EnumSource(CacheMode.class)
    void theCacheModeDecidesWhatTheKernelKeeps(CacheMode cache) {
        kernel.with(dispatcher(cache));
        int direct = OpenOut.FOPEN_DIRECT_IO | OpenOut.FOPEN_PARALLEL_DIRECT_WRITES | OpenOut.FOPEN_NOFLUSH;
        assertThat(openFlags(Libc.O_RDWR)).isEqualTo(cache == CacheMode.NONE ? direct : OpenOut.FOPEN_KEEP_CACHE);
        assertThat(openFlags(Libc.O_RDWR | Libc.O_DIRECT)).isEqualTo(direct);
    }

    private int openFlags(int flags) {
        assertThat(open(VM1, flags)).isZero();
        assertThat(kernel.bodyLength()).isEqualTo(OpenOut.SIZE);
        return kernel.body().getInt(OpenOut.OPEN_FLAGS);
    }

    @Test
    void seeksAreAnsweredByTheFile() throws IOException {
        assertThat(seek(VM1, 5, Libc.SEEK_DATA)).isZero();
        assertThat(kernel.body().getLong(LseekOut.OFFSET)).isEqualTo(5);
        assertThat(seek(VM1, 5, Libc.SEEK_HOLE)).isZero();
        assertThat(kernel.body().getLong(LseekOut.OFFSET)).isEqualTo(first.seekHole(5));
        assertThat(kernel.bodyLength()).isEqualTo(LseekOut.SIZE);

        assertThat(seek(VM1, first.sizeBytes(), Libc.SEEK_DATA)).isEqualTo(-Errno.ENXIO);
        assertThat(seek(VM1, 0, 0)).isEqualTo(-Errno.EINVAL);
        assertThat(seek(ROOT, 0, Libc.SEEK_DATA)).isEqualTo(-Errno.EINVAL);
    }

    private int seek(long node, long offset, int whence) {
        return kernel.ask(
                Opcode.LSEEK,
                node,
                LseekIn.SIZE,
                b -> b.putLong(LseekIn.OFFSET, offset).putInt(LseekIn.WHENCE, whence));
    }

    @Test
    void aReadOnlyFileIsNotOpenedForWriting() {
        assertThat(open(VM2, Libc.O_RDONLY)).isZero();
        assertThat(open(VM2, Libc.O_RDWR)).isEqualTo(-Errno.EROFS);
    }

    @Test
    void namesAreLookedUpInTheRootAlone() {
        assertThat(kernel.ask(Opcode.LOOKUP, ROOT, "disk two")).isZero();
        assertThat(kernel.bodyLength()).isEqualTo(EntryOut.SIZE);
        ByteBuffer entry = kernel.body();
        assertThat(entry.getLong(EntryOut.NODEID)).isEqualTo(VM2);
        assertThat(entry.getLong(EntryOut.ENTRY_VALID)).isEqualTo(3600);
        assertThat(entry.getLong(EntryOut.ATTR + Attr.INO)).isEqualTo(VM2);
        assertThat(entry.getLong(EntryOut.ATTR + Attr.FILE_SIZE)).isEqualTo(2 * SIZE);
        assertThat(kernel.ask(Opcode.LOOKUP, ROOT, "vm3")).isEqualTo(-Errno.ENOENT);
        assertThat(kernel.ask(Opcode.LOOKUP, ROOT, "")).isEqualTo(-Errno.ENOENT);
        assertThat(kernel.ask(Opcode.LOOKUP, VM1, "vm1")).isEqualTo(-Errno.ENOENT);
        // Without the zero byte that the kernel puts, the request's end is the name's.
        assertThat(kernel.ask(Opcode.LOOKUP, ROOT, 3, b -> b.put(0, "vm1".getBytes(UTF_8))))
                .isZero();
    }

    @Test
    void attributesAreTheFilesAndTheRoots() {
        assertThat(kernel.ask(Opcode.GETATTR, VM1, 16, b -> {})).isZero();
        assertThat(kernel.bodyLength()).isEqualTo(AttrOut.SIZE);
        assertThat(attribute(Attr.MODE)).isEqualTo(0100600);
        assertThat(attribute(Attr.NLINK)).isEqualTo(1);
        assertThat(attribute(Attr.UID)).isEqualTo(Libc.geteuid());
        assertThat(kernel.body().getLong(AttrOut.ATTR + Attr.FILE_SIZE)).isEqualTo(SIZE);
        assertThat(kernel.body().getLong(AttrOut.ATTR + Attr.BLOCKS)).isEqualTo(2);
        assertThat(kernel.ask(Opcode.GETATTR, VM2, 16, b -> {})).isZero();
        assertThat(attribute(Attr.MODE)).isEqualTo(0100400);
        assertThat(kernel.ask(Opcode.GETATTR, ROOT, 16, b -> {})).isZero();
        assertThat(attribute(Attr.MODE)).isEqualTo(040555);
        assertThat(kernel.ask(Opcode.GETATTR, NOBODY, 16, b -> {})).isEqualTo(-Errno.ENOENT);
    }

    private int attribute(int field) {
        return kernel.body().getInt(AttrOut.ATTR + field);
    }

    private int setattr(long node, int valid, long size) {
        return kernel.ask(
                Opcode.SETATTR,
                node,
                SetattrIn.SIZE,
                b -> b.putInt(SetattrIn.VALID, valid).putLong(SetattrIn.FILE_SIZE, size));
    }

    @ParameterizedTest
    @EnumSource(CacheMode.class)
    void onlyWhatTheFileHasCanBeSet(CacheMode cache) {
        kernel.with(dispatcher(cache));
        assertThat(setattr(VM1, SetattrIn.FATTR_SIZE, SIZE)).isZero();
        assertThat(kernel.body().getLong(AttrOut.ATTR + Attr.FILE_SIZE)).isEqualTo(SIZE);
        assertThat(setattr(VM1, SetattrIn.FATTR_SIZE, SIZE - 1)).isEqualTo(-Errno.EPERM);
        assertThat(setattr(VM1, SetattrIn.FATTR_SIZE | SetattrIn.FATTR_MODE, SIZE))
                .isEqualTo(-Errno.EPERM);
        for (int owner : new int[] {SetattrIn.FATTR_MODE, SetattrIn.FATTR_UID, SetattrIn.FATTR_GID}) {
            assertThat(setattr(VM1, owner, 0)).isEqualTo(-Errno.EPERM);
        }
        int mtime = 1 << 5;
        assertThat(setattr(VM1, mtime, 0)).isEqualTo(cache == CacheMode.WRITEBACK ? 0 : -Errno.EPERM);
        assertThat(setattr(ROOT, mtime, 0)).isEqualTo(-Errno.EPERM);
        assertThat(setattr(NOBODY, mtime, 0)).isEqualTo(-Errno.EPERM);
    }

    private int getxattr(long node, String name, int room) {
        byte[] text = (name + "\0").getBytes(UTF_8);
        return kernel.ask(
                Opcode.GETXATTR,
                node,
                GetxattrIn.SIZE + text.length,
                b -> b.putInt(GetxattrIn.ROOM, room).put(GetxattrIn.SIZE, text));
    }

    private int listxattr(long node, int room) {
        return kernel.ask(Opcode.LISTXATTR, node, GetxattrIn.SIZE, b -> b.putInt(GetxattrIn.ROOM, room));
    }

    @Test
    void extendedAttributesAnswerTheirLengthThenTheirValue() {
        assertThat(getxattr(VM1, "user.ucow.base", 0)).isZero();
        assertThat(kernel.bodyLength()).isEqualTo(GetxattrOut.SIZE);
        assertThat(kernel.body().getInt(GetxattrOut.NEEDED)).isEqualTo(5);
        assertThat(getxattr(VM1, "user.ucow.base", 4)).isEqualTo(-Errno.ERANGE);
        for (int room : new int[] {5, 64, MAX_PAYLOAD + 1, Integer.MAX_VALUE}) {
            assertThat(getxattr(VM1, "user.ucow.base", room)).isZero();
            assertThat(replied()).isEqualTo("/base".getBytes(UTF_8));
        }
        assertThat(getxattr(VM1, "security.capability", 64)).isEqualTo(-Errno.ENODATA);
        assertThat(getxattr(ROOT, "user.ucow.base", 64)).isEqualTo(-Errno.ENODATA);

        String names = "user.ucow.base\0user.ucow.id\0";
        assertThat(listxattr(VM1, 0)).isZero();
        assertThat(kernel.body().getInt(GetxattrOut.NEEDED)).isEqualTo(names.length());
        assertThat(listxattr(VM1, names.length() - 1)).isEqualTo(-Errno.ERANGE);
        assertThat(listxattr(VM1, names.length())).isZero();
        assertThat(replied()).isEqualTo(names.getBytes(UTF_8));
        assertThat(listxattr(ROOT, 64)).isZero();
        assertThat(kernel.bodyLength()).isZero();
    }

    @Test
    void statfsHasTheGranularityOfTheFile() {
        assertThat(kernel.ask(Opcode.STATFS, VM1, 0, b -> {})).isZero();
        assertThat(kernel.bodyLength()).isEqualTo(StatfsOut.SIZE);
        assertThat(kernel.body().getInt(StatfsOut.BSIZE)).isEqualTo(MemoryDevice.GRANULARITY);
        assertThat(kernel.body().getLong(StatfsOut.BLOCKS)).isEqualTo(SIZE / 512);
        assertThat(kernel.ask(Opcode.STATFS, ROOT, 0, b -> {})).isZero();
        assertThat(kernel.body().getLong(StatfsOut.BLOCKS)).isEqualTo(3 * SIZE / 512);
    }

    /** Page by page, whatever fits: every entry comes once. */
    @ParameterizedTest
    @ValueSource(ints = {32, 40, 63, 64, 72, 100, 4096})
    void directoriesAreReadInPages(int room) {
        assertThat(kernel.ask(Opcode.OPENDIR, ROOT, OpenIn.SIZE, b -> {})).isZero();
        Map<String, Long> nodes = new TreeMap<>();
        long offset = 0;
        int pages = 0;
        while (true) {
            long from = offset;
            assertThat(kernel.ask(Opcode.READDIR, ROOT, ReadIn.SIZE, b -> putRange(b, from, room)))
                    .isZero();
            assertThat(kernel.bodyLength()).isLessThanOrEqualTo(room);
            if (kernel.bodyLength() == 0) {
                break;
            }
            offset = entries(0, nodes);
            assertThat(++pages).isLessThanOrEqualTo(4);
        }
        assertThat(nodes).isEqualTo(Map.of(".", ROOT, "..", ROOT, "vm1", VM1, "disk two", VM2));
    }

    @Test
    void directoriesAreReadWithAttributes() {
        Map<String, Long> nodes = new TreeMap<>();
        assertThat(kernel.ask(Opcode.READDIRPLUS, ROOT, ReadIn.SIZE, b -> putRange(b, 0, 4096)))
                .isZero();
        entries(EntryOut.SIZE, nodes);
        assertThat(nodes).isEqualTo(Map.of(".", ROOT, "..", ROOT, "vm1", VM1, "disk two", VM2));
        ByteBuffer all = kernel.body();
        int dots = 2 * (EntryOut.SIZE + Dirent.sizeFor(1));
        assertThat(all.getLong(EntryOut.NODEID)).as("'.' is not looked up").isZero();
        assertThat(all.getLong(dots + EntryOut.NODEID)).isEqualTo(VM1);
        assertThat(all.getLong(dots + EntryOut.ATTR + Attr.FILE_SIZE)).isEqualTo(SIZE);

        // No room for the second of two entries; none for any.
        int one = EntryOut.SIZE + Dirent.sizeFor(1);
        assertThat(kernel.ask(Opcode.READDIRPLUS, ROOT, ReadIn.SIZE, b -> putRange(b, 0, 2 * one - 1)))
                .isZero();
        assertThat(kernel.bodyLength()).isEqualTo(one);
        for (int room : new int[] {one - 1, 0, -1}) {
            assertThat(kernel.ask(Opcode.READDIRPLUS, ROOT, ReadIn.SIZE, b -> putRange(b, 0, room)))
                    .isZero();
            assertThat(kernel.bodyLength()).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {4, Long.MAX_VALUE, -1, Long.MIN_VALUE})
    void pastTheLastEntryThereIsNothing(long offset) {
        for (int opcode : new int[] {Opcode.READDIR, Opcode.READDIRPLUS}) {
            assertThat(kernel.ask(opcode, ROOT, ReadIn.SIZE, b -> putRange(b, offset, 4096)))
                    .isZero();
            assertThat(kernel.bodyLength()).isZero();
        }
    }

    /**
     * Adds the nodes of the reply's entries.
     *
     * @param before bytes before each
     * @return where the next page starts
     */
    private long entries(int before, Map<String, Long> nodes) {
        ByteBuffer body = kernel.body();
        List<Long> offsets = new ArrayList<>();
        for (int at = 0; at < body.limit(); ) {
            int entry = at + before;
            byte[] name = new byte[body.getInt(entry + Dirent.NAMELEN)];
            body.get(entry + Dirent.NAME, name);
            assertThat(nodes.put(new String(name, UTF_8), body.getLong(entry + Dirent.INO)))
                    .isNull();
            offsets.add(body.getLong(entry + Dirent.OFF));
            at = entry + Dirent.sizeFor(name.length);
        }
        return offsets.get(offsets.size() - 1);
    }

    /** A collection is a disk that stalls, so no request may bring the next one nearer. */
    @Test
    void readingAndWritingAllocateNothing() {
        var memory = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        first.quiet = true;
        readAndWrite(20_000); // until everything is loaded, and latencies have their counters
        long before = memory.getCurrentThreadAllocatedBytes();
        readAndWrite(50_000);
        long allocated = memory.getCurrentThreadAllocatedBytes() - before;
        assertThat(allocated).as("bytes for 100000 requests").isLessThan(10_000);
    }

    private void readAndWrite(int times) {
        for (int i = 0; i < times; i++) {
            // No lambda: it would be the test that allocates.
            kernel.putRange(Opcode.WRITE, VM1, WriteIn.SIZE + 4096, i % 256 * 4096L, 4096);
            int written = kernel.answer(InHeader.SIZE + WriteIn.SIZE + 4096);
            kernel.putRange(Opcode.READ, VM1, ReadIn.SIZE, i % 256 * 4096L, 4096);
            int read = kernel.answer(InHeader.SIZE + ReadIn.SIZE);
            if (written != OutHeader.SIZE + WriteOut.SIZE || read != OutHeader.SIZE + 4096) {
                throw new AssertionError("replies of " + written + " and " + read + " bytes");
            }
        }
    }
}
