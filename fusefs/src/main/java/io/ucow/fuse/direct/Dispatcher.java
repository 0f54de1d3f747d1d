package io.ucow.fuse.direct;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ucow.fuse.ImageFile;
import io.ucow.fuse.direct.abi.AttrOut;
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
import io.ucow.fuse.direct.abi.WriteIn;
import io.ucow.fuse.direct.abi.WriteOut;
import io.ucow.store.CacheMode;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * From a request's bytes to {@link ImageFile} and back. Every request that expects a reply gets one; one that makes no
 * sense fails alone.
 *
 * <p>Threading: any number of threads, each with a buffer of its own; no state but what never changes. Read and write
 * allocate nothing.
 */
final class Dispatcher {
    private static final Logger LOG = LoggerFactory.getLogger(Dispatcher.class);

    /** No reply, or none any more. Otherwise answers are {@code -errno}, or the length of the reply's body. */
    private static final int NO_REPLY = Integer.MIN_VALUE;

    private final Tree tree;
    private final CacheMode cache;

    /**
     * @param tree what the mount shows
     * @param cache decides what the kernel may keep of the files' data
     */
    Dispatcher(Tree tree, CacheMode cache) {
        this.tree = tree;
        this.cache = cache;
    }

    /**
     * Answers the request in {@code buffer} by the reply in the same buffer, or through {@code pipe}.
     *
     * @param length bytes that the kernel handed over, at least a header
     * @param pipe of the same thread as the buffer
     * @return bytes of the reply, header included; 0 when there is none, or it was sent
     */
    int answer(RequestBuffer buffer, int length, ReplyPipe pipe) {
        ByteBuffer request = buffer.request();
        long unique = InHeader.unique(request);
        int opcode = InHeader.opcode(request);
        int answer;
        try {
            answer = InHeader.len(request) == length
                    ? handle(
                            opcode,
                            InHeader.nodeid(request),
                            body(buffer, length),
                            buffer.payload().clear(),
                            pipe.replyTo(unique))
                    : malformed(opcode, length);
        } catch (Throwable e) {
            LOG.warn("opcode={} failed", opcode, e);
            answer = -Errno.of(e);
        }
        if (answer == NO_REPLY) {
            return 0;
        }
        int replyLength = OutHeader.SIZE + Math.max(answer, 0);
        OutHeader.put(buffer.reply(), replyLength, Math.min(answer, 0), unique);
        return replyLength;
    }

    private static ByteBuffer body(RequestBuffer buffer, int length) {
        return buffer.requestBody().clear().limit(length - InHeader.SIZE);
    }

    /**
     * @param body of the request; gone as soon as {@code reply} is written to
     * @param reply where the reply's body goes, and where a write's payload is
     */
    private int handle(int opcode, long node, ByteBuffer body, ByteBuffer reply, ReplyPipe pipe) throws IOException {
        if (body.limit() < bodySize(opcode)) {
            return malformed(opcode, body.limit() + InHeader.SIZE);
        }
        return switch (opcode) {
            case Opcode.READ -> read(node, body, reply, pipe);
            case Opcode.WRITE -> write(node, body, reply);
            case Opcode.FSYNC -> fsync(node);
            case Opcode.FALLOCATE -> fallocate(node, body);
            case Opcode.LSEEK -> lseek(node, body, reply);
            case Opcode.OPEN -> open(node, body, reply);
            case Opcode.LOOKUP -> lookup(node, body, reply);
            case Opcode.GETATTR -> getattr(node, reply);
            case Opcode.SETATTR -> setattr(node, body, reply);
            case Opcode.GETXATTR -> getxattr(node, body, reply);
            case Opcode.LISTXATTR -> listxattr(node, body, reply);
            case Opcode.STATFS -> tree.putStatfs(node, reply);
            case Opcode.OPENDIR -> opendir(reply);
            case Opcode.READDIR -> tree.putEntries(ReadIn.offset(body), room(ReadIn.size(body), reply));
            case Opcode.READDIRPLUS -> tree.putEntriesPlus(ReadIn.offset(body), room(ReadIn.size(body), reply));
            // Nothing to do: no lookup is counted, no open file has a state, the kernel has written back before FLUSH.
            case Opcode.FLUSH, Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.FSYNCDIR, Opcode.DESTROY -> 0;
            // Requests are answered soon, or wait for a disk that cannot be interrupted.
            case Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT -> NO_REPLY;
            case Opcode.CREATE,
                    Opcode.MKNOD,
                    Opcode.MKDIR,
                    Opcode.SYMLINK,
                    Opcode.LINK,
                    Opcode.TMPFILE,
                    Opcode.UNLINK,
                    Opcode.RMDIR,
                    Opcode.RENAME,
                    Opcode.RENAME2 -> -Errno.EPERM;
            default -> -Errno.ENOSYS;
        };
    }

    /** Bytes of the structure that a request must have behind its header. */
    private static int bodySize(int opcode) {
        return switch (opcode) {
            case Opcode.READ, Opcode.READDIR, Opcode.READDIRPLUS -> ReadIn.SIZE;
            case Opcode.WRITE -> WriteIn.SIZE;
            case Opcode.FALLOCATE -> FallocateIn.SIZE;
            case Opcode.LSEEK -> LseekIn.SIZE;
            case Opcode.OPEN -> OpenIn.SIZE;
            case Opcode.SETATTR -> SetattrIn.SIZE;
            case Opcode.GETXATTR, Opcode.LISTXATTR -> GetxattrIn.SIZE;
            default -> 0;
        };
    }

    private static int malformed(int opcode, int length) {
        LOG.warn("malformed request opcode={} bytes={}", opcode, length);
        return -Errno.EINVAL;
    }

    private int read(long node, ByteBuffer body, ByteBuffer reply, ReplyPipe pipe) {
        ImageFile file = tree.file(node);
        int size = ReadIn.size(body);
        if (file == null || size < 0 || size > reply.capacity()) {
            return -Errno.EINVAL;
        }
        long offset = ReadIn.offset(body);
        if (size >= ReplyPipe.MIN_BYTES) {
            int spliced = file.splice(offset, size, pipe);
            if (spliced != 0) {
                return spliced < 0 ? spliced : NO_REPLY;
            }
        }
        return file.read(offset, reply.limit(size));
    }

    private int write(long node, ByteBuffer body, ByteBuffer payload) {
        ImageFile file = tree.file(node);
        int size = WriteIn.size(body);
        if (file == null || size != body.limit() - WriteIn.SIZE) {
            return -Errno.EINVAL;
        }
        int written = file.write(WriteIn.offset(body), payload.limit(size));
        if (written < 0) {
            return written;
        }
        WriteOut.put(payload.clear(), written);
        return WriteOut.SIZE;
    }

    private int fsync(long node) {
        ImageFile file = tree.file(node);
        return file == null ? -Errno.EINVAL : file.fsync();
    }

    private int fallocate(long node, ByteBuffer body) {
        ImageFile file = tree.file(node);
        return file == null
                ? -Errno.EINVAL
                : file.fallocate(FallocateIn.mode(body), FallocateIn.offset(body), FallocateIn.length(body));
    }

    private int lseek(long node, ByteBuffer body, ByteBuffer reply) {
        ImageFile file = tree.file(node);
        if (file == null) {
            return -Errno.EINVAL;
        }
        long position = file.seek(LseekIn.offset(body), LseekIn.whence(body));
        if (position < 0) {
            return (int) position;
        }
        LseekOut.put(reply, position);
        return LseekOut.SIZE;
    }

    private int open(long node, ByteBuffer body, ByteBuffer reply) {
        ImageFile file = tree.file(node);
        int answer = file == null ? -Errno.EINVAL : file.open(OpenIn.flags(body));
        if (answer < 0) {
            return answer;
        }
        // Whoever opens with O_DIRECT, a loop device above all, gets a path past the cache on which writes do not
        // exclude one another; the kernel keeps it coherent with the cached one.
        boolean direct = cache == CacheMode.NONE || (OpenIn.flags(body) & Libc.O_DIRECT) != 0;
        int flags = direct
                ? OpenOut.FOPEN_DIRECT_IO | OpenOut.FOPEN_PARALLEL_DIRECT_WRITES | OpenOut.FOPEN_NOFLUSH
                : OpenOut.FOPEN_KEEP_CACHE;
        OpenOut.put(reply, 0, flags);
        return OpenOut.SIZE;
    }

    private static int opendir(ByteBuffer reply) {
        OpenOut.put(reply, 0, 0);
        return OpenOut.SIZE;
    }

    private int lookup(long node, ByteBuffer body, ByteBuffer reply) throws IOException {
        long found = node == InHeader.ROOT_ID ? tree.find(string(body, 0)) : Tree.NONE;
        if (found == Tree.NONE) {
            return -Errno.ENOENT;
        }
        tree.putEntry(found, reply, 0);
        return EntryOut.SIZE;
    }

    private int getattr(long node, ByteBuffer reply) throws IOException {
        tree.putAttr(node, reply);
        return AttrOut.SIZE;
    }

    /** Nothing can be set. Times seem to, where the kernel keeps them: it would fail to write back without. */
    private int setattr(long node, ByteBuffer body, ByteBuffer reply) throws IOException {
        int valid = SetattrIn.valid(body);
        ImageFile file = tree.file(node);
        if (file == null || (valid & (SetattrIn.FATTR_MODE | SetattrIn.FATTR_UID | SetattrIn.FATTR_GID)) != 0) {
            return -Errno.EPERM;
        }
        if ((valid & SetattrIn.FATTR_SIZE) != 0) {
            int answer = file.truncate(SetattrIn.size(body));
            if (answer < 0) {
                return answer;
            }
        } else if (cache != CacheMode.WRITEBACK) {
            return -Errno.EPERM;
        }
        return getattr(node, reply);
    }

    private int getxattr(long node, ByteBuffer body, ByteBuffer reply) {
        ImageFile file = tree.file(node);
        if (file == null) {
            return -Errno.ENODATA;
        }
        String name = string(body, GetxattrIn.SIZE);
        int room = GetxattrIn.size(body);
        return lengthOrValue(room, file.getxattr(name, room(room, reply)), reply);
    }

    private int listxattr(long node, ByteBuffer body, ByteBuffer reply) {
        ImageFile file = tree.file(node);
        int room = GetxattrIn.size(body);
        return lengthOrValue(room, file == null ? 0 : file.listxattr(room(room, reply)), reply);
    }

    private static int lengthOrValue(int room, int answer, ByteBuffer reply) {
        if (room != 0 || answer < 0) {
            return answer;
        }
        GetxattrOut.put(reply.clear(), answer);
        return GetxattrOut.SIZE;
    }

    /** The reply's body, as far as the kernel has room for it. */
    private static ByteBuffer room(int wanted, ByteBuffer reply) {
        return reply.limit(Math.max(0, Math.min(wanted, reply.capacity())));
    }

    /** The text from {@code at} up to a zero byte, or the request's end. */
    private static String string(ByteBuffer body, int at) {
        int end = at;
        while (end < body.limit() && body.get(end) != 0) {
            end++;
        }
        byte[] text = new byte[end - at];
        body.get(at, text);
        return new String(text, UTF_8);
    }
}
