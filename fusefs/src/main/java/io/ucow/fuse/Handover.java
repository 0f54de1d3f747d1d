package io.ucow.fuse;

import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.util.ArrayList;
import java.util.List;

/**
 * What another process needs to serve a mount on after this one. It is good as long as process {@code pid} lives: its
 * descriptors keep the connection, and every request not answered yet, until then.
 *
 * @param pid whose descriptors they are
 * @param descriptors of {@code /dev/fuse}, the mounted one and its clones, at least one
 * @param maxPayloadBytes longest read or write that was agreed on with the kernel
 */
public record Handover(long pid, List<Integer> descriptors, int maxPayloadBytes) {
    public Handover {
        descriptors = List.copyOf(descriptors);
        if (descriptors.isEmpty() || maxPayloadBytes <= 0) {
            throw new IllegalArgumentException("nothing to hand over: " + descriptors + ", " + maxPayloadBytes);
        }
    }

    /**
     * Takes duplicates of the descriptors into this process; that one keeps its own.
     *
     * @return the same in this process's descriptors, which the caller closes
     * @throws NativeException {@code ESRCH} when that process is gone, {@code EPERM} when we may not; nothing is taken
     */
    public Handover take() throws NativeException {
        List<Integer> taken = new ArrayList<>();
        int process = Libc.openProcess(pid);
        try {
            for (int fd : descriptors) {
                taken.add(Libc.takeDescriptor(process, fd));
            }
        } catch (NativeException e) {
            taken.forEach(Libc::close);
            throw e;
        } finally {
            Libc.close(process);
        }
        return new Handover(ProcessHandle.current().pid(), taken, maxPayloadBytes);
    }
}
