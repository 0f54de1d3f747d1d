package io.ucow.fuse.jnr;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ucow.fuse.ImageFile;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jnr.ffi.BaseStruct;
import jnr.ffi.Pointer;
import jnr.ffi.Struct;
import jnr.ffi.annotations.Delegate;
import jnr.ffi.provider.jffi.ClosureHelper;
import jnr.ffi.types.off_t;
import jnr.ffi.types.size_t;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import ru.serce.jnrfuse.FuseFillDir;
import ru.serce.jnrfuse.struct.FileStat;
import ru.serce.jnrfuse.struct.FuseOperations;
import ru.serce.jnrfuse.struct.Statvfs;

/**
 * libfuse's callbacks: a root directory and its files, numbered by their place in the list. {@code open} leaves that
 * number in {@code fi->fh}; from then on no path is built, neither by libfuse ({@code flag_nopath}) nor by us.
 *
 * <p>Not implemented, so that the kernel asks once and then never again: {@code flush} (a descriptor was closed, which
 * means nothing here), {@code release}, {@code setxattr}, {@code removexattr}. Refused with {@code EPERM}: whatever
 * would add, remove, rename or re-own a file.
 *
 * <p>Threading: the session's threads call at any time. The instance must stay reachable while the session lives: libfuse
 * holds nothing but addresses of its callbacks.
 */
final class Operations {
    private static final Logger LOG = LoggerFactory.getLogger(Operations.class);
    private static final String ROOT = "/";
    private static final int ROOT_MODE = 0x4000 | 0555;
    private static final long ROOT_INODE = 1;
    private static final long FIRST_FILE_INODE = 2;
    /** What {@code cp} and friends read at once: the longest request. */
    private static final int PREFERRED_IO_BYTES = 128 << 10;

    private static final int SECTOR_BYTES = 512;
    /** {@code flag_nullpath_ok} and {@code flag_nopath}: bits of the word behind {@code bmap}, by jnr-fuse each a byte. */
    private static final int FLAG_NULLPATH_OK_AND_NOPATH = 0b11;

    /** {@code read} and {@code write}: addresses stay numbers, so that nothing is made of them. */
    public interface Transfer {
        /** Handles one request. @return bytes transferred or {@code -errno} */
        @Delegate
        int apply(long path, long buffer, @size_t long lengthBytes, @off_t long guestOffset, long fileInfo);
    }

    /** {@code open}, for the address of its {@code fuse_file_info}. */
    public interface Open {
        /** Handles one request. @return 0 or {@code -errno} */
        @Delegate
        int apply(String path, long fileInfo);
    }

    /** {@code fsync}. */
    public interface Fsync {
        /** Handles one request. @return 0 or {@code -errno} */
        @Delegate
        int apply(long path, int dataOnly, long fileInfo);
    }

    /** {@code fallocate}. */
    public interface Fallocate {
        /** Handles one request. @return 0 or {@code -errno} */
        @Delegate
        int apply(long path, int mode, @off_t long guestOffset, @off_t long lengthBytes, long fileInfo);
    }

    /** {@code ftruncate}. */
    public interface Ftruncate {
        /** Handles one request. @return 0 or {@code -errno} */
        @Delegate
        int apply(long path, @off_t long sizeBytes, long fileInfo);
    }

    /** {@code fgetattr}. */
    public interface Fgetattr {
        /** Handles one request. @return 0 or {@code -errno} */
        @Delegate
        int apply(long path, Pointer stat, long fileInfo);
    }

    /** A callback for a path; its failures are turned into answers by {@link #answered}. */
    private interface PathCall {
        int apply(ImageFile file, int index) throws IOException;
    }

    private final ImageFile[] files;
    private final Map<String, Integer> indexByPath = new HashMap<>();
    private final ThreadLocal<PayloadViews> payloads = ThreadLocal.withInitial(PayloadViews::new);
    private final Instant mounted = Instant.now();
    private final int uid;
    private final int gid;

    private final FuseOperations table = new FuseOperations(Libc.runtime());
    private final Transfer read = this::read;
    private final Transfer write = this::write;
    private final Open open = this::open;
    private final Fsync fsync = this::fsync;
    private final Fallocate fallocate = this::fallocate;
    private final Ftruncate ftruncate = this::ftruncate;
    private final Fgetattr fgetattr = this::fgetattr;

    /**
     * The callbacks for {@code files}.
     *
     * @param uid who is shown to own everything
     * @param gid the same for groups
     */
    Operations(List<ImageFile> files, int uid, int gid) {
        this.files = files.toArray(new ImageFile[0]);
        this.uid = uid;
        this.gid = gid;
        for (int i = 0; i < this.files.length; i++) {
            indexByPath.put(ROOT + this.files[i].name(), i);
        }
        fillTable();
    }

    /** {@code struct fuse_operations}, valid as long as this object is reachable. */
    Pointer table() {
        return Struct.getMemory(table);
    }

    int tableSize() {
        return Struct.size(table);
    }

    private void fillTable() {
        set(table.open, Open.class, open);
        set(table.read, Transfer.class, read);
        set(table.write, Transfer.class, write);
        set(table.fsync, Fsync.class, fsync);
        set(table.fallocate, Fallocate.class, fallocate);
        set(table.ftruncate, Ftruncate.class, ftruncate);
        set(table.fgetattr, Fgetattr.class, fgetattr);
        table.truncate.set((path, size) -> answered("truncate", path, (file, i) -> file.truncate(size)));
        table.getattr.set(this::getattr);
        table.readdir.set(this::readdir);
        table.statfs.set(this::statfs);
        table.getxattr.set(this::getxattr);
        table.listxattr.set(this::listxattr);

        table.create.set((path, mode, fi) -> -Errno.EPERM);
        table.mknod.set((path, mode, device) -> -Errno.EPERM);
        table.mkdir.set((path, mode) -> -Errno.EPERM);
        table.unlink.set(path -> -Errno.EPERM);
        table.rmdir.set(path -> -Errno.EPERM);
        table.symlink.set((from, to) -> -Errno.EPERM);
        table.link.set((from, to) -> -Errno.EPERM);
        table.rename.set((from, to) -> -Errno.EPERM);
        table.chmod.set((path, mode) -> -Errno.EPERM);
        table.chown.set((path, user, group) -> -Errno.EPERM);
        table.utimens.set((path, times) -> -Errno.EPERM);
        table().putInt(table.bmap.offset() + Long.BYTES, FLAG_NULLPATH_OK_AND_NOPATH);
    }

    private <T> void set(BaseStruct.Func<?> member, Class<T> type, T callback) {
        Pointer code = Libc.runtime().getClosureManager().getClosurePointer(type, callback);
        table().putPointer(member.offset(), code);
    }

    private int open(String path, long fileInfo) {
        return answered("open", path, (file, index) -> {
            FileInfo.setFh(fileInfo, index);
            return file.open(FileInfo.flags(fileInfo));
        });
    }

    private int read(long path, long buffer, long lengthBytes, long guestOffset, long fileInfo) {
        ImageFile file = file(fileInfo);
        try {
            return file.read(guestOffset, payload(buffer, lengthBytes));
        } catch (Throwable e) {
            return file.failed("read", e);
        }
    }

    private int write(long path, long buffer, long lengthBytes, long guestOffset, long fileInfo) {
        ImageFile file = file(fileInfo);
        try {
            return file.write(guestOffset, payload(buffer, lengthBytes));
        } catch (Throwable e) {
            return file.failed("write", e);
        }
    }

    private int fsync(long path, int dataOnly, long fileInfo) {
        return file(fileInfo).fsync();
    }

    private int fallocate(long path, int mode, long guestOffset, long lengthBytes, long fileInfo) {
        return file(fileInfo).fallocate(mode, guestOffset, lengthBytes);
    }

    private int ftruncate(long path, long sizeBytes, long fileInfo) {
        return file(fileInfo).truncate(sizeBytes);
    }

    private int fgetattr(long path, Pointer stat, long fileInfo) {
        ImageFile file = file(fileInfo);
        try {
            return describe(file, (int) FileInfo.fh(fileInfo), stat);
        } catch (Throwable e) {
            return file.failed("getattr", e);
        }
    }

    private int getattr(String path, Pointer stat) {
        if (path.equals(ROOT)) {
            FileStat out = FileStat.of(stat);
            out.st_ino.set(ROOT_INODE);
            out.st_mode.set(ROOT_MODE);
            out.st_nlink.set(2);
            stamp(out, mounted);
            return 0;
        }
        return answered("getattr", path, (file, index) -> describe(file, index, stat));
    }

    private int describe(ImageFile file, int index, Pointer stat) throws IOException {
        ImageFile.Attributes attributes = file.attributes();
        FileStat out = FileStat.of(stat);
        out.st_ino.set(FIRST_FILE_INODE + index);
        out.st_mode.set(attributes.mode());
        out.st_nlink.set(1);
        out.st_size.set(attributes.sizeBytes());
        out.st_blocks.set(attributes.blocks());
        out.st_blksize.set(PREFERRED_IO_BYTES);
        stamp(out, attributes.modified());
        return 0;
    }

    private void stamp(FileStat out, Instant time) {
        out.st_uid.set(uid);
        out.st_gid.set(gid);
        for (var stamp : List.of(out.st_atim, out.st_mtim, out.st_ctim)) {
            stamp.tv_sec.set(time.getEpochSecond());
            stamp.tv_nsec.set(time.getNano());
        }
    }

    /** For a file, so that a loop device on it takes its discard granularity; for the root, the finest of all files. */
    private int statfs(String path, Pointer statvfs) {
        if (path.equals(ROOT)) {
            return describe(List.of(files), statvfs);
        }
        return answered("statfs", path, (file, index) -> describe(List.of(file), statvfs));
    }

    private int describe(List<ImageFile> shown, Pointer statvfs) {
        int blockBytes = shown.stream()
                .map(ImageFile::granularityBytes)
                .min(Comparator.naturalOrder())
                .orElseThrow();
        Statvfs out = Statvfs.of(statvfs);
        out.f_bsize.set(blockBytes);
        // The unit of f_blocks. Java's O_DIRECT takes it for the alignment it demands; a device needs none.
        out.f_frsize.set(SECTOR_BYTES);
        out.f_blocks.set(shown.stream().mapToLong(ImageFile::sizeBytes).sum() / SECTOR_BYTES);
        out.f_files.set(files.length);
        out.f_namemax.set(ImageFile.MAX_NAME_BYTES);
        return 0;
    }

    private int readdir(String path, Pointer buffer, Pointer filler, long offset, Pointer fileInfo) {
        try {
            var helper = ClosureHelper.getInstance();
            FuseFillDir add =
                    helper.getNativeConveter(FuseFillDir.class).fromNative(filler, helper.getFromNativeContext());
            add(add, buffer, ".");
            add(add, buffer, "..");
            for (ImageFile file : files) {
                add(add, buffer, file.name());
            }
            return 0;
        } catch (Throwable e) {
            return unexpected("readdir", e);
        }
    }

    /** With offset 0 libfuse collects entries in memory of its own, so it never says that the buffer is full. */
    private static void add(FuseFillDir filler, Pointer buffer, String name) {
        filler.apply(buffer, ByteBuffer.wrap((name + '\0').getBytes(UTF_8)), null, 0);
    }

    private int getxattr(String path, String name, Pointer value, long lengthBytes) {
        if (path.equals(ROOT)) {
            return -Errno.ENODATA;
        }
        return answered("getxattr", path, (file, index) -> file.getxattr(name, room(value, lengthBytes)));
    }

    private int listxattr(String path, Pointer list, long lengthBytes) {
        if (path.equals(ROOT)) {
            return 0;
        }
        return answered("listxattr", path, (file, index) -> file.listxattr(room(list, lengthBytes)));
    }

    private static ByteBuffer room(Pointer memory, long lengthBytes) {
        return lengthBytes == 0 ? ByteBuffer.allocate(0) : Libc.view(memory, Math.toIntExact(lengthBytes));
    }

    /** The answer of {@code call} for the file at {@code path}; an exception never gets past this into native code. */
    private int answered(String request, String path, PathCall call) {
        Integer index = indexByPath.get(path);
        if (index == null) {
            return -Errno.ENOENT;
        }
        try {
            return call.apply(files[index], index);
        } catch (Throwable e) {
            return files[index].failed(request, e);
        }
    }

    private static int unexpected(String request, Throwable failure) {
        LOG.warn("directory request={} failed", request, failure);
        return -Errno.of(failure);
    }

    private ImageFile file(long fileInfo) {
        return files[(int) FileInfo.fh(fileInfo)];
    }

    private ByteBuffer payload(long address, long lengthBytes) {
        return payloads.get().at(address, (int) lengthBytes);
    }
}
