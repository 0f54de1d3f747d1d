package io.ucow.store;

import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** A file whose calls are counted and shown to a hook first, which may wait, or fail them. */
public final class HookedFile implements PositionalFile {
    /** The calls that are shown. */
    public enum Call {
        READ,
        WRITE,
        SYNC,
        PUNCH
    }

    /** Sees a call before it is made. */
    public interface Hook {
        /** Returns to let the call be made; {@code offset} and {@code length} are 0 for a sync. */
        void before(Call call, long offset, long length) throws IOException;
    }

    private final PositionalFile file;
    private final Map<Call, LongAdder> counts = new ConcurrentHashMap<>();
    private volatile Hook hook = (call, offset, length) -> {};

    public HookedFile(PositionalFile file) {
        this.file = file;
    }

    /** Installs a hook in place of the previous one. */
    public HookedFile hook(Hook newHook) {
        hook = newHook;
        return this;
    }

    /** Calls of one kind so far, failed ones included. */
    public long count(Call call) {
        LongAdder counter = counts.get(call);
        return counter == null ? 0 : counter.sum();
    }

    private void show(Call call, long offset, long length) throws IOException {
        counts.computeIfAbsent(call, c -> new LongAdder()).increment();
        hook.before(call, offset, length);
    }

    @Override
    public String name() {
        return file.name();
    }

    @Override
    public int read(ByteBuffer dst, long offset) throws IOException {
        show(Call.READ, offset, dst.remaining());
        return file.read(dst, offset);
    }

    @Override
    public void write(ByteBuffer src, long offset) throws IOException {
        show(Call.WRITE, offset, src.remaining());
        file.write(src, offset);
    }

    @Override
    public void sync() throws IOException {
        show(Call.SYNC, 0, 0);
        file.sync();
    }

    @Override
    public void punchHole(long offset, long lengthBytes) throws IOException {
        show(Call.PUNCH, offset, lengthBytes);
        file.punchHole(offset, lengthBytes);
    }

    @Override
    public void preallocate(long offset, long lengthBytes) throws IOException {
        file.preallocate(offset, lengthBytes);
    }

    @Override
    public long size() throws IOException {
        return file.size();
    }

    @Override
    public void truncate(long sizeBytes) throws IOException {
        file.truncate(sizeBytes);
    }

    @Override
    public long allocatedBytes() throws IOException {
        return file.allocatedBytes();
    }

    @Override
    public long dataBytes(long offset, long lengthBytes) throws IOException {
        return file.dataBytes(offset, lengthBytes);
    }

    @Override
    public long seekData(long offset) throws IOException {
        return file.seekData(offset);
    }

    @Override
    public long seekHole(long offset) throws IOException {
        return file.seekHole(offset);
    }

    @Override
    public boolean tryLock(boolean exclusive) throws IOException {
        return file.tryLock(exclusive);
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
